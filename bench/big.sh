#!/bin/sh
# big.sh BUILD [FILES]: commands in a folder of many files (100 to a folder), each by `crannog exec` and so with survey, layer, seal
# and landing; the first beside the same in an empty folder. As an ordinary user all files are the user's own, as the survey wants
# to know. Prints the median of five.
set -eu
B=$(cd "$1" && pwd)
files=${2-100000}
T=$(mktemp -d "${TMPDIR:-/var/tmp}/crannog-big-XXXXXX")
trap 'rm -rf "$T"' EXIT
export CRANNOG="$T/crannog"
crannog() { "$B/src/crannog" "$@" >/dev/null 2>&1 || [ $? = 4 ]; }
crannog init
mkdir "$T/empty" "$T/big"
python3 - "$T/big" "$files" <<'PY'
import os, sys
for i in range(int(sys.argv[2])):
    folder = f'{sys.argv[1]}/{i // 100}'
    if i % 100 == 0:
        os.mkdir(folder)
    with open(f'{folder}/{i % 100}', 'w') as f:
        f.write(f'{i}\n')
PY
sync -f "$T"

# timed NAME COMMAND...: appends milliseconds.
timed() {
  name=$1
  shift
  began=$(date +%s%N)
  "$@"
  echo $((($(date +%s%N) - began) / 1000000)) >>"$T/$name"
}
for round in 1 2 3 4 5; do
  timed "true in an empty folder" crannog exec --in "$T/empty" -- true
  timed "true" crannog exec --in "$T/big" -- true
  timed "touch one" crannog exec --in "$T/big" -- touch new
  timed "undo of that" crannog undo
  timed "a line to 100 files, to wait" crannog exec --ask --in "$T/big" -- sh -c 'for i in 0 1 2 3 4 5 6 7 8 9; do for k in 0 1 2 3 4 5 6 7 8 9; do echo more >>$i/$k; done; done'
  timed "diff of that" crannog diff --stat
  timed "apply of that" crannog apply
  timed "undo of that landing" crannog undo
done
for name in "true in an empty folder" "true" "touch one" "undo of that" "a line to 100 files, to wait" "diff of that" "apply of that" "undo of that landing"; do
  sort -n "$T/$name" | awk -v name="$name" '{v[NR] = $1} END {printf "%-32s %6d ms\n", name, v[int((NR + 1) / 2)]}'
done
