#!/bin/sh
# Proves of `crannog` at a terminal, in tmux, with a model that answers from a script and the real jail: a talk that does things
# and shows them; steering, queueing, Esc, a command of one's own, a question of the agent's; a kill -9 in the middle of an answer
# and `-c`; `rm -rf` by the agent and all of it back by Esc Esc; two hundred columns and twenty; no UTF-8; escape sequences in what
# the model says and in a file's name, made visible and not carried out; a person's file in the way of a landing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/talk.sh"

# ---- a task, and all of it taken back ----

echo '# a readme' >"$T/w/README.md"
model <<'END'
[{"text": "Let me **look** first.", "calls": [{"name": "bash", "arguments": {"command": "ls; cat README.md"}}], "usage": {"input": 900, "output": 40}},
 {"calls": [{"name": "write", "arguments": {"path": "src/hello.sh", "content": "#!/bin/sh\necho hello\n"}},
            {"name": "edit", "arguments": {"path": "README.md", "old": "a readme", "new": "the readme"}}], "usage": {"input": 1200, "output": 60}},
 {"text": "It is done.\n\n| file | what |\n|---|---|\n| src/hello.sh | says hello |\n", "usage": {"input": 1300, "output": 20}},
 {"calls": [{"name": "bash", "arguments": {"command": "rm -rf src README.md; ls"}}], "usage": {"input": 1400, "output": 20}},
 {"text": "Everything is clean now.", "usage": {"input": 1500, "output": 20}}]
END
start 80 40 --model mock/m1
keys 'make a script that says hello' Enter
sees "what the person says stands above" '▌ make a script'
sees "a call is a line with what it changed" '✓ edit  README.md  +1 -1'
sees "a table is drawn" 'src/hello.sh │ says hello'
check "its files are in the folder" sh -c "grep -q hello '$T/w/src/hello.sh' && grep -q 'the readme' '$T/w/README.md'"
keys 'tidy up' Enter
sees "it says that it removed everything" 'Everything is clean'
check "and it did" test ! -e "$T/w/README.md"
keys Escape
sleep 0.2
keys Escape
sees "Esc Esc lists what was said" 'tidy up  *.* since'
keys Enter
sees "and asks what is taken back" 'files and talk'
keys Enter
sees "it is taken back" 'are as they were then'
check "every file is there again" sh -c "grep -q hello '$T/w/src/hello.sh' && grep -q 'the readme' '$T/w/README.md'"
sees "what was said is in the box again" '› tidy up'
keys C-u
keys C-d
sees "it says how to go on" 'crannog -c'

# ---- steering, queueing, stopping, a question ----

model <<'END'
[{"text": "Working.", "calls": [{"name": "bash", "arguments": {"command": "sleep 2; echo one"}}, {"name": "bash", "arguments": {"command": "echo no > never"}}], "usage": {"input": 900, "output": 40}},
 {"text": "You steered me.", "usage": {"input": 900, "output": 40}},
 {"text": "That one waited.", "usage": {"input": 900, "output": 40}},
 {"calls": [{"name": "ask", "arguments": {"question": "Tabs or blanks?", "options": ["tabs", "blanks"]}}], "usage": {"input": 900, "output": 40}},
 {"text": "Tabs it is.", "usage": {"input": 900, "output": 40}},
 {"text": "word word word word word word word word word word word word word word word word word word word word word word", "chunk": 5, "chunk_delay_ms": 150, "usage": {"input": 900, "output": 40}},
 {"text": "After the stop.", "usage": {"input": 900, "output": 40}},
 {"text": "this answer is killed in its middle this answer is killed in its middle this answer is killed in its middle", "chunk": 5, "chunk_delay_ms": 150, "usage": {"input": 900, "output": 40}},
 {"text": "Whole again.", "usage": {"input": 900, "output": 40}}]
END
start 200 50 --model mock/m1
keys 'begin' Enter
sees "an act that runs shows its time" 'bash  sleep 2.*s$'
keys 'do it otherwise' Enter
keys 'and then this' M-Enter
sees "what waits is shown" 'do it otherwise'
sees "it is heard after the step" 'You steered me'
sees "what was queued comes when it is done" 'That one waited'
check "the calls that it meant to make are dropped" test ! -e "$T/w/never"
wait_for idle
keys '!echo $((6*7))' Enter
sees "a command of one's own runs in the jail" '│ 42'
wait_for idle
keys 'which style' Enter
sees "a question of the agent's, with choices" '• blanks\|- blanks\|blanks'
sees "the status says so" 'asks you'
keys 'tabs' Enter
sees "its answer is heard" 'Tabs it is'
wait_for idle
keys 'talk' Enter
sees "an answer comes as it is made" 'word word word'
keys Escape
wait_for idle
check "Esc ends it" idle
keys 'still there?' Enter
sees "and it can be spoken to" 'After the stop'
wait_for idle
keys 'more' Enter
sees "another answer begins" 'killed in its middle'
pid=$(tm display-message -p '#{pane_pid}')
kill -9 "$pid"
# Asked of the kernel: tmux sometimes does not notice that its program has died.
is_dead() { ! grep -q '^State:.[^Z]' "/proc/$pid/status"; }
wait_for is_dead
check "killed in the middle of it" is_dead
start 80 40 -c
sees "-c goes on with the talk by itself" 'Whole again'
sees "and shows what was said" 'still there'
keys C-d

# ---- bad input ----

name=$(printf 'evil\033[2J')
: >"$T/w/$name"
model <<'END'
[{"text": "clear \u001b[2J\u001b]0;owned\u0007 and \u202egnp.exe, a long line without any blank: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "calls": [{"name": "bash", "arguments": {"command": "ls"}}], "usage": {"input": 900, "output": 40}},
 {"text": "Done with that.", "usage": {"input": 900, "output": 40}},
 {"text": "Short.", "usage": {"input": 900, "output": 40}},
 {"text": "Plain.", "usage": {"input": 900, "output": 40}}]
END
start 80 30 --model mock/m1
keys 'go' Enter
sees "escape sequences of the model are shown, not carried out" 'clear ␛\[2J'
sees "those of a file's name too" 'evil'
sees "and it goes on" 'Done with that'
check "the terminal's title was not set" sh -c "! tmux -S '$socket' display-message -p '#{pane_title}' | grep -q owned"
keys C-d
start 20 10 --model mock/m1
keys 'hi' Enter
sees "twenty columns" 'Short'
check "no row is wider" sh -c "! tmux -S '$socket' capture-pane -p | grep -q '.\{21\}'"
keys C-d
LOCALE='LC_ALL=C LANG=C'
start 80 20 --model mock/m1
keys 'hi' Enter
sees "without UTF-8" 'Plain'
check "only ASCII is drawn" sh -c "! tmux -S '$socket' capture-pane -p | LC_ALL=C grep -q '[^ -~]'"
keys C-d
LOCALE='LANG=C.UTF-8'

# ---- a person's file in the way ----

model <<'END'
[{"calls": [{"name": "bash", "arguments": {"command": "sleep 1.5; echo agent > shared.txt"}}], "usage": {"input": 900, "output": 40}},
 {"text": "I wrote it.", "usage": {"input": 900, "output": 40}}]
END
start 80 30 --model mock/m1
keys 'write shared.txt' Enter
sees "it works" 'bash  sleep'
echo person >"$T/w/shared.txt"
sees "the person is asked" 'replace mine'
check "their version is untouched" grep -q person "$T/w/shared.txt"
keys 'leave' Enter
sees "and the talk goes on" 'I wrote it'
check "it stays theirs" grep -q person "$T/w/shared.txt"
keys C-d
exit 0
