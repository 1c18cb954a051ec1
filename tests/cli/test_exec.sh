#!/bin/sh
# What a program inside sees of outside: nothing through its standard input, nothing of a crannog that lies in its folder.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/work/deep"
home=$T/work/deep/crannog
crannog() { "$BIN/crannog" -C "$home" "$@"; }

# first_at_once: several first commands on one crannog; each must find it made.
first_at_once() {
  for i in 1 2 3 4 5; do
    rm -rf "$home"
    crannog init >"$T/a" 2>&1 & a=$!
    crannog init >"$T/b" 2>&1 & b=$!
    crannog init >"$T/c" 2>&1 || { cat "$T/c"; return 1; }
    wait $a || { cat "$T/a"; return 1; }
    wait $b || { cat "$T/b"; return 1; }
  done
}
check 'several first commands at once' first_at_once

if crannog exec --in "$T/work" -- true >"$T/why" 2>&1; then
  check 'the journal of a crannog below the work folder is covered' \
    crannog exec --in "$T/work" -- sh -c 'test -d deep/crannog/.crannog && test -z "$(ls -A deep/crannog/.crannog)"'
  folder_as_input() {
    crannog exec --in "$T/work" -- ls /proc/self/fd/0/ </ >"$T/seen" 2>&1 && return 1
    cat "$T/seen"
    grep -q 'a folder cannot be the standard input' "$T/seen"
  }
  check 'a folder is no standard input' folder_as_input
else
  skip 'exec' "$(head -1 "$T/why")"
fi
