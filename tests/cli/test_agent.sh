#!/bin/sh
# Proves what an agent with a goal does in a real jail, against a model that answers from a script: every tool, every way in which a
# model or its server fails, what bounds it (checks, budgets, circles, windows), and what of it reaches the files, the terminal and the
# model. tests/model/agent.py has the cases.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 python3 "$ROOT/tests/model/agent.py" "$BIN" "$T"
