#!/bin/sh
# The main job whole, as `make run` does it but on a copy: thirty documents, two of them PDF, three longer than the reading
# window. It says how long it took, by the clock and in CPU seconds, and fails past fifteen minutes: ten are promised on
# two quiet cores. `make bench` plays it (bench/run job); it is no test_*.sh, because those are played together in twenty. KEEP=FOLDER
# keeps the notes and the briefing there, for people to read.
. "$(dirname "$0")/../cli/lib.sh"
limit_s=900

[ -f "$MODEL" ] && [ -d "$ROOT/examples/review/sources" ] || { echo "  no model or no documents; make run brings them"; exit 77; }
mkdir -p "$T/review/sources"
cp "$ROOT/examples/review/PLAN.md" "$ROOT/examples/review/check.sh" "$T/review"
sed 's/^[0-9a-f]*  //' "$ROOT/examples/review/sources.sha256" | while read -r file; do
  cp "$ROOT/examples/review/$file" "$T/review/sources"
done
check "the model is taken" "$BIN/crannog" model get "$MODEL"
check "the documents are the pinned ones" sh -c "cd '$T/review' && sha256sum --check --quiet '$ROOT/examples/review/sources.sha256'"

began=$(date +%s)
check "the plan is run to its end" "$BIN/crannog" run "$T/review/PLAN.md"
seconds=$(($(date +%s) - began))
echo "  $(tail -n 1 "$T/.out"); $(nproc) processors"
check "within fifteen minutes" test "$seconds" -le "$limit_s"
check "three were longer than the window" test "$("$BIN/crannog" show r1 --json | grep -o '"parts":' | wc -l)" = 3
refuses "every reference resolves" 0 '^30 statements, 60 references, all resolve$' sh "$T/review/check.sh"
if [ -n "${KEEP-}" ]; then cp -r "$T/review" "$KEEP"; fi
