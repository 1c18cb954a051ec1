#!/bin/sh
# Proves that whichever process of a jail dies at whichever moment, nothing stays behind: left.py.
. "$(dirname "$0")/../cli/lib.sh"
BIN=$BIN TMPDIR=$T python3 "$ROOT/tests/attacks/left.py" 36 || exit 1
