#!/bin/sh
# Proves of the bar on a terminal: it is one line at every width, says item n of N, tokens a second, budget and time
# left, leaves nothing behind at the end or after Ctrl-C, obeys NO_COLOR and TERM=dumb, and is not there without a
# terminal. A small terminal of Python reads what is drawn.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
cat >screen.py <<'PYTHON'
"""screen.py WIDTH interrupt|- COMMAND...: runs it on a terminal; prints the bars it drew, '--', and the last screen."""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

width, interrupt = int(sys.argv[1]), sys.argv[2] == 'interrupt'  # once a time left was told
pid, fd = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    time.sleep(0.2)  # until the size is set
    os.execvp(sys.argv[3], sys.argv[3:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 20, width, 0, 0))
data = b''
while True:
    if interrupt and b' left ' in data:
        os.write(fd, b'\x03')
        interrupt = False
    if not select.select([fd], [], [], 0.1)[0]:
        continue
    try:
        got = os.read(fd, 65536)
    except OSError:
        got = b''
    if not got:
        break
    data += got
text = data.decode()
if '\033[3' in text or '\033[9' in text:
    print('COLOURS')
rows, row, col, wrapped = [''], 0, 0, False
for piece in re.findall(r'\033\[[0-9;]*[A-Za-z]|\r|\n|[^\r\n\033]', text):
    if piece == '\r':
        if re.match(r'(\S+ )?\d+/\d+  ', rows[row]):
            print('bar:', rows[row])
        col = 0
    elif piece == '\n':
        row, rows = row + 1, rows + ['']
        col = 0
    elif piece == '\033[K':
        rows[row] = rows[row][:col]
    elif piece[0] != '\033':
        if col == width:
            row, rows, col = row + 1, rows + [''], 0
        rows[row] = rows[row][:col] + piece + rows[row][col + 1:]
        col += 1
print('--')
print('\n'.join(rows))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
last() { sed '1,/^--$/d' screen; }
for width in 40 80 120; do
  work "at$width" cat dog bird
  long_sources "at$width"
  echo 'A bird.' >"at$width/sources/bird.txt" # the first, so that a rate is known soon
  if [ $width = 80 ]; then
    python3 screen.py $width - crannog run "at$width/PLAN.md" --budget 50000tok >screen
    check "$width columns: done" sh -c "sed '1,/^--\$/d' screen | tail -n 2 | grep -q 'r2 done: 3 of 3 done'"
  else
    python3 screen.py $width interrupt crannog run "at$width/PLAN.md" --budget 50000tok >screen
    check "$width columns: stopped" grep -q 'stopped, run it again: [0-3] of 3 done' screen
    check "$width columns: says so at once" grep -q '^stopping; Ctrl-C again' screen
  fi
  check "$width columns: item n of N" grep -q '^bar: .*note 2\( of \|/\)3' screen
  check "$width columns: tokens a second" grep -q '^bar: .* tok/s' screen
  check "$width columns: time left" grep -q '^bar: .* left [0-9]*:[0-9]' screen
  [ $width = 40 ] || check "$width columns: budget" grep -q '^bar: .* budget [0-9]*%' screen
  check "$width columns: a bar is one line" sh -c "! sed -n 's/^bar: //p' screen | grep -q '^.\{$width\}'"
  check "$width columns: no bar stays" sh -c "! sed '1,/^--\$/d' screen | grep -q -e '━' -e ' of 3 .*tok/s' -e '\^C'"
  check "$width columns: colours" grep -q COLOURS screen
done
work plain cat
NO_COLOR=1 python3 screen.py 80 - crannog run plain/PLAN.md >screen
check "NO_COLOR" sh -c '! grep -q COLOURS screen'
TERM=dumb python3 screen.py 80 - crannog run plain/PLAN.md --again >screen
check "TERM=dumb has no bar" sh -c '! grep -q "^bar:" screen'
rm -r plain/notes
crannog run plain/PLAN.md --again >out 2>err
check "without a terminal: plain lines" sh -c 'test ! -s out && grep -q "^+ note  sources/cat.txt -> notes/cat.md" err && ! grep -q "$(printf "\r")" err'
python3 screen.py 40 - crannog ls --plain >screen
check "ls is cut at the width" sh -c "! grep -q '^.\{41\}' screen"
check "exec on a terminal" sh -c 'python3 screen.py 80 - crannog exec -- sh -c "echo seen" | grep -q "^seen"'
