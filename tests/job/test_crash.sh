#!/bin/sh
# Proves that examples/review/crash.sh does what it says, on three documents and killed after two: it ends well when
# nothing is lost, and says so when something is.
. "$(dirname "$0")/../cli/lib.sh"
export BIN MODEL

check "a run that is killed loses nothing" "$ROOT/examples/review/crash.sh" -n 3 -k 2 -C "$T/crash"
cp "$T/.out" "$T/out"
check "it says what was kept" grep -q '^   2 of 3 sources finished' "$T/out"
check "and what came next" grep -q '^   went on with source 3, ' "$T/out"
check "it leaves nothing running" sh -c "! ps -eo args | grep '[-]C $T/crash'"
refuses "its copy is not written over" 2 'is there already' "$ROOT/examples/review/crash.sh" -n 3 -k 2 -C "$T/crash"
refuses "there must be something left to do" 2 usage "$ROOT/examples/review/crash.sh" -n 3 -k 3

# A crannog that forgets: `run` finds no earlier run. Sources so short that a note takes a moment.
mkdir -p "$T/forgets" "$T/review"
cp "$ROOT/examples/review/PLAN.md" "$ROOT/examples/review/check.sh" "$ROOT/examples/review/crash.sh" "$T/review"
work "$T/review" a b c d
cp "$ROOT/examples/review/PLAN.md" "$T/review"
cat >"$T/forgets/crannog" <<SH
#!/bin/sh
case \$3 in run) shift 3; exec "$BIN/crannog" -C "$T/c/crannog" run --again "\$@" ;; esac
exec "$BIN/crannog" "\$@"
SH
chmod +x "$T/forgets/crannog"
BIN=$T/forgets
refuses "a crannog that begins anew is found out" 1 'NOT as promised' "$T/review/crash.sh" -n 4 -k 1 -C "$T/c"
