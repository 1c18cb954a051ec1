#!/bin/sh
# Proves the main job with the real model, on three documents of the example, one of them a PDF and one longer than the
# reading window: it ends well, each document has a note, the briefing's references hold, and the same command again does
# nothing anew. The whole of it, on thirty, is tests/job/whole.sh.
. "$(dirname "$0")/../cli/lib.sh"
export CRANNOG

mkdir -p "$T/review/sources"
cp "$ROOT/examples/review/PLAN.md" "$ROOT/examples/review/check.sh" "$T/review"
for file in uts_namespaces.7.txt memfd_secret.2.pdf namespaces.7.txt; do
  cp "$ROOT/examples/review/sources/$file" "$T/review/sources"
done

# state: of all that the run wrote, when and what.
state() {
  (cd "$T/review" && stat -c '%n %i %y' notes/*.md briefing.md && sha256sum notes/*.md briefing.md)
}

check "the model is taken" "$BIN/crannog" model get "$MODEL"
check "the plan is run to its end" "$BIN/crannog" run "$T/review/PLAN.md"
check "each document has a note" test "$(ls "$T/review/notes" | wc -l)" = 3
check "the long one was read in parts" sh -c "'$BIN/crannog' show r1 --json | grep -q '\"source\":\"sources/namespaces.7.txt\"[^}]*\"parts\":2'"
check "the PDF has a note with the hash of its bytes" grep -qx "    $(cd "$T/review" && sha256sum sources/memfd_secret.2.pdf)" \
  "$T/review/notes/memfd_secret.2.md"
refuses "every reference resolves" 0 '^3 statements, 6 references, all resolve$' sh "$T/review/check.sh"
state >"$T/before"
check "the same plan again is done" "$BIN/crannog" run "$T/review/PLAN.md"
state >"$T/after"
check "and something had been written" grep -q briefing.md "$T/before"
check "and nothing was written anew" cmp "$T/before" "$T/after"
