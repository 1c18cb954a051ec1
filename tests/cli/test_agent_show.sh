#!/bin/sh
# Proves of `crannog show` for an agent's run: it tells in order what was said, answered and done, with money, failures and why each
# step was allowed; outputs are cut unless --all; --json has the same; --follow tells it as it comes and ends with the run; what models
# and tools say does not steer the terminal; and `ls` names it. Plans keep what they have.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/agent.sh"
PATH=$BIN:$PATH
export TERM=xterm
esc=$(printf '\033')
cd "$T" || exit 1
serve <<'JSON'
[{"text": "I look first.", "reasoning": "thinking hard", "calls": [{"name": "bash", "arguments": {"command": "seq 40; printf '\\033[31mred\\n'"}}],
  "usage": {"input": 1200, "output": 50, "cache_read": 800}},
 {"status": 529, "error": "overloaded", "retry_after_ms": 50},
 {"calls": [{"name": "write", "arguments": {"path": "a.txt", "content": "one\ntwo\n"}},
            {"name": "edit", "arguments": {"path": "a.txt", "edits": [{"old": "two", "new": "zwei"}]}},
            {"name": "bash", "arguments": {"command": "exit 3"}}]},
 {"text": "Done \u001b[31mI say."},
 {"text": "Mended.", "calls": [{"name": "bash", "arguments": {"command": "touch b.txt"}}]},
 {"text": "Now it is well."}]
JSON
check "a goal" goal work "make a.txt" --land end --verify 'test -f b.txt' --budget '50000tok,90calls'
crannog show >out
check "said, then answered, then done" python3 - <<'PYTHON'
text = open('out').read()
at = [text.index(words) for words in ('you\n  make a.txt', 'I look first.', 'bash seq 40', '529', 'write a.txt', 'edit a.txt',
                                      'bash exit 3', 'I say.', 'check test -f b.txt', 'Mended.', 'Now it is well.', 'landing 2 paths', '  ended')]
assert at == sorted(at), at
PYTHON
check "tokens of a call" grep -q '1,200 tokens in (800 cached).* 50 out' out
check "a failure with its reason" grep -q 'failed: .*529' out
check "lines of a change" grep -q 'edit a.txt  (+1 -1' out
check "and the change" grep -q '+zwei' out
check "a status" grep -q '! bash exit 3  (status 3' out
check "a check that failed" grep -q '! check test -f b.txt  (status 1' out
check "why a call was allowed" grep -q 'allowed: .* tokens, 1 call of 50,000 tokens, 90 calls left' out
check "what is left goes down" grep -q 'allowed: .* of 48,750 tokens, 89 calls left' out
check "its account" grep -q 'account *crannog/main/r1' out
check "an output is cut" sh -c 'grep -q "35 more lines" out && ! grep -q "│ 30\|| 30" out'
check "how it is taken back" grep -q 'crannog undo r1' out
check "no colours in a file, nothing steers the terminal" sh -c "! grep -q '$esc' out"
crannog show r1 --all >all
check "--all shows all" grep -q '\(│\||\) 30$' all
check "--all says why each step was allowed" grep -q 'allowed: 600.0 CPU seconds .*grant 0, crannog/main/r1' all
check "--all shows what it thought" grep -q 'thinking hard' all
check "controls of a model are visible" grep -q 'x1b\[31mI say' all

