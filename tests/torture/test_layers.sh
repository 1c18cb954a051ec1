#!/bin/sh
# Commands, applies and undos that are killed at random moments change a folder whole or not at all (layers.py, K1 to K4).
set -u
exec python3 "$ROOT/tests/torture/layers.py" "${BIN%/src}" --kills "${LAYERS_KILLS:-40}"
