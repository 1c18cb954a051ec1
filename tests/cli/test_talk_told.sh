#!/bin/sh
# Proves that a talk at a terminal does not leave a person guessing: a command of theirs may be its first word; a command is known
# by its beginning; what was stopped says so; a question about a landing is asked again, after Esc and by `-c`; what was queued
# waits behind what steers; files taken back start nothing; `-c` shows how each call ended; an edit is what it changes; a
# long paste is shown short; no dollars of a model without a price, and no run that a budget in dollars keeps from its first step.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/talk.sh"

# ---- the first word, and commands ----

model <<'END'
[{"text": "Setting a hook.", "calls": [{"name": "bash", "arguments": {"command": "mkdir -p .git/hooks; echo exit 0 > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"}}]},
 {"text": "I hear you now."},
 {"text": "Going on."}]
END
start 100 50 --model mock/m1
keys '!echo $((6*7))' Enter
sees "a command of one's own may be the first word" '│ 42'
keys '/he' Enter
sees "a command is known by its beginning" 'Esc stops what it does'
check "its list is one block" sh -c "tmux -S '$socket' capture-pane -p -S -200 | grep -A1 '^  /help' | grep -q '^  /model'"
keys '/bogus' Enter
sees "one that is unknown is named" 'no command /bogus'
keys '/cost' Enter
sees "no dollars where no price is known" 'nobody knows what it costs in money'
check "nor in the line of figures" sh -c "! tmux -S '$socket' capture-pane -p | grep -q 'm1  [$]'"

# ---- a question that was left ----

keys 'set a hook' Enter
sees "what runs by itself is asked about" 'put it there'
keys Escape
sees "left alone it says what that means" 'you are asked again'
keys 'hello' Enter
sees "and a word asks again" 'put it there'
keys Escape
sees "left again" '↳ hello'
keys C-d
sees "the talk is left" '-c. goes on'
start 100 50 -c
sees "-c asks too" 'put it there'
keys Enter
sees "and goes on with what was said" 'I hear you now'
check "it is there" test -x "$T/w/.git/hooks/pre-commit"
keys C-d

# ---- stopped, steered and queued, taken back ----

printf 'one\ntwo\nthree\n' >"$T/w/a.txt"
model <<'END'
[{"text": "Changing.", "calls": [{"name": "edit", "arguments": {"path": "a.txt", "old": "one\ntwo\nthree", "new": "one\n2\nthree"}}, {"name": "bash", "arguments": {"command": "false"}}]},
 {"text": "slow slow slow slow slow slow slow slow slow slow", "chunk": 5, "chunk_delay_ms": 150, "calls": [{"name": "bash", "arguments": {"command": "echo no > never"}}]},
 {"text": "You steered me."},
 {"text": "That one waited."},
 {"text": "I look again."},
 {"text": "word word word word word word word word word word word word word word word word word word word word word word", "chunk": 5, "chunk_delay_ms": 200}]
END
start 100 50 --model mock/m1
keys 'change it' Enter
sees "an edit is what it changes" '│ -two'
check "and not what stays" sh -c "! tmux -S '$socket' capture-pane -p -S -200 | grep -q '│ [-+]one'"
sees "it thinks" 'slow slow'
keys 'otherwise' Enter
keys 'and this after' M-Enter
sees "a word steers" 'You steered me'
sees "what was queued comes behind it" 'That one waited'
wait_for idle
before=$(asked)
keys '/undo' Enter
wait_for shows 'before which'
keys 'change' Enter
wait_for shows 'What is taken back'
keys Down Enter
sees "files alone are taken back" 'the files are as they were then'
check "they are" grep -q two "$T/w/a.txt"
sleep 1
check "and nobody asked the model for anything" test "$(asked)" = "$before"
keys 'go on' Enter
sees "with the next word it goes on" 'I look again'
check "and the model knows" grep -q 'I took the files back' "$T/log"
wait_for idle
keys 'talk' Enter
sees "it answers" 'word word'
keys Escape
sees "what was stopped says so" 'it was stopped here; say how to go on'
keys C-d
wait_for sh -c "! crannog ls | grep -q 'open elsewhere'"
check "ls says how to go on with it" sh -c "crannog ls | grep -q 'stopped, go on with -r *change it'"
start 100 50 -c
sees "-c says how a call ended: well" '✓ edit  a.txt'
sees "-c says how a call ended: failed" '✗ bash  false'
sees "-c says how a call ended: never begun" '■ bash  echo no'
check "and it was not" test ! -e "$T/w/never"
sees "-c says where it stands" 'it goes on with your next word'
keys C-d

model <<'END'
[{"text": "I read it."}]
END
seq -f 'line %g of a log' 500 >"$T/paste"
start 100 50 --model mock/m1
tm load-buffer "$T/paste" \; paste-buffer -p
wait_for shows 'pasted 500 lines'
keys Enter
sees "a long paste is shown by its beginning" '… 488 lines more'
sees "and is said whole" 'I read it'
check "to the last line" grep -q 'line 500 of a log' "$T/log"
keys C-d

# ---- a budget in dollars on a model without a price ----

model <<'END'
[{"text": "Done."}, {"text": "Done."}]
END
cd "$T/w" || exit 1
crannog run 'say done' --model mock/m1 --budget 2 --yes --no-branch >"$T/out" 2>&1
check "it is refused before it begins" test $? = 2
check "with what to do" grep -q 'budget in dollars cannot be kept; give one in tokens' "$T/out"
check "no run is left of it" sh -c "! crannog ls | grep -q 'say done'"
check "in tokens it works" crannog run 'say done' --model mock/m1 --budget 200000tok --yes --no-branch
exit 0
