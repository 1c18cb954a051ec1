#!/bin/sh
# Proves that in a bad place a command ends with words that say what to do, that nothing is half done there, and that it can go
# on: a file system that is read-only, in memory, an overlay, or full in the middle of a landing; files of others; a folder that
# goes, moves or is exchanged in mid-run; no user namespaces. As root (who can make such places) and as an ordinary user in
# them. And that names which nobody expects land exactly, and a tree too deep to be kept is refused and cleaned away.
#
# Planted and seen: no look whether the file system is read-only.
. "$(dirname "$0")/lib.sh"
PATH=$(reachable 2>/dev/null):$PATH
cd "$T" || exit 1
crannog init >/dev/null
latest() { crannog ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["runs"][0]["id"])'; }

# ---- the folder goes while a command is at work ----

# meanwhile FOLDER COMMAND: runs COMMAND here once the command inside has begun, which then writes and ends.
meanwhile() {
  mkdir "$1" && echo old >"$1/f"
  crannog exec --in "$1" -- sh -c 'sleep 1; echo new >f' >out 2>&1 &
  pid=$!
  wait_for sh -c "crannog ls --json | grep -q '\"holder\":$pid'"
  sleep 0.3
  sh -c "$2"
  wait $pid
}
refuses_out() { check "$1" sh -c "test $2 != 0 && grep -q '$3' out"; }
meanwhile gone 'rm -rf gone'
refuses_out "a folder that goes is said" $? 'is gone (removed, or moved elsewhere)'
check "and is not made again" test ! -e gone
meanwhile moved 'mv moved away'
refuses_out "so is one that moves" $? 'is gone (removed, or moved elsewhere)'
check "which stays as it was" test "$(cat away/f)" = old
mv away moved
check "put back, it can be worked in again" sh -c 'crannog exec --in moved -- sh -c "echo new >f" && test "$(cat moved/f)" = new'
meanwhile other 'mv other mine && mkdir other && echo theirs >other/f'
refuses_out "one in the place of another is not taken for it" $? 'is not the folder that this run began in'
check "and is left alone" test "$(cat other/f mine/f)" = "$(printf 'theirs\nold')"

# ---- what a command may leave ----

mkdir names
crannog exec --ask --in names -- python3 -c '
import os
for n in [b"a\nb", b"\xff\xfe", b"-rf", b"x" * 255, "e\u202etxt".encode(), b"\x1b[31mred", b"\x7f", b"* ?", b"A", b"a", "\u00e9".encode(), "e\u0301".encode()]:
    open(n, "w").write(n.hex())
' >/dev/null 2>&1
crannog diff >diff 2>&1
crannog show >>diff 2>&1
check "no name steers a terminal" sh -c '! LC_ALL=C grep -q "$(printf "\033")" diff'
check "all of them land" crannog apply "$(latest)"
check "exactly" python3 -c '
import os, sys
names = os.listdir(b"names")
sys.exit(len(names) != 12 or any(open(b"names/" + n).read() != n.hex() for n in names))'
check "and go" sh -c 'crannog undo && test -z "$(ls -A names)"'
mkdir deep
refuses "a tree of 2,000 folders in another is refused" 1 'more than 64 folders deep' crannog exec --in deep -- python3 -c '
import os
for i in range(2000):
    os.mkdir("d")
    os.chdir("d")'
check "nothing of it is in the folder" test -z "$(ls -A deep)"
check "nor anywhere after the next" sh -c "crannog exec --in deep -- true && test -z \"\$(find \$CRANNOG/.crannog/layers -name d)\""

# ---- no user namespaces ----

mkdir plain && echo old >plain/f
if unshare -U -r true 2>/dev/null; then
  refuses "without user namespaces there is no jail" 1 'max_user_namespaces' \
    unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; crannog exec --in plain -- sh -c "echo new >f"'
  check "and nothing without one" test "$(cat plain/f)" = old
else
  skip "without user namespaces there is no jail" "none here to begin with"
fi

