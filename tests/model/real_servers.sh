#!/bin/sh
# real_servers.sh [FOLDER]: crannog-door against servers that nobody here wrote: LiteLLM's proxy and llama.cpp's server.
#
# Run by hand, not by tests/run: it gets a few hundred megabytes with pip into FOLDER (by default build/servers, kept for the next time)
# and takes some minutes then, half a minute after that. It needs `make build`, and the small model of `make run` for llama.cpp.
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
FOLDER=${1-$ROOT/build/servers}
BIN=${BIN-$ROOT/build/src}
MODEL=${MODEL-$ROOT/build/model/smollm2-135m-instruct-q4_1.gguf}
failures=0

[ -x "$FOLDER/bin/python" ] || python3 -m venv "$FOLDER" || exit 1
[ -x "$FOLDER/bin/litellm" ] || "$FOLDER/bin/pip" install -q 'litellm[proxy]' || exit 1
"$FOLDER/bin/python" -c 'import xllamacpp' 2>/dev/null || "$FOLDER/bin/pip" install -q --no-deps xllamacpp || exit 1

T=$(mktemp -d "${TMPDIR:-/var/tmp}/crannog-servers-XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
export PYTHONDONTWRITEBYTECODE=1
python3 "$ROOT/tests/model/real_litellm.py" "$BIN/crannog-door" "$T" "$FOLDER/bin/litellm" || failures=1
if [ -f "$MODEL" ]; then
  python3 "$ROOT/tests/model/real_llama.py" "$BIN/crannog-door" "$MODEL" "$FOLDER/bin/python" || failures=1
else
  echo "skip llama.cpp (no model at $MODEL)"
fi
exit $failures
