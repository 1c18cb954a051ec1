#!/bin/sh
# Proves what `crannog login` does: it says what there is and makes nothing; a key is asked for without echo or read from standard
# input, tried, kept sealed, forgotten; one that is refused replaces none; and a key is nowhere else: no argument, no environment of
# a program, no file below the crannog or the home, no core, no screen. Other programs' logins are not read. A model that was chosen
# is never exchanged for another.
#
# Planted and caught, one at a time: the key in plain in the vault, echo left on, the environment not wiped, a refused key kept, the
# next model taken when the chosen one has no key.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
export HOME="$T/home"
mkdir "$HOME" "$T/core"
good=sk-canary-5f1e9a7c44b0 bad=sk-canary-wrong-0000 env_key=sk-canary-environment-77
canary=sk-canary

# serve NAME ARGUMENT...: a model server; its address is in $T/NAME.base.
servers=
serve() {
  name=$1
  shift
  echo '[]' >"$T/$name.script"
  python3 "$ROOT/tests/model/scripted.py" --script "$T/$name.script" --ready "$T/$name.ready" --log "$T/$name.log" --max-seconds 300 "$@" &
  servers="$servers $!"
  wait_for test -s "$T/$name.ready" || { echo "  no server"; exit 1; }
  echo "http://127.0.0.1:$(cat "$T/$name.ready")/v1" >"$T/$name.base"
}
end_servers() {
  [ -z "$servers" ] || kill $servers 2>/dev/null
  finish
}
trap end_servers EXIT

# ---- what there is ----

refuses "nothing is there: three ways" 0 'crannog login --base URL NAME' crannog login
check "asking made nothing" test ! -e "$CRANNOG"
mkdir -p "$HOME/.claude" "$HOME/.ollama/models/manifests/host.example/library/qwen3" "$HOME/.lmstudio/models/a/b"
echo "secret-of-claude" >"$HOME/.claude/.credentials.json"
echo control >"$T/control"
touch -a -d 2001-01-01 "$HOME/.claude/.credentials.json" "$T/control"
echo x >"$HOME/.ollama/models/manifests/host.example/library/qwen3/4b"
echo x >"$HOME/.lmstudio/models/a/b/gemma.gguf"
ln -s . "$HOME/.lmstudio/models/circle"
refuses "another program's login is told" 0 'Claude Code is logged in.*crannog exec -- claude' crannog login
refuses "models of other programs are told" 0 'qwen3:4b, of Ollama' crannog login
refuses "and their files" 0 'gemma.gguf .*of LM Studio' crannog login
cat "$T/control" >/dev/null
if [ "$(stat -c %X "$T/control")" -gt 1000000000 ]; then
  check "a login of another program is not read" test "$(stat -c %X "$HOME/.claude/.credentials.json")" -lt 1000000000
else
  skip "a login of another program is not read" "this disk keeps no times of reading"
fi
refuses "a key in the environment" 0 'Takes *anthropic/' env ANTHROPIC_API_KEY=$env_key crannog login
check "asking still made nothing" test ! -e "$CRANNOG"

crannog init >/dev/null
touch "$CRANNOG/.crannog/models/small.gguf"
refuses "the own small model is no answer to a goal" 0 'not asked for anything else' crannog login
serve local --models qwen3:0.6b,nomic-embed-text,qwen3:8b
echo "servers: {ollama: \"$(cat "$T/local.base")\"}" >"$CRANNOG/crannog.yaml"
refuses "a local server is found, the largest model first" 0 'Takes *ollama/qwen3:8b' crannog login
check "a model for embeddings is none" sh -c '! crannog login | grep -q embed'
check "--json" sh -c 'crannog login --json | python3 -c "import json,sys; assert json.load(sys.stdin)[\"takes\"] == \"ollama/qwen3:8b\""'
refuses "a key is preferred to a local server" 0 'Takes *anthropic/' env ANTHROPIC_API_KEY=$env_key crannog login

# A server that takes the connection and says nothing costs less than a second.
python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(300)' >"$T/mute" &
servers="$servers $!"
wait_for test -s "$T/mute"
echo "servers: {mute: \"http://127.0.0.1:$(cat "$T/mute")/v1\", ollama: \"$(cat "$T/local.base")\"}" >"$CRANNOG/crannog.yaml"
check "a server that is mute does not hold it up" timeout 5 sh -c 'crannog login | grep -q "Takes *ollama/qwen3:8b"'
refuses "and is told" 0 'mute at .*cannot be used now' crannog login
echo "servers: {ollama: \"$(cat "$T/local.base")\"}" >"$CRANNOG/crannog.yaml"

