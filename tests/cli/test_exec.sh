#!/bin/sh
# Proves that `crannog exec` is transparent: status, signals, input and output are the command's; that what it cannot
# do is said; that a stop ends it and books what it can have used; and that a killed one holds no budget for ever.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1
crannog init >/dev/null
check "a first command" crannog exec -- true
for status in 0 1 7 255; do refuses "status $status" $status '' crannog exec -- sh -c "echo; exit $status"; done
refuses "a signal is 128+n" 137 '' crannog exec -- sh -c 'echo; kill -9 $$'
refuses "another signal" 143 '' crannog exec -- sh -c 'echo; kill -TERM $$'
refuses "a command that is not there" 127 'cannot run nonesuch.*No such file' crannog exec -- nonesuch
refuses "a file that is no program" 126 'cannot run /etc/passwd.*Permission denied' crannog exec -- /etc/passwd
refuses "an empty command" 2 'the command is empty' crannog exec -- ''
refuses "no command" 2 'which command' crannog exec --
refuses "a folder that is not there" 2 'no folder ./nowhere' crannog exec --in ./nowhere -- true
refuses "a file instead of a folder" 2 'is not a folder' crannog exec --in /etc/passwd -- true
refuses "the root folder" 2 'root folder cannot be worked in' crannog exec --in / -- true
check "its input is ours" sh -c 'test "$(printf "a\nb\n" | crannog exec -- wc -l)" = 2'
check "its outputs are ours, apart" sh -c 'test "$(crannog exec -- sh -c "echo out; echo err >&2" 2>err)" = out && test "$(cat err)" = err'
check "large output" sh -c 'test "$(crannog exec -- head -c 20000000 /dev/zero | wc -c)" = 20000000'
check "a reader that goes early ends it" sh -c 'test "$(crannog exec -- yes 2>&1 | head -n 1)" = y'
mkdir sub && echo hello >sub/file
check "--in is where it starts" sh -c 'test "$(crannog exec --in sub -- cat file)" = hello'
check "it may write in the folder" sh -c 'crannog exec --in sub -- sh -c "echo x >new" && test "$(cat sub/new)" = x'
refuses "and nowhere else" 2 'ead-only' crannog exec --in sub -- sh -c 'echo x >/usr/file'
check "words with blanks stay whole" sh -c 'test "$(crannog exec -- printf "<%s>" "a b" "" "c")" = "<a b><><c>"'
crannog -C elsewhere/inner init >/dev/null && mkdir -p sub/.crannog && echo secret >sub/.crannog/file
check "the state of the crannog at work is not seen in its folder" \
  test -z "$(crannog -C elsewhere/inner exec -- sh -c 'ls -A elsewhere/inner/.crannog')"
check "nor what another keeps in the folder itself" test -z "$(crannog exec --in sub -- ls -A .crannog)"
check "ls shows the command" sh -c 'crannog ls | grep -q "done  *exec printf"'

# Ctrl-C: ended, 130, and not booked at the hour that was reserved.
latest() { crannog ls --json | python3 -c 'import json,sys; r = json.load(sys.stdin)["runs"][0]; print(r["holder"] if sys.argv[1] == "h" else r["id"])' "$1"; }
runs_now() { [ "$(latest h)" = "$1" ]; }
python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])' crannog exec -- sleep 100 2>"$T/err" &
pid=$!
wait_for runs_now $pid
sleep 0.3
kill -INT $pid
wait $pid
refuses "Ctrl-C ends it with 130" 130 'stopp' sh -c "cat $T/err; exit $?"
cpu_booked() { crannog spend --json | python3 -c '
import json, sys
rows = [a for a in json.load(sys.stdin)["accounts"] if a["account"] == "crannog" and a["unit"] == "cpu_ns"]
print(sum(a["exact"] + a["assumed"] + a["held"] for a in rows) // 10**9)'; }
check "it is booked at what its time allows" test "$(cpu_booked)" -lt 600
crannog exec -- sleep 100.$$ 2>/dev/null &
pid=$!
wait_for runs_now $pid
check "stop from another terminal" sh -c 'crannog stop | grep -q "asked process '$pid' to stop"'
wait $pid
refuses "it has failed" 1 '' sh -c "echo; exit $?"
crannog exec -- sleep 100.$$ 2>/dev/null &
pid=$!
wait_for runs_now $pid
sleep 0.3
kill -9 $pid
wait $pid 2>/dev/null
check "what a killed one held is settled by the next" sh -c 'crannog exec -- true && crannog spend --json | grep -q "\"account\":\"crannog\",\"unit\":\"cpu_ns\"[^}]*\"held\":0"'
check "and not at the hour either" test "$(cpu_booked)" -lt 600
check "nothing of it runs any more" sh -c '! grep -lzx "100\.'$$'" /proc/[0-9]*/cmdline 2>/dev/null | grep -q .'
