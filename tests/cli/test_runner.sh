#!/bin/sh
# Proves that tests/run counts every way in which a test can end, also those that a test does not tell itself, and that
# its last line is the count whatever happened. It runs a copy in a tree that has only shell tests.
. "$(dirname "$0")/lib.sh"

# tree: an empty one with the runner in it.
tree() {
  rm -rf "$T/tree"
  mkdir -p "$T/tree/tests/cli"
  cp "$ROOT/tests/run" "$T/tree/tests/run"
}

# script NAME: from stdin.
script() {
  cat >"$T/tree/tests/cli/test_$1.sh"
}

# counts NAME LINE CODE: the runner's last line and exit code.
counts() {
  got=0
  python3 "$T/tree/tests/run" >"$T/out" 2>&1 || got=$?
  last=$(tail -n 1 "$T/out")
  if [ "$last" = "$2" ] && [ "$got" = "$3" ]; then
    ok "$1"
  else
    echo "  '$last', exit $got, instead of '$2', exit $3"
    sed 's/^/  | /' "$T/out"
    not_ok "$1"
  fi
  tree
}

tree
printf 'echo ok one\necho ok two' | script a
counts "what passes" '2 passed, 0 failed' 0
printf 'echo ok one\necho not ok two; exit 1' | script a
counts "what fails" '1 passed, 1 failed' 1
printf 'echo ok one\necho skip two no such kernel' | script a
counts "what is skipped" '1 passed, 0 failed, 1 skipped' 0
printf 'exit 77' | script a
counts "all of a test skipped" '0 passed, 0 failed, 1 skipped' 0
printf 'true' | script a
counts "a test that says nothing" '0 passed, 1 failed' 1
printf 'echo ok one; kill -9 $$' | script a
counts "a test that dies" '1 passed, 1 failed' 1
printf 'echo 1..3; echo ok 1 - a; echo not ok 2 "# SKIP b"; exit 139' | script a
counts "a compiled test that dies before its last case" '1 passed, 1 failed, 1 skipped' 1
printf 'setsid sleep 60 & sleep 0.3; echo ok one' | script a
counts "a process left behind" '1 passed, 1 failed' 1
printf 'test "$HOME" != "%s" && test -z "${LEAK-}" && echo ok one' "$HOME" | script a
LEAK=1 counts "an environment from nothing" '1 passed, 0 failed' 0
printf 'echo ok one' | script a
printf 'echo ok two; echo not ok three' | script b
counts "two tests" '2 passed, 1 failed' 1

printf 'echo ok one; sleep 60' | script a
python3 "$T/tree/tests/run" >"$T/out" 2>&1 &
runner=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
  grep -q '^ok one' "$T"/tree/build/test-logs/cli.log 2>/dev/null && break
  sleep 0.3
done
kill "$runner"
wait "$runner"
check "the count is last when it is ended from outside" grep -q -x '0 passed, 1 failed' "$T/out"
