#!/bin/sh
# Proves that what a step leaves behind cannot act on whoever looks at it: a folder that git would take for a repository
# waits for a word, and who lets changes wait is told which of them take effect by themselves; a text cannot hide from a
# diff on a terminal, nor steer it; a step that shuts its folder loses nothing.
#
# Planted and seen: no guard for HEAD; a diff that lets every colour and K through.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1
crannog init >/dev/null
mkdir w

if command -v git >/dev/null; then
  refuses "a folder that becomes a repository waits" 4 'docs/HEAD is guarded' crannog exec --in w -- sh -c 'mkdir -p docs/objects docs/refs &&
    echo ref: refs/heads/m >docs/HEAD && printf "[core]\nrepositoryformatversion=0\nbare=false\nworktree=..\nfsmonitor=\"echo >%s; false\"\n" '"$T/ran"' >docs/config'
  check "its other files are there" test -f w/docs/config
  (cd w/docs && git status >/dev/null 2>&1)
  check "and git runs nothing of it" test ! -e ran
  git init -q --bare w/mine.git
  refuses "neither does a hook get into a bare repository" 4 'hooks/post-receive is guarded' crannog exec --in w -- sh -c 'echo "echo pwned" >mine.git/hooks/post-receive'
  check "it is not there" test ! -e w/mine.git/hooks/post-receive
else
  skip "a folder that becomes a repository waits" "no git"
fi
refuses "what waits says what of it takes effect by itself" 4 'look first: .envrc is guarded' crannog exec --in w --ask -- sh -c 'echo x >.envrc; echo x >plain'

crannog exec --in w --ask -- sh -c 'printf "evil\033[1K harmless\n\033[8mhidden\033[0m\n\033[41;31mred\n\033]0;title\007\n\342\200\256turned\n" >text' >/dev/null 2>&1
python3 - "$BIN/crannog" >shown <<'PY'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(PAGER='cat', TERM='xterm')
    os.environ.pop('NO_COLOR', None)
    os.execv(sys.argv[1], ['crannog', 'diff'])
data = b''
try:
    while chunk := os.read(fd, 65536):
        data += chunk
except OSError:
    pass
os.waitpid(pid, 0)
sys.stdout.buffer.write(data)
PY
check "a diff on a terminal has colours" grep -qF "$(printf '\033[32m')" shown
for escape in '[1K' '[8m' '[41;31m' ']0;'; do
  check "but not a text's own $escape" sh -c '! grep -qF "$(printf "\033%s" "$1")" shown' - "$escape"
done
check "which are shown" grep -qF 'evil\x1b[1K harmless' shown
check "nor what turns the order of letters" grep -qF '\xe2\x80\xaeturned' shown

printf old >w/shut && mkdir w/sub && printf old >w/sub/shut
sleep 0.1 # what was written just before a step began counts as written meanwhile (seal.h Z4)
check "a step that shuts its folder keeps what it did" crannog exec --in w -- sh -c 'echo new >shut; echo new >sub/shut; mkfifo fifo; rm plain 2>/dev/null; chmod 000 .'
check "it is there" test "$(cat w/shut)" = new
check "and goes" crannog undo
check "all of it" test "$(cat w/shut w/sub/shut)" = oldold
