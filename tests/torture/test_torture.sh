#!/bin/sh
# A real run, killed fifty times, loses nothing and repeats nothing (torture.py says what is proved, T1 to T6).
set -u
[ -f "$MODEL" ] || { echo "skip torture no model; tools/model-get build/model gets it"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$ROOT/tests/torture/torture.py" "${BIN%/src}" "$MODEL" --kills "${TORTURE_KILLS:-50}"
