#!/bin/sh
# Proves that every --json is one JSON value on standard output and nothing else, the same when asked twice, whatever
# strange names it carries; and that plain output is safe for a terminal and fits 80 columns where names allow.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
work one cat "$(printf 'a\033[31m"\\\nb')"
crannog run one/PLAN.md --json >run.json 2>run.err
check "run --json" python3 -m json.tool run.json
check "run says its lines on standard error" grep -q '^+ note 2/2' run.err
check "no control characters in them" sh -c '! grep -q "$(printf "\033")" run.err'
for command in ls show 'show r1 --history' spend model; do
  # shellcheck disable=SC2086
  crannog $command --json >first.json 2>err
  # shellcheck disable=SC2086
  crannog $command --json >second.json
  check "$command --json parses" python3 -m json.tool first.json
  check "$command --json is stable" cmp first.json second.json
  check "$command --json says nothing else" test ! -s err
  # shellcheck disable=SC2086
  crannog $command >plain
  check "$command is safe for a terminal" sh -c '! grep -q "$(printf "\033")" plain'
  [ "$command" = 'show r1 --history' ] && continue # a line an event, as long as it must be
  check "$command fits 80 columns" sh -c '! grep -v -e "in  *$T/" -e "->" plain | grep -q "^.\{81\}"'
done
check "doctor --json parses" sh -c 'crannog doctor --json | python3 -m json.tool'
check "ls has what a program needs" sh -c 'crannog ls --json | python3 -c "
import json, sys
r = json.load(sys.stdin)[\"runs\"][0]
assert r[\"id\"] == \"r1\" and r[\"status\"] == \"done\" and r[\"done\"] == r[\"total\"] == 2 and r[\"holder\"] == 0, r"'
check "show has what a program needs" sh -c 'crannog show --json | python3 -c "
import json, sys
r = json.load(sys.stdin)
pieces = r[\"items\"][0][\"pieces\"]
assert sorted(p[\"writes\"] for p in pieces)[1] == \"notes/cat.md\" and all(p[\"stage\"] == \"done\" for p in pieces), pieces
assert r[\"used\"][\"calls\"] == 2 and r[\"budget\"] == {}, r"'
check "errors are not JSON on standard output" sh -c 'test -z "$(crannog show r9 --json 2>/dev/null)"'