# ---- file systems ----

if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
  skip "file systems of all kinds" "only root can mount them"
  exit
fi
# places UID WHO: in a mount namespace of its own, which takes the mounts with it.
cat >places.sh <<'SH'
set -u
uid=$1 who=$2
. "$ROOT/tests/cli/lib.sh"
cd "$T" || exit 1
trap 'umount -l ro tm up over full 2>/dev/null; finish' EXIT
as() { if [ $uid = 0 ]; then "$@"; else setpriv --reuid $uid --regid $uid --clear-groups "$@"; fi; }
run() { as env CRANNOG="$T/home" HOME="$T" crannog "$@"; }
chown $uid:$uid .
run init >/dev/null
place() { mkdir "$1/w" && echo old >"$1/w/f" && chown -R $uid:$uid "$1"; }
mkdir ro tm lower over full
mount -t tmpfs none ro && place ro && mount -o remount,ro ro
refuses "$who: what is read-only is said" 4 'read-only; nothing was changed; make it writable' run exec --in ro/w -- sh -c 'echo new >f'
mount -o remount,rw ro
check "$who: made writable, it lands" sh -c 'test "$(cat ro/w/f)" = old'
check "$who: on a word" run apply
check "$who: it is there" test "$(cat ro/w/f)" = new
mount -t tmpfs none tm && place tm
check "$who: in memory" run exec --in tm/w -- sh -c 'echo new >f; mkdir d; echo x >d/x'
check "$who: it is there, and goes" sh -c 'test "$(cat tm/w/f tm/w/d/x)" = "$(printf "new\nx")"'
check "$who: and goes" run undo
check "$who: all of it" sh -c 'test "$(cat tm/w/f)" = old && ! test -e tm/w/d'
place lower && mkdir up
if mount -t tmpfs none up && mkdir up/u up/w && chown -R $uid:$uid up && mount -t overlay -o lowerdir=lower,upperdir=up/u,workdir=up/w none over; then
  if [ $uid = 0 ]; then # its owners could not be kept
    refuses "$who: an overlay is refused with words" 1 'takes no idmapped mount.*mend: move the folder' run exec --in over/w -- sh -c 'echo new >f'
    check "$who: and untouched" test "$(cat over/w/f)" = old
  else
    check "$who: on an overlay" run exec --in over/w -- sh -c 'echo new >f'
    check "$who: it is there" test "$(cat over/w/f)" = new
  fi
else
  skip "$who: an overlay" "none over tmpfs here"
fi
mount -t tmpfs -o size=4m none full && place full
refuses "$who: changes that wait" 4 'not in the folder yet' run exec --ask --in full/w -- sh -c 'for i in 1 2 3; do head -c 1000000 /dev/urandom >$i; done; echo new >f'
head -c 1800000 /dev/zero >full/filler
refuses "$who: a disk that fills in the middle of a landing is said" 4 'No space left' run apply
check "$who: nothing is half there" sh -c 'test "$(ls -A full/w)" = f && test "$(cat full/w/f)" = old'
rm full/filler
check "$who: with room again" run apply
check "$who: all is there" sh -c 'test "$(ls full/w | wc -l)" = 4 && test "$(cat full/w/f)" = new'
mkdir theirs && echo old >theirs/g && chown $uid:$uid theirs && { [ $uid = 0 ] && chown 65534:65534 theirs/g; chmod 644 theirs/g; }
refuses "$who: a file of somebody else is not written" 2 'ermission denied' run exec --in theirs -- sh -c 'echo x >mine; echo new >g'
check "$who: and what is one's own is" sh -c 'test "$(cat theirs/g theirs/mine)" = "$(printf "old\nx")"'
SH
for uid in 0 65534; do
  who=root
  [ $uid = 0 ] || who=user
  ROOT=$ROOT BIN=$BIN CRANNOG='' TMPDIR=$T unshare -m sh places.sh $uid $who >places.out 2>&1 || failures=$((failures + 1))
  cat places.out
done
