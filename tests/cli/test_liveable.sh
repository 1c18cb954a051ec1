#!/bin/sh
# Proves that `make liveable`'s driver reads what test runners say, sees a test that differs, and plays a tiny project of
# each language that is on this machine outside and inside. The suites themselves are no part of this: they download.
. "$(dirname "$0")/lib.sh"
live=$ROOT/tests/liveable
check "its readers and its comparison" python3 - "$live" <<'END'
import os, sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import results as r

def is_(got, want):
    assert got == want, f'{got!r} instead of {want!r}'

is_(r.read_tap('1..4\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no\n    ok 1 - a\nnot ok 4 - d # TODO\n', ''),
    {'a': 'passed', 'b': 'failed', 'c': 'skipped', 'a #2': 'passed', 'd': 'skipped'})
is_(r.read_cargo('     Running unittests src/lib.rs (target/x-1)\ntest t::one ... ok\ntest two ... FAILED\n   Doc-tests c\ntest two ... ignored\n', ''),
    {'src/lib.rs t::one': 'passed', 'src/lib.rs two': 'failed', 'Doc-tests c two': 'skipped'})
is_(r.read_cargo('error: could not compile `x` (lib) due to 1 previous error\n', ''), {'it is built': 'failed'})
is_(r.read_go('{"Action":"pass","Package":"p","Test":"T"}\nnoise\n{"Action":"fail","Package":"p"}\n{"Action":"skip","Package":"q"}\n{broken\n', ''),
    {'p T': 'passed', 'p as a whole': 'failed'})
is_(r.read_automake('PASS: x\nFAIL: y\nSKIP: z\nXFAIL: w\n', ''), {'x': 'passed', 'y': 'failed', 'z': 'skipped', 'w': 'passed'})
is_(r.read_lines('a/b: OK\na/c: FAILED\n', '', r'^(?P<name>\S+): (?:(?P<passed>OK)|(?P<failed>FAILED))'), {'a/b': 'passed', 'a/c': 'failed'})
is_(r.read_counts('3 passed, 1 failed', '', r'(?P<passed>\d+) passed, (?P<failed>\d+) failed').count(), (3, 1, 0))
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, 'junit.xml'), 'w') as out:
        out.write('<t><testcase classname="c" name="a"/><testcase classname="c" name="b"><failure/></testcase>'
                  '<testcase classname="c" name="d"><skipped/></testcase></t>')
    is_(r.read_junit('', folder), {'c::a': 'passed', 'c::b': 'failed', 'c::d': 'skipped'})
    with open(os.path.join(folder, 'junit.xml'), 'w') as out:
        out.write('<t><testcase')
    is_(r.read_junit('', folder), {'junit.xml is whole': 'failed'})
differs = r.compare({'a': 'passed', 'b': 'passed', 'c': 'skipped'}, {'a': 'passed', 'b': 'failed', 'd': 'passed'})
is_(differs, [('b', 'passed', 'failed'), ('c', 'skipped', 'missing'), ('d', 'missing', 'passed')])
is_(r.explain(differs, {'^b$': 'why'}), ([('b', 'passed', 'failed', 'why')], differs[1:]))
END
check "its table is whole, with twenty packages and six languages" python3 - "$live/suites.toml" <<'END'
import sys, tomllib
rows = tomllib.load(open(sys.argv[1], 'rb'))['suite']
packages = [row for row in rows if row['from'] != 'here']
assert len(packages) >= 20, len(packages)
assert {row['language'] for row in packages} == {'C', 'Python', 'JavaScript', 'Rust', 'Go', 'Java'}
assert len({row['name'] for row in rows}) == len(rows)
assert all(row['version'] and row['tries'] and row['test'] for row in packages)
END

tiny() { HOME=$T/home LIVEABLE_CACHE=$T/cache BIN=$BIN python3 "$live/run" --me --table "$live/tiny/suites.toml" "$@"; }
mkdir "$T/home"
for pair in tiny-c:cc tiny-python:python3 tiny-javascript:node tiny-rust:rustc tiny-go:go tiny-java:java; do
  # A rustc that is only rustup's way in has no toolchain in a fresh home.
  if HOME=$T/home sh -c 'case $0 in go) go version ;; *) "$0" --version ;; esac' "${pair#*:}" >/dev/null 2>&1; then
    check "${pair%:*} is the same outside and inside" tiny "${pair%:*}"
  else
    skip "${pair%:*} no ${pair#*:} here"
  fi
done
refuses "what differs is named" 1 'sees it: outside passed, inside failed' tiny tiny-differs
