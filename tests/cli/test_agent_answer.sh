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
[{"calls": [{"name": "bash", "arguments": {"command": "echo once >>log; test -e go || sleep 60"}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "echo twice >>log"}}]}, {"text": "Finished."}, {"status": 400, "error": "no more"}]
JSON
goal stop "stop me" --land end >stopped.out 2>&1 &
pid=$!
wait_for sh -c 'crannog show r4 | grep "echo once" | grep -q "under way"' # not the question before it, whose answer would be lost
refuses "a run that is worked on is not begun twice" 1 'worked on\|process' goal stop "stop me" --land end
refuses "stop from another terminal" 0 'asked process' crannog stop r4
got=0
wait $pid || got=$?
check "it stops at once, as stopped" test $got = 1
check "and says so" grep -q 'r4 stopped' stopped.out
check "nothing of the stopped call is there" test ! -e stop/log
touch stop/go
refuses "the same words go on with it" 0 'goes on with r4' goal stop "stop me" --land end
check "the call that was stopped is done once" sh -c 'test "$(tr "\n" " " <stop/log)" = "once twice "'
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

# ---- a talk that lives ----

serve <<'JSON'
[{"calls": [{"name": "ask", "arguments": {"question": "Cat or dog?"}}]},
 {"text": "So it is a dog.", "expect": {"contains": "a dog, from elsewhere"}}, {"text": "Good night."}]
JSON
cat >talk.py <<'PYTHON'
"""talk.py UNTIL COMMAND...: plays it on a terminal until it has shown these words, then leaves it by Ctrl-D."""
import fcntl, os, pty, select, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    time.sleep(0.2)
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
data, left, end = b'', False, time.time() + 60
while time.time() < end:
    if not left and sys.argv[1].encode() in data:
        time.sleep(0.5)
        os.write(fd, b'\x04')
        left = True
    if select.select([fd], [], [], 0.1)[0]:
        try:
            got = os.read(fd, 65536)
        except OSError:
            break
        if not got:
            break
        data += got
sys.stdout.buffer.write(data)
PYTHON
mkdir pets
TERM=xterm python3 talk.py 'So it is a dog.' crannog --model box/scripted --in pets "which pet is it" >talked &
talker=$!
wait_for sh -c 'crannog show r8 2>/dev/null | grep -q "it asks: Cat or dog"'
refuses "a talk that lives takes the answer up" 0 'takes it up' crannog answer r8 "a dog, from elsewhere"
wait $talker
check "and goes on with it" grep -q 'So it is a dog.' talked
check "its story has the answer once" entries r8 "[e['text'] for e in v if e['kind'] == 'answered'] == ['a dog, from elsewhere']"
refuses "show says how to go on" 0 'crannog -c r8 goes on' crannog show r8
TERM=xterm python3 talk.py 'So it is a dog.' crannog -c --in pets r8 >talked
check "crannog -c RUN goes on with that one" grep -q 'which pet is it' talked
