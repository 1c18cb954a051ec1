#!/bin/sh
# Proves what an agent that was turned against its person cannot do: change the history of the repository that its commit goes
# into, reach the terminal with escapes, spend what is not counted. And that a commit that was killed while it landed lands.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/agent.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1

# repository FOLDER: one with a commit of a file f.
repository() {
  git init -q -b main "$1" && git -C "$1" config user.email a@example.org && git -C "$1" config user.name A &&
    echo "as it was" >"$1/f" && git -C "$1" add f && git -C "$1" commit -qm one
}

# ---- its commit ----

# A later object under whose name another's bytes lie, the same for one of the history, a hook, links, a branch of its own.
cat >turn.sh <<'SH'
at() { echo ".git/objects/$(echo "$1" | cut -c1-2)/$(echo "$1" | cut -c3-)"; }
evil=$(at "$(echo EVIL | git hash-object -w --stdin)")
later=$(at "$(echo later | git hash-object --stdin)") was=$(at "$(git rev-parse HEAD:f)")
mkdir -p "$(dirname "$later")" .git/refs/heads/crannog .git/hooks
cp "$evil" "$later"; rm -f "$was"; cp "$evil" "$was"
printf '#!/bin/sh\necho x >.git/objects/hooked\n' >.git/hooks/reference-transaction
chmod +x .git/hooks/reference-transaction
echo junk >.git/objects/info/commit-graph
ln -s /etc .git/objects/zz
cp .git/refs/heads/main .git/refs/heads/crannog/other
echo done >made
SH
repository turned
cp turn.sh turned/turn.sh
serve <<'JSON'
[{"calls": [{"name": "bash", "arguments": {"command": ". ./turn.sh"}}]}, {"text": "Done."}]
JSON
refuses "an agent that wrote into .git makes its commit" 0 'crannog/r1' goal turned "turn" --model box/scripted
cd turned || exit 1
check "what it made is in it" sh -c 'test "$(git show crannog/r1:made)" = done'
check "the history is as it was" sh -c 'test "$(git show main:f)" = "as it was"'
check "no object has another's name" sh -c 'test -z "$(git fsck 2>&1)" || git fsck'
check "nothing else of it is in .git" sh -c \
  'test -z "$(find .git -name hooked -o -name zz -o -name other -o -name commit-graph -o -name crannog-commit -o -name reference-transaction)"'
cd ..

# taken NAME: a repository that has the branch NAME already.
taken() {
  repository taken && git -C taken branch "$1" && git -C taken pack-refs --all
  serve <<'JSON'
[{"calls": [{"name": "write", "arguments": {"path": "made", "content": "x"}}]}, {"text": "Done."}]
JSON
}
taken crannog/r2
refuses "a branch that is there is not replaced" 4 'there is a branch crannog/r2 already' goal taken "take"
check "it is as it was" sh -c 'test "$(git -C taken rev-parse crannog/r2)" = "$(git -C taken rev-parse main)"'
git -C taken branch -m crannog/r2 mine
check "with another name there is room" crannog answer r2 retry
check "for this one" git -C taken show crannog/r2:made
rm -rf taken
taken crannog
refuses "nor is there room below a branch crannog" 4 'there is a branch crannog already' goal taken "take"

# ---- the terminal ----

serve <<'JSON'
[{"text": "Hello.", "calls": [{"name": "\u001b]52;c;RVZJTA==\u0007\u202e", "arguments": {}}, {"name": "read", "arguments": {"path": "\u001b]0;x\u0007"}}]},
 {"status": 500, "error": "\u001b]0;x\u0007\u009b31m"}, {"text": "Done."}]
JSON
goal says "say it" --land end >says.out 2>&1
for what in '' --all --history --json; do crannog show r4 $what; done >>says.out 2>&1
crannog ls >>says.out 2>&1
check "no escape of a model or a server reaches the terminal" python3 -c "
import re
found = re.findall(rb'[\\x00-\\x08\\x0b-\\x1f\\x7f]|\\xc2[\\x80-\\x9f]', open('says.out', 'rb').read())
assert not found, found"

# ---- money ----

serve <<'JSON'
[{"raw": "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"paid for\"}}]}\n\ndata: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n"},
 {"text": "Done."}]
JSON
check "an answer that an error ends" goal paid "pay" --land end --budget 100000tok
check "is paid for at its worst" events r5 \
  "[e['payload']['how'] for e in v if e['type'] == 'step.finished' and 'fault' in e['payload']['result']] == ['assumed']"

# ---- killed while its commit landed ----

# The folder's lock is held, so that its landing waits; then its crannog is killed.
repository landed
serve <<'JSON'
[{"calls": [{"name": "write", "arguments": {"path": "made", "content": "x"}}]}, {"text": "Done."}]
JSON
python3 - <<'PY'
import fcntl, os, subprocess, time
lock = os.open('landed', os.O_RDONLY)
fcntl.flock(lock, fcntl.LOCK_EX)
run = subprocess.Popen(['crannog', 'run', '--in', 'landed', '--model', 'box/scripted', '--yes', 'land it'],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for _ in range(300):
    said = subprocess.run(['crannog', 'show', 'r6', '--history'], capture_output=True, text=True).stdout
    if 'stage="apply"' in said:
        break
    time.sleep(0.1)
run.kill()
run.wait()
PY
refuses "a commit whose landing was killed lands with the next command" 0 'r6 died while .* all there now' crannog exec -- true
check "whole" sh -c 'git -C landed show crannog/r6:made >/dev/null && git -C landed fsck'
