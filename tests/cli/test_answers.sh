#!/bin/sh
# Proves that a person's file is kept until they say otherwise, that keep and replace do what they say and what was
# replaced can be got back, that answers are taken with and without a process on the run, and wrong ones refused.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
work one cat dog
mkdir one/notes && echo 'my own cat' >one/notes/cat.md && echo 'my own dog' >one/notes/dog.md
refuses "what was there is asked about" 4 'notes/cat.md was there before' crannog run one/PLAN.md
check "and kept" grep -q 'my own cat' one/notes/cat.md
question() { crannog show --json | python3 -c '
import json, sys
for item in json.load(sys.stdin)["items"]:
    for piece in item["pieces"]:
        if piece.get("source") == sys.argv[1]: print(piece["question"])' "$1"; }
cat=$(question sources/cat.txt) dog=$(question sources/dog.txt)
check "ls says who is waited for" sh -c 'crannog ls | grep -q "waiting for you"'
check "show says what can be answered" sh -c "crannog show | grep -q 'crannog answer $cat keep | replace'"

refuses "no such question" 1 'asks no question 99' crannog answer r1.99 keep
refuses "no such run" 1 'no run r7' crannog answer r7.1 keep
refuses "no name of a question" 2 'not a question' crannog answer nonesuch keep
refuses "no answer" 2 "'yes' is no answer" crannog answer "$cat" yes
refuses "an answer to another question" 2 'takes keep | replace' crannog answer "$cat" retry
refuses "one that none of them takes" 2 'no open question of r1 takes skip' crannog answer r1 skip
refuses "half an answer" 2 'which question and the answer' crannog answer "$cat"
check "none of that changed anything" test "$(question sources/cat.txt)" = "$cat"

check "keep" sh -c "crannog answer $cat keep | grep -q 'go on with the same'"
refuses "an answer counts once" 1 'asks no question' crannog answer "$cat" replace
check "replace" sh -c "crannog answer $dog replace | grep -q 'how to get it back'"
check "the file is still there" grep -q 'my own dog' one/notes/dog.md
echo 'edited once more' >>one/notes/dog.md
refuses "replace was said of what lay there then" 4 'notes/dog.md was .* edited since' crannog run one/PLAN.md
check "the edit is still there" grep -q 'edited once more' one/notes/dog.md
crannog answer r1 replace >/dev/null
check "said again, the run ends" crannog run one/PLAN.md
check "kept is kept" test "$(cat one/notes/cat.md)" = 'my own cat'
check "replaced is replaced" grep -q 'sources/dog.txt' one/notes/dog.md
hash=$(crannog show | sed -n 's/.*crannog show --blob \([0-9a-f]*\)$/\1/p')
check "what was replaced can be got back, as it was last" sh -c "test \"\$(crannog show --blob $hash)\" = \"\$(printf 'my own dog\nedited once more')\""
refuses "another hash" 1 'blob' crannog show --blob "$(echo "$hash" | tr 0-9a-f 1-9a-f0)"
refuses "no hash" 2 'not a hash' crannog show --blob nonesuch

# A note edited after it landed survives later runs.
work two cat
crannog run two/PLAN.md 2>/dev/null
echo 'a person was here' >>two/notes/cat.md && cp two/notes/cat.md edited
check "walked again, nothing happens" crannog run two/PLAN.md
refuses "started anew, it asks" 4 'edited since' crannog run two/PLAN.md --again
check "the edited note is as it was" cmp edited two/notes/cat.md
crannog answer r3 keep >/dev/null
check "kept, the run ends" crannog run two/PLAN.md
check "and still it is as it was" cmp edited two/notes/cat.md
rm two/notes/cat.md
check "started anew without one, it is written" crannog run two/PLAN.md --again
check "a note that nobody touched may be replaced by the next run" crannog run two/PLAN.md --again

# With a process on the run the answer is taken up at once.
work three cat dog
mkdir three/notes && echo 'my own cat' >three/notes/cat.md
long_sources three
echo 'A cat.' >three/sources/cat.txt
crannog run three/PLAN.md >first 2>&1 &
asked() { [ -n "$(question sources/cat.txt)" ]; }
wait_for asked
check "an answer while it runs" sh -c "crannog answer $(question sources/cat.txt) replace | grep -q 'takes it up'"
wait $!
refuses "ends the run without calling it again" 0 'r6 done' sh -c "cat first; exit $?"
check "it was replaced" grep -q 'sources/cat.txt' three/notes/cat.md

# What a command changed waits for a word; nobody calls its run again, so the answer is carried out at once.
mkdir w && echo v1 >w/f
id() { crannog ls --json | python3 -c 'import json, sys; print(max(int(r["id"][1:]) for r in json.load(sys.stdin)["runs"]))'; }
crannog exec --in w --ask -- sh -c 'echo v2 >f' 2>/dev/null
check "show says what it asks" sh -c "crannog show | grep -q 'crannog answer r$(id).2 apply | skip'"
check "an answer puts it there" sh -c "crannog answer r$(id) apply && grep -q v2 w/f"
crannog exec --in w --ask -- sh -c 'echo v3 >f' 2>/dev/null
check "or leaves it" sh -c "crannog answer r$(id) skip && grep -q v2 w/f"
check "and the run is done" sh -c "crannog show | grep -q '^r$(id)  done'"

# A plan that went on after its undo would take the notes that are gone for done.
work half cat dog
refuses "a plan is cut short" 3 'calls left' crannog run half/PLAN.md --budget 1calls
check "and taken back" crannog undo
check "all of it" test ! -e half/notes
refuses "it is not gone on with" 1 'took it back before its end' crannog run half/PLAN.md --budget 9calls
check "but walked anew" crannog run half/PLAN.md --budget 9calls --again
check "whole" test -s half/notes/cat.md -a -s half/notes/dog.md
