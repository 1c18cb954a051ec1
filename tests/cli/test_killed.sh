#!/bin/sh
# Proves that a landing that was killed in the middle, whatever of it was killed, ends whole: the next command that works
# puts the rest into the folder, nothing of ours stays beside the files, and its undo takes back all of it, also what the
# first attempt had put there. And that a command whose jail was killed under it has changed nothing.
#
# Planted and seen: settle_dead() that stops such a run; a retry that is a new step, whose undo knows only its own half; a
# killed jail that counts as a command that was; a stop that is journaled while a landing is under way.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1
crannog init >/dev/null
mkdir w other
tree() { (cd w && find . -mindepth 1 -printf '%p %y %m %T@\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2); }
i=0
while [ $i -lt 240 ]; do echo "before $i" >w/f$i; i=$((i + 1)); done
tree >before
change='i=0; while [ $i -lt 240 ]; do echo "after $i, which is longer" >f$i; i=$((i + 3)); done; i=1; while [ $i -lt 240 ]; do rm f$i; i=$((i + 3)); done;
  mkdir new; i=0; while [ $i -lt 120 ]; do echo new >new/$i; i=$((i + 1)); done'
whole() { test "$(ls -A w/new | wc -l)" = 120 && test "$(grep -l after w/f* | wc -l)" = 80 && test "$(ls -A w | wc -l)" = 161; }

# below PID DEPTH: the process so many generations below; empty while it is not there.
below() {
  p=$1 depth=$2
  while [ "$depth" -gt 0 ] && [ "$p" ]; do
    p=$(cut -d ' ' -f 1 "/proc/$p/task/$p/children" 2>/dev/null)
    depth=$((depth - 1))
  done
  echo "$p"
}

# land_and WHAT: an apply, of which WHAT is killed as soon as something of it is in the folder.
land_and() {
  crannog exec --in w --ask -- sh -c "$change" >/dev/null 2>&1
  crannog apply >"$T/apply.out" 2>&1 &
  pid=$!
  until [ -e w/new ] || ! kill -0 $pid 2>/dev/null; do :; done
  case $1 in
    engine) kill -9 $pid ;;
    stopped) kill -INT $pid; sleep 0.01; kill -9 $pid ;;
    jail) kill -9 $(below $pid 1) ;;
    pid1) kill -9 $(below $pid 2) ;;
  esac 2>/dev/null
  wait $pid 2>/dev/null
}

for what in engine stopped jail pid1; do
  land_and $what
  check "$what killed: the next command works" crannog exec --in other -- true
  check "$what killed: all of it is in the folder" whole
  check "$what killed: undo" crannog undo "r$(crannog ls --json | python3 -c 'import json, sys; print([r["id"] for r in json.load(sys.stdin)["runs"] if "after" in str(r)][0])' | tr -d r)"
  tree >after
  check "$what killed: takes back all of it" cmp before after
done

# the jail's first process: nothing of what the command did so far
crannog exec --in w -- sh -c 'rm -f f1*; sleep 100' >out 2>&1 &
pid=$!
started() { [ "$(below $pid 4)" ]; }
wait_for started
sleep 0.2
kill -9 "$(below $pid 2)"
wait $pid
refuses "a command whose jail is killed fails" 1 'killed from outside' sh -c "cat out; exit $?"
tree >after
check "and has changed nothing" cmp before after
