#!/bin/sh
# Proves that a run stops with exit code 3 where a budget ends, whichever unit and whosever cap it is, that it says
# which and how to change it, that no budget is passed in the books, and that the same command then goes on.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
# used UNIT ACCOUNT: all that is booked.
used() {
  crannog spend --json | python3 -c '
import json, sys
print(sum(a["exact"] + a["assumed"] + a["held"] for a in json.load(sys.stdin)["accounts"]
          if a["unit"] == sys.argv[1] and a["account"] == sys.argv[2]))' "$1" "$2"
}
notes() { find "$1/notes" -name '*.md' 2>/dev/null | wc -l; }

work tokens cat dog bird
refuses "tokens end in the middle" 3 'budget of crannog/main/r1 has [0-9]* tokens left.*crannog spend set crannog/main/r1 BUDGET' crannog run tokens/PLAN.md --budget 500tok
check "something was done" test "$(notes tokens)" -ge 1
check "not all" test "$(notes tokens)" -lt 3
check "no more than the budget was used" test "$(used tokens crannog/main/r1)" -le 500
before=$(used calls crannog)
refuses "again it says the same" 3 'tokens left' crannog run tokens/PLAN.md
check "and asks nothing" test "$(used calls crannog)" = "$before"
check "ls says so" sh -c 'crannog ls | grep -q "out of budget"'
check "spend set gives it more" sh -c 'crannog spend set crannog/main/r1 5000tok | grep -q "at most 5,000 tokens"'
check "and the same command goes on" crannog run tokens/PLAN.md
check "each was asked once" test "$(used calls crannog)" = 3

work calls cat dog
refuses "calls" 3 'has 0 calls left' crannog run calls/PLAN.md --budget 1calls
check "--budget with the same command changes it" crannog run calls/PLAN.md --budget 10calls
work nothing cat
refuses "a budget of nothing" 3 'has 0 tokens left' crannog run nothing/PLAN.md --budget 0tok
check "show tells the budget" sh -c 'crannog show | grep -q "budget  *0 tokens"'

work cpu cat
long_sources cpu
refuses "CPU seconds too few to begin" 3 'CPU seconds left' crannog run cpu/PLAN.md --budget 0.5cpu-s
refuses "CPU seconds that end in the middle" 3 'CPU seconds left' crannog run cpu/PLAN.md --budget 1.2cpu-s
check "no more than they were used" test "$(used cpu_ns crannog/main/r4)" -le 1200000000
check "with more the same command goes on" crannog run cpu/PLAN.md --budget 500cpu-s

work front cat dog
sed -i 's/^goal:.*/&\nbudget: 1calls/' front/PLAN.md
refuses "a budget in the front matter" 3 'has 0 calls left' crannog run front/PLAN.md
work settings cat dog
echo 'budget: 1calls' >"$CRANNOG/crannog.yaml"
refuses "one in the settings" 3 'has 0 calls left' crannog run settings/PLAN.md
rm "$CRANNOG/crannog.yaml"

work day cat dog
calls=$(used calls crannog)
crannog spend set crannog $((calls + 1))calls --per day >/dev/null
refuses "a day's cap on everything" 3 'budget of crannog has 0 calls left today.*spend set crannog BUDGET --per day' crannog run day/PLAN.md
check "spend shows it" sh -c "crannog spend | grep -q 'crannog  *at most $((calls + 1)) calls a day, used $((calls + 1)) calls'"
crannog spend set crannog 1tok --per month >/dev/null
refuses "a month's cap too" 3 'this month' crannog run day/PLAN.md --budget 900tok
crannog spend set crannog none --per day >/dev/null
crannog spend set crannog none --per month >/dev/null
check "lifted, it goes on" crannog run day/PLAN.md

usage() { refuses "spend $1" 2 "$2" sh -c "crannog spend $1"; }
usage 'set' 'say .set ACCOUNT BUDGET'
usage 'nonesuch' 'say .set ACCOUNT BUDGET'
usage 'set crannog' 'say .set ACCOUNT BUDGET'
usage 'set crannog lots' 'not a budget'
usage 'set crannog -- -5tok' 'not a budget'
usage 'set crannog 5 --per week' 'total, day or month'
usage 'set "a b" 5' 'not an account'
usage 'set other/main 5' 'begin with crannog'
