#!/bin/sh
# crannog doctor: what it says of a crannog that was brought to another machine, and that its audit changes nothing.
. "$(dirname "$0")/lib.sh"
crannog() { "$BIN/crannog" "$@"; }

crannog init >/dev/null
python3 - "$CRANNOG/.crannog/journal.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE meta SET value = 'of another machine' WHERE key = 'machine'")
db.commit()
PY
refuses "a crannog of another machine is not gone on with" 3 'crannog doctor --adopt' crannog spend set crannog 5
check "it can be looked at" crannog ls
before=$(cat "$CRANNOG/.crannog/journal.db" | sha256sum)
crannog doctor --audit >"$T/out"
check "the audit says that all agrees" grep -q '^ok .*audit .*agrees' "$T/out"
check "the audit changes nothing" test "$before" = "$(cat "$CRANNOG/.crannog/journal.db" | sha256sum)"
crannog doctor --adopt >"$T/out"
check "doctor --adopt takes it over" grep -q "^ok .*adopt .*this machine is the crannog's" "$T/out"
check "then it goes on" crannog spend set crannog 5
