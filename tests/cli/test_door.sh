#!/bin/sh
# Proves that crannog-door keeps the promises of src/door/protocol.h, against a model server that answers from a script
# (tests/model/scripted.py) in both formats and with every fault: tests/model/door.py says each.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 python3 "$ROOT/tests/model/door.py" "$BIN/crannog-door" "$T" || failures=1
mkdir "$T/machine" && PYTHONDONTWRITEBYTECODE=1 python3 "$ROOT/tests/model/door_machine.py" "$BIN/crannog-door" "$T/machine" || failures=1