check "JSON: kinds in order" entries r1 "[e['kind'] for e in v if e['kind'] in ('said', 'model', 'call', 'check', 'landing', 'ended')] == ['said', 'model', 'call', 'model', 'model', 'call', 'call', 'call', 'model', 'check', 'model', 'call', 'model', 'check', 'landing', 'ended']"
check "JSON: a call" entries r1 "[e for e in v if e['kind'] == 'call'][1]['arguments']['path'] == 'a.txt' and [e['added'] for e in v if e.get('tool') == 'edit'] == [1]"
check "JSON: what a call of the model used" entries r1 "[(e['in'], e['out'], e['cache_read'], e['how'], e['used'].get('tokens')) for e in v if e['kind'] == 'model'][0] == (1200, 50, 800, 'exact', 1250)"
check "JSON: money in all is the sum" sh -c 'crannog show r1 --json | python3 -c "
import json, sys
v = json.load(sys.stdin)
assert v[\"used\"][\"tokens\"] == sum(e.get(\"used\", {}).get(\"tokens\", 0) for e in v[\"entries\"]) == 1250 + 4 * 15, v[\"used\"]"'
check "JSON: left is the budget less what was used" entries r1 "all(e['allowed']['left']['tokens'] == 50000 - sum(f.get('used', {}).get('tokens', 0) for f in v[:i]) for i, e in enumerate(v) if 'allowed' in e)"
check "ls names it" sh -c 'crannog ls | grep -q "r1 .*make a.txt"'
refuses "--follow of what is over ends" 0 'Now it is well' timeout 10 crannog show r1 --follow
refuses "--blob still" 2 'is not a hash' crannog show --blob x

# As it comes.
serve <<'JSON'
[{"text": "Slowly.", "calls": [{"name": "bash", "arguments": {"command": "sleep 2; echo slept"}}]}, {"text": "That is all."}]
JSON
goal work2 "sleep a little" --land end >/dev/null 2>&1 &
worker=$!
wait_for sh -c 'crannog show r2 2>/dev/null | grep -q Slowly'
crannog show r2 >now
check "what is under way" grep -q 'bash sleep 2.*under way' now
timeout 20 crannog show r2 --follow >followed &
follower=$!
timeout 20 crannog show r2 --follow --json >followed.json
wait $follower
check "--follow ends with the run" sh -c 'grep -q "That is all." followed && grep -q slept followed && grep -q ended followed'
check "--follow tells each once" sh -c 'test $(grep -c "That is all" followed) = 1'
check "--follow --json: an entry a line" sh -c 'python3 -c "
import json
v = [json.loads(l) for l in open(\"followed.json\")]
assert v[0][\"kind\"] == \"started\" and v[-1][\"kind\"] == \"ended\" and sum(e[\"kind\"] == \"call\" for e in v) == 1"'
wait $worker

# On a terminal.
cat >terminal.py <<'PYTHON'
"""terminal.py COLUMNS COMMAND...: what it writes to a terminal of that width. $KEYS: "seen=typed" pairs, each typed when its
words were seen, in order."""
import fcntl, os, pty, struct, sys, termios, time
keys = [pair.split('=') for pair in os.environ.pop('KEYS', '').split(',') if pair]
pid, fd = pty.fork()
if pid == 0:
    time.sleep(0.2)
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
data = b''
while True:
    try:
        got = os.read(fd, 65536)
    except OSError:
        got = b''
    if not got:
        break
    data += got
    if keys and keys[0][0].encode() in data:
        time.sleep(0.3)
        os.write(fd, keys.pop(0)[1].replace('ENTER', '\r').replace('ESC', '\033').encode())
sys.stdout.buffer.write(data.replace(b'\r\n', b'\n'))
PYTHON
PAGER=cat LC_ALL=C.UTF-8 python3 terminal.py 80 crannog show r1 >seen
check "coloured on a terminal" grep -q "$esc\[" seen
check "no colour but our own" sh -c "! grep -q '$esc\[31mI say' seen"
PAGER=cat LC_ALL=C.UTF-8 NO_COLOR=1 python3 terminal.py 50 crannog show r1 >seen
check "NO_COLOR" sh -c "! grep -q '$esc\[' seen"
check "acts and outputs fit the width" python3 -c "
rows = [row for row in open('seen', encoding='utf-8').read().split('\\n') if row.startswith(('  ·', '  !', '    │'))]
assert len(rows) > 10 and max(map(len, rows)) <= 50, rows"
check "paged" sh -c 'PAGER="sed s/^/PAGED/" LC_ALL=C.UTF-8 python3 terminal.py 80 crannog show r1 | grep -q ^PAGED'

# The list.
export PAGER=cat LC_ALL=C.UTF-8 TERM=xterm
check "ls is a list to choose from, Esc leaves" sh -c 'KEYS=Runs=ESC timeout 20 python3 terminal.py 80 crannog ls | grep -q "make a.txt.*r1, done"'
check "it names folder and model" sh -c 'KEYS=Runs=ESC timeout 20 python3 terminal.py 120 crannog ls | grep -q "work, box/scripted"'
check "Enter opens: typed for, looked at" sh -c 'KEYS="Runs=make aENTER,was said and done=ENTER" timeout 20 python3 terminal.py 80 crannog ls | grep -q "Now it is well"'
check "--plain is lines" sh -c 'timeout 20 python3 terminal.py 80 crannog ls --plain | grep -q "^r1 .*done .*make a.txt"'
check "piped too" sh -c 'crannog ls | grep -q "^r1 .*make a.txt"'

check "an undo" crannog undo r1
refuses "it is told" 0 'r3 takes changes of it back: done' crannog show r1
refuses "--all is for agents" 2 'for the run of an agent' sh -c 'crannog exec -- true; crannog show --all'