# ---- giving a key ----

serve keyed --models big-32b,small-1b --key $good
base=$(cat "$T/keyed.base")
refuses "a wrong key is refused" 1 'refuses this key.*nothing was kept' sh -c "echo $bad | crannog login --base $base box"
check "nothing of it was kept" sh -c '! crannog login --list | grep -q "^box"'
refuses "no key where one is wanted" 1 'refuses to answer without a key' sh -c "crannog login --base $base box </dev/null"
refuses "a good key from standard input" 0 'crannog uses box/big-32b from now on' sh -c "echo $good | crannog login --base $base box"
check "it is listed" sh -c 'crannog login --list | grep -q "^box .*key in the vault"'
refuses "its models" 0 'box/small-1b' crannog login --list box
refuses "a wrong key does not replace it" 1 'refuses this key' sh -c "echo $bad | crannog login --base $base box"
refuses "it still works" 0 'box/small-1b' crannog login --list box
refuses "it is what is taken" 0 'Takes *box/big-32b' crannog login
refuses "another can be taken" 0 'uses box/small-1b' crannog login --use small-1b
refuses "that is remembered" 0 'Takes *box/small-1b' crannog login
refuses "a model that is not there" 2 "no model 'nonesuch'" crannog login --use nonesuch
refuses "a provider without a key" 1 'no key for mistral yet; .crannog login mistral' crannog login --use mistral/x
refuses "an empty key" 2 'no key was given' sh -c 'crannog login mistral </dev/null'
refuses "two lines are no key" 2 'one line' sh -c 'printf "a\nb\n" | crannog login mistral'
refuses "what is longer than a key" 1 'longer than a key' sh -c 'head -c 20000 /dev/zero | tr "\0" a | crannog login mistral'
refuses "a provider that is none" 2 'no provider .nonesuch.*--base URL nonesuch' crannog login nonesuch
refuses "an address that is none" 2 'wants to be like http' crannog login --base ftp://x box
refuses "an address with a password in it" 2 'wants to be like http' crannog login --base http://me:pw@x/v1 box
refuses "a server that does not answer is kept" 0 'server is kept, but could not be tried' \
  sh -c 'crannog login --base http://127.0.0.1:1/v1 later </dev/null'
refuses "two at once" 2 'one of --base' crannog login --list --forget x

# A key on the command line.
for words in "anthropic $good" "$good" "anthropic --key=$good" "--base $good" "0123456789abcdefABCDEF0123456789"; do
  # shellcheck disable=SC2086
  refuses "a key is no argument: $(echo "$words" | tr -d '0-9')" 2 'never an argument' crannog login $words
  check "and is not repeated" sh -c "! grep -q -e $good -e 0123456789 '$T/.out'"
done

# ---- at a terminal ----

