#!/bin/sh
# Proves what a person does about an agent's run from elsewhere: answers what it asks, lets it try again, stops it, and goes on with it
# by the same words; and that a run whose crannog was killed goes on where it was, with nothing done twice.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/agent.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1

# ---- answers ----

serve <<'JSON'
[{"text": "I must ask.", "calls": [{"name": "ask", "arguments": {"question": "Red or blue?"}}]},
 {"calls": [{"name": "write", "arguments": {"path": "colour", "content": "blue\n"}}], "expect": {"contains": "the blue one, please"}},
 {"text": "It is blue."}]
JSON
refuses "a goal that asks waits" 4 'it asks: Red or blue' goal ask "paint it" --land end
refuses "show says how to answer" 0 'crannog answer r1 "your words"' crannog show r1
check "JSON: it is a question of an agent" sh -c 'crannog show r1 --json | grep -q "\"kind\":\"ask\""'
refuses "an empty answer" 2 'wants some words' crannog answer r1 ' '
refuses "a question that is none" 1 'asks no question 999' crannog answer r1.999 keep
refuses "an answer, and it goes on to its end" 0 'It is blue' crannog answer r1 "the blue one, please"
check "with what it was told" grep -q blue ask/colour
check "the answer stands in the story" entries r1 "[e['text'] for e in v if e['kind'] == 'answered'] == ['the blue one, please']"
refuses "a second answer" 1 'asks nothing' crannog answer r1 retry
long=$(head -c 3000 /dev/zero | tr '\0' x)
serve <<'JSON'
[{"calls": [{"name": "ask", "arguments": {"question": "How long?"}}]}, {"text": "I see."}]
JSON
goal long "ask long" --land end >/dev/null 2>&1
refuses "long words" 0 'I see' crannog answer r2 "$long"
check "are told whole" entries r2 "[len(e['text']) for e in v if e['kind'] == 'answered'] == [3000]"

# ---- trying again ----

serve <<'JSON'
[{"status": 400, "error": "bad request"}, {"text": "Now it works."}]
JSON
refuses "a call that is refused is a question" 4 'crannog answer r3 retry' goal retry "try it" --land end
refuses "retry goes on with it" 0 'Now it works' crannog answer r3 retry

# ---- stop, and the same words again ----

serve <<'JSON'
[{"calls": [{"name": "bash", "arguments": {"command": "echo once >>log; sleep 60"}}]}, {"when": "never", "text": "no"},
 {"calls": [{"name": "bash", "arguments": {"command": "echo twice >>log"}}]}, {"text": "Finished."}]
JSON
goal stop "stop me" --land end >stopped.out 2>&1 &
pid=$!
wait_for sh -c 'crannog show r4 | grep -q "under way"'
refuses "a run that is worked on is not begun twice" 1 'worked on\|process' goal stop "stop me" --land end
refuses "stop from another terminal" 0 'asked process' crannog stop r4
got=0
wait $pid || got=$?
check "it stops at once, as stopped" test $got = 1
check "and says so" grep -q 'r4 stopped' stopped.out
refuses "the same words go on with it" 0 'goes on with r4' goal stop "stop me" --land end
check "nothing of the stopped call is there" sh -c 'test "$(cat stop/log)" = twice || cat stop/log'
refuses "after its end they begin a new one" 4 '.' goal stop "stop me" --land end
check "which is r5" sh -c 'crannog ls --json | grep -q "\"r5\""'
serve <<'JSON'
[{"text": "a"}, {"text": "b"}]
JSON
check "--again begins anew" goal stop "stop me" --land end --again
check "which is r6" sh -c 'crannog ls | grep -q "^r6 .*done"'
refuses "another check is another run" 1 'another check' goal stop "stop me" --land end --verify true

# ---- killed ----

# It answers by what it is told last, so that a call that died is answered again as it was.
serve <<'JSON'
[{"when": "count up", "again": true, "calls": [{"name": "bash", "arguments": {"command": "echo one >>log; echo first"}}]},
 {"when": "first", "again": true, "text": "Slow.", "calls": [{"name": "bash", "arguments": {"command": "sleep 3; echo two >>log; echo second"}}]},
 {"when": "second", "again": true, "calls": [{"name": "bash", "arguments": {"command": "echo three >>log; echo third"}}], "delay_ms": 1500},
 {"when": "third", "again": true, "text": "All three."}]
JSON
# kill_at TEXT: begins or goes on with it, and kills it with all it runs as soon as show says TEXT.
kill_at() {
  setsid crannog run --in killed --model box/scripted --yes --land end "count up" >/dev/null 2>&1 &
  pid=$!
  wait_for sh -c "crannog show r7 2>/dev/null | grep -q '$1'" || echo "  never: $1"
  kill -9 -$pid 2>/dev/null
  wait $pid 2>/dev/null
}
mkdir killed
kill_at 'bash sleep 3.*under way'
kill_at 'is asked now'
refuses "killed twice it goes on and ends" 0 'All three' goal killed "count up" --land end
check "nothing is done twice" sh -c 'test "$(tr "\n" " " <killed/log)" = "one two three "'
check "one run" sh -c 'test "$(crannog ls --json | grep -o "\"r[0-9]*\"" | sort -u | wc -l)" = 7'
check "its goal was said once" events r7 "sum(e['type'] == 'said' for e in v) == 1"
check "each call was finished well once" entries r7 "[e['arguments']['command'] for e in v if e['kind'] == 'call' and e['outcome'] == 'ok'] == ['echo one >>log; echo first', 'sleep 3; echo two >>log; echo second', 'echo three >>log; echo third']"
check "what died is told as lost" entries r7 "any(e.get('outcome') == 'lost' for e in v)"
refuses "the books hold" 1 'every chain, blob and list agrees' crannog doctor --audit
