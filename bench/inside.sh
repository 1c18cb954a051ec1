#!/bin/sh
# inside.sh BUILD [ROUNDS]: other people's work inside (crannog exec: survey, layers, sealing, landing, journal and all) beside
# the same outside, in turns on one file system: a C build of 50 files with two jobs, a git clone of 5,000 files, and what
# taking both back costs. Prints the median of each and the ratio.
set -eu
B=$(cd "$1" && pwd)
rounds=${2-5}
T=$(mktemp -d "${TMPDIR:-/var/tmp}/crannog-inside-XXXXXX")
trap 'chmod -R u+rwX "$T"; rm -rf "$T"' EXIT
export CRANNOG="$T/crannog"
"$B/src/crannog" init >/dev/null

mkdir "$T/c"
i=0
while [ $i -lt 50 ]; do
  i=$((i + 1))
  { echo '#include <stdio.h>'
    k=0
    while [ $k -lt 60 ]; do
      k=$((k + 1))
      echo "int f${i}_$k(int x) { char b[64]; snprintf(b, sizeof b, \"%d\", x * $k); return b[0] + (x > $k ? f${i}_$((k > 1 ? k - 1 : 1))(x - 1) : x); }"
    done; } >"$T/c/m$i.c"
  sed -i '1a int f'$i'_1(int);' "$T/c/m$i.c"
done
printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tar rc lib.a *.o\n%%.o: %%.c\n\tcc -O1 -w -c $< -o $@\n' >"$T/c/Makefile"
mkdir "$T/repo" && cd "$T/repo" && git init -q .
i=0
while [ $i -lt 5000 ]; do
  i=$((i + 1))
  mkdir -p d$((i % 100))
  echo "file $i of many, with a line of text in it" >d$((i % 100))/f$i
done
git add -A && git -c user.email=a@b.c -c user.name=n commit -qm all

now() { date +%s%N; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

# timed FILE COMMAND...: appends milliseconds.
timed() {
  file=$1
  shift
  began=$(now)
  "$@" >/dev/null 2>&1
  echo $((($(now) - began) / 1000000)) >>"$file"
}

r=0
while [ $r -lt "$rounds" ]; do
  r=$((r + 1))
  cp -r "$T/c" "$T/out$r" && cp -r "$T/c" "$T/in$r" && mkdir "$T/clone-out$r" "$T/clone-in$r" && cp -r "$T/repo" "$T/clone-in$r/repo"
  sync -f "$T"
  timed "$T/build.out" make -C "$T/out$r" -j2
  timed "$T/build.in" "$B/src/crannog" exec --in "$T/in$r" -- make -j2
  timed "$T/build.undo" "$B/src/crannog" undo
  timed "$T/clone.out" git clone -q --no-hardlinks "$T/repo" "$T/clone-out$r/copy"
  # a new .git/config waits for a word: exec, and the word
  timed "$T/clone.in" sh -c '"$1" exec --in "$2" -- git clone -q --no-hardlinks repo copy; "$1" apply' - "$B/src/crannog" "$T/clone-in$r"
  test -d "$T/clone-in$r/copy/d1" && test -f "$T/out$r/lib.a" || { echo "bench/inside: something did not work"; exit 1; }
  timed "$T/clone.undo" "$B/src/crannog" undo
done
for what in build clone; do
  out=$(median <"$T/$what.out") in=$(median <"$T/$what.in") undo=$(median <"$T/$what.undo")
  echo "$what: outside $out ms, inside $in ms, ratio $(echo "$in $out" | awk '{printf "%.2f", $1 / $2}'), undo $undo ms, $rounds rounds"
done