# at_terminal DOES: types into `crannog login` at a pseudo-terminal and prints what the screen had; then the state of its echo.
cat >"$T/terminal.py" <<'PY'
import os, pty, select, signal, sys, termios, time
does, key, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
main, tty = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    os.close(main)
    import fcntl
    fcntl.ioctl(tty, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(tty, fd)
    os.execvp(argv[0], argv)
seen = b''
def read(until, seconds=10):
    global seen
    end = time.monotonic() + seconds
    while until not in seen and time.monotonic() < end:
        if select.select([main], [], [], 0.1)[0]:
            try:
                seen += os.read(main, 65536)
            except OSError:
                return
read(b'): ')
if does == 'key':
    os.write(main, key.encode() + b'\n')
elif does == 'interrupt':
    os.write(main, key.encode() + b'\x03')
elif does == 'term':
    os.write(main, key.encode())
    time.sleep(0.1)
    os.kill(pid, signal.SIGTERM)
elif does == 'hold':
    open(key, 'w').write(str(pid))
    time.sleep(600)
end = time.monotonic() + 20
status = None
while status is None and time.monotonic() < end:
    read(b'\0never', 0.1)
    got, value = os.waitpid(pid, os.WNOHANG)
    status = value if got else None
read(b'\0never', 0.2)
sys.stdout.write(seen.decode(errors='replace'))
print('echo', 'on' if termios.tcgetattr(tty)[3] & termios.ECHO else 'off', 'status', status)
PY
at_terminal() { python3 "$T/terminal.py" "$@" >"$T/screen" 2>&1; }

at_terminal key $good crannog login --base "$base" typed
check "a key that is typed is taken" grep -q 'typed answers and has 2 models' "$T/screen"
check "it is not shown" sh -c "! grep -q $canary '$T/screen'"
check "echo is on again" grep -q 'echo on status 0' "$T/screen"
at_terminal interrupt $good crannog login mistral
check "Ctrl-C ends it with echo on" grep -q 'echo on status 2$' "$T/screen"
at_terminal term $good crannog login mistral
check "so does SIGTERM" grep -q 'echo on status 15$' "$T/screen"
check "nothing was kept" sh -c '! crannog login --list | grep -q mistral'

# ---- a key is nowhere else ----

# While it waits at the prompt, with keys in the environment and in the vault: what others see of its programs.
(cd "$T/core" && ulimit -c unlimited 2>/dev/null
  exec env ANTHROPIC_API_KEY=$env_key python3 "$T/terminal.py" hold "$T/pid" crannog login --base "$base" waits) >/dev/null 2>&1 &
servers="$servers $!"
wait_for test -s "$T/pid"
pid=$(cat "$T/pid")
door=$(for p in /proc/[0-9]*; do
  [ "$(sed 's/.*) . \([0-9]*\).*/\1/' "$p/stat" 2>/dev/null)" = "$pid" ] && basename "$p"
done)
check "the door runs" test -n "$door"
for p in $pid $door; do
  for what in cmdline environ; do
    # A program that may not be looked at has nothing to show; root looks all the same.
    check "no key in $what of $(cat "/proc/$p/comm")" sh -c "test -e /proc/$p/$what && ! grep -a -q $canary /proc/$p/$what"
  done
done
kill -ABRT "$pid" $door 2>/dev/null
wait_for test ! -e "/proc/$pid/exe"
# Whether this machine leaves cores where they can be looked at is told by a program that has the key in its environment.
(cd "$T/core" && ulimit -c unlimited 2>/dev/null
  mkdir control && cd control && KEY=$env_key sh -c 'kill -ABRT $$') >/dev/null 2>&1
if grep -a -r -q $canary "$T/core/control"; then
  rm -r "$T/core/control"
  check "whoever asks for keys and whoever keeps them leaves no core" test -z "$(ls "$T/core")"
else
  skip "no core" "cores of this machine do not lie in the current folder"
fi
check "no key below the crannog" sh -c "! grep -a -r -q $canary '$CRANNOG'"
check "no key below the home" sh -c "! grep -a -r -q $canary '$HOME'"
check "the vault and its key are the person's" test "$(stat -c %a "$CRANNOG/.crannog/vault")$(stat -c %a "$CRANNOG/.crannog/vault.key")" = 600600
check "the key reaches its server" grep -q "Bearer $good" "$T/keyed.log"
check "and no other" sh -c "! grep -q $canary '$T/local.log'"

# ---- C1, forgetting, damage ----

crannog login --use box/big-32b >/dev/null
refuses "forgetting says that it was in use" 0 'crannog used box/big-32b' crannog login --forget box
refuses "what was chosen is not exchanged" 2 'model used so far.*no model' crannog login
refuses "forgotten twice" 1 "no key for 'box'" crannog login --forget box
refuses "another is taken by a word" 0 'uses ollama/qwen3:8b' crannog login --use ollama/qwen3:8b
refuses "and goes on" 0 'Takes *ollama/qwen3:8b' crannog login
refuses "\$CRANNOG_MODEL is asked first" 0 'Takes *typed/small-1b' env CRANNOG_MODEL=typed/small-1b crannog login
cp "$CRANNOG/.crannog/vault" "$T/vault"
printf 'X' | dd of="$CRANNOG/.crannog/vault" bs=1 seek=80 conv=notrunc 2>/dev/null
refuses "a damaged vault says what to do" 1 'vault is damaged; bring back both files' crannog login --list
cp "$T/vault" "$CRANNOG/.crannog/vault"
refuses "brought back it is whole" 0 'typed .*key in the vault' crannog login --list
echo '{' >"$CRANNOG/.crannog/choice"
refuses "a damaged choice says what to do" 1 'choice is damaged; remove it' crannog login
rm "$CRANNOG/.crannog/choice"

# What a server says does not steer the terminal.
esc=$(printf '\033')
serve hostile --models "good-7b,$(printf 'evil\033[31m')" --key "$good"
crannog login --base "$(cat "$T/hostile.base")" evil </dev/null >"$T/said" 2>&1
echo $good | crannog login --base "$(cat "$T/hostile.base")" evil >>"$T/said" 2>&1
crannog login >>"$T/said" 2>&1
crannog login --list evil >>"$T/said" 2>&1
check "the server was heard" grep -q 'evil/good-7b' "$T/said"
check "no control characters of a server's" sh -c "! grep -q '$esc' '$T/said'"
