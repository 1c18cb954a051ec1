#!/bin/sh
# Proves that the bar stays on one line of a terminal of any width, with colours and without, and loses whole fields.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
cat >on_terminal.py <<'PY'
# on_terminal.py COLUMNS COMMAND...: runs it on a terminal of that width, prints the longest bar of all that it drew.
import fcntl, os, pty, re, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
out = b''
while True:
    try:
        got = os.read(fd, 65536)
    except OSError:  # Linux's way to say that the other side is closed
        break
    if not got:
        break
    out += got
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
bars = [re.sub('\033\\[[0-9]*m', '', b) for b in re.findall('\r\033\\[K([^\r\n]+)', out.decode())]
bars = [b for b in bars if re.search('[0-9]/[0-9]', b) and b[0] not in '+!-']
print(max(bars, key=len, default=''))
sys.exit(status or not bars)
PY
for columns in 24 50 80; do
  for no_color in "" 1; do
    rm -rf work
    work work cat dog
    on="$columns columns${no_color:+ without colours}"
    check "a run on $on" env TERM=xterm NO_COLOR=$no_color python3 on_terminal.py $columns \
      crannog run work/PLAN.md --again --budget 100000tok
    tail -n 1 .out >bar
    check "one line on $on" python3 -c 'import sys; bar = sys.stdin.read().strip(); print(bar); sys.exit(not 0 < len(bar) < int(sys.argv[1]) - 2)' \
      $columns <bar
    [ $columns = 24 ] || check "whole fields on $on" grep -E '(tok/s|[0-9]:[0-9][0-9]|[0-9]%|of 2|(read|wrote) [0-9]+)$' bar
  done
done
