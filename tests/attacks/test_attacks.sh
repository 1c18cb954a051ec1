#!/bin/sh
# Proves that a program in the jail, turned against its person, reaches, reads, changes and outlives nothing outside: each attack of
# list.py is really tried, as root and as an ordinary user, and looked at from outside. attacks.py says how.
. "$(dirname "$0")/../cli/lib.sh"
command -v git >/dev/null || { echo "  no git"; exit 77; }
BIN=$BIN TMPDIR=$T python3 "$ROOT/tests/attacks/attacks.py" || exit 1
