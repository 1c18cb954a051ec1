# lib.sh: what every shell test begins with (`. "$(dirname "$0")/lib.sh"`).
#
# A test says what it found by lines that tests/run counts: `ok NAME`, `not ok NAME`, `skip NAME why`. It has a folder
# of its own, $T, which goes when it ends, and its exit code is 1 after a `not ok`. tests/run gives BIN, the folder of
# the programs, MODEL, the small model, and CRANNOG, a folder for the test's crannog; alone a test finds them in
# build/.
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
BIN=${BIN-$ROOT/build/src}
MODEL=${MODEL-$ROOT/build/model/smollm2-135m-instruct-q4_1.gguf}
T=$(mktemp -d "${TMPDIR:-/var/tmp}/crannog-test-XXXXXX") || exit 1
# Every user may pass, because tests also act as a made-up one.
chmod 755 "$T"
export CRANNOG="${CRANNOG-$T/crannog}"
failures=0

# finish: at every end of the test, so that nothing stays behind.
finish() {
  status=$?
  trap - EXIT
  chmod -R u+rwX "$T" 2>/dev/null
  rm -rf "$T"
  [ "$failures" = 0 ] || exit 1
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# reachable: prints a copy of the programs' folder that every user can reach; a clone may lie in a home of mode 0700.
reachable() {
  [ -d "$T/bin" ] || { mkdir "$T/bin" && cp "$BIN"/crannog* "$T/bin"; }
  echo "$T/bin"
}

ok() { echo "ok $*"; }

not_ok() {
  echo "not ok $*"
  failures=$((failures + 1))
}

# skip NAME why: what cannot be tested on this machine, counted apart.
skip() { echo "skip $*"; }

# check NAME COMMAND...: ok when the command ends with 0; what it printed is shown when it does not.
check() {
  name=$1
  shift
  if "$@" >"$T/.out" 2>&1; then
    ok "$name"
  else
    echo "  exit $? of: $*"
    sed 's/^/  /' "$T/.out"
    not_ok "$name"
  fi
}

# refuses NAME CODE TEXT COMMAND...: ok when the command ends with CODE and its output holds TEXT (a grep pattern).
refuses() {
  name=$1 code=$2 text=$3
  shift 3
  got=0
  "$@" >"$T/.out" 2>&1 || got=$?
  if [ "$got" = "$code" ] && grep -q -e "$text" "$T/.out"; then
    ok "$name"
  else
    echo "  exit $got instead of $code, or no '$text', of: $*"
    sed 's/^/  /' "$T/.out"
    not_ok "$name"
  fi
}

# need_model: a crannog at $CRANNOG that has the small model (by a link: a copy takes longer than most tests), or the
# whole test is skipped.
need_model() {
  [ -f "$MODEL" ] || { echo "  no model at $MODEL"; exit 77; }
  "$BIN/crannog" init >/dev/null && ln -s "$MODEL" "$CRANNOG/.crannog/models/small.gguf" || exit 1
}

# work FOLDER NAME...: a work folder with a plan that writes a note about each source; sources are one line long.
work() {
  folder=$1
  shift
  mkdir -p "$folder/sources"
  for source in "$@"; do echo "The $source sat on the mat." >"$folder/sources/$source.txt"; done
  cat >"$folder/PLAN.md" <<'PLAN'
---
goal: what these files are about
---
- [ ] note: for each `sources/*` as SRC, say in at most 5 words what it is about
      writes: notes/{SRC.stem}.md
PLAN
}

# long_sources FOLDER: makes the sources so long that a model call takes seconds.
long_sources() {
  for source in "$1"/sources/*; do
    i=0
    while [ $i -lt 25 ]; do
      echo "Sentence number $i tells how the cat of house $i sat on the mat, slept, and thought of fish."
      i=$((i + 1))
    done >"$source"
  done
}

# wait_for COMMAND...: until the command succeeds, at most 30 seconds.
wait_for() {
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || return 1
    sleep 0.1
  done
}

# user_first: as root, plays the whole test as an ordinary user before the rest.
user_first() {
  who=$(id -u)
  [ "$who" = 0 ] && command -v setpriv >/dev/null && [ -z "${AS_USER-}" ] || return 0
  bin=$(reachable)
  mkdir "$T/user" && chown 1234:1234 "$T/user"
  AS_USER=1 TMPDIR="$T/user" BIN="$bin" CRANNOG="$T/user/crannog" setpriv --reuid 1234 --regid 1234 --clear-groups sh "$0" | sed 's/^\(ok\|not ok\|skip\) /\1 as a user: /' >"$T/as-user"
  cat "$T/as-user"
  failures=$(grep -c '^not ok' "$T/as-user")
}
