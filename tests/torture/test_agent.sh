#!/bin/sh
# An agent at work, killed at random moments, does each thing once (agent.py, A1 to A5).
set -u
command -v cc >/dev/null || { echo "skip agent no C compiler"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$ROOT/tests/torture/agent.py" "${BIN%/src}" --kills "${AGENT_KILLS:-12}"
