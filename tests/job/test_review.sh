#!/bin/sh
# Proves the main job with the real model, on three short documents of the example: it ends well, each document has a
# note, the briefing's references hold, and the same command again does nothing anew.
. "$(dirname "$0")/../cli/lib.sh"
export CRANNOG

mkdir -p "$T/review/sources"
cp "$ROOT/examples/review/PLAN.md" "$ROOT/examples/review/check.sh" "$T/review"
for page in uts_namespaces.7 ipc_namespaces.7 network_namespaces.7; do
  cp "$ROOT/examples/review/sources/$page.txt" "$T/review/sources"
done

# state: of all that the run wrote, when and what.
state() {
  (cd "$T/review" && stat -c '%n %i %y' notes/*.md briefing.md && sha256sum notes/*.md briefing.md)
}

check "the model is taken" "$BIN/crannog" model get "$MODEL"
check "the plan is run to its end" "$BIN/crannog" run "$T/review/PLAN.md"
check "each document has a note" test "$(ls "$T/review/notes" | wc -l)" = 3
refuses "every reference resolves" 0 '^3 statements, 6 references, all resolve$' sh "$T/review/check.sh"
state >"$T/before"
check "the same plan again is done" "$BIN/crannog" run "$T/review/PLAN.md"
state >"$T/after"
check "and something had been written" grep -q briefing.md "$T/before"
check "and nothing was written anew" cmp "$T/before" "$T/after"
