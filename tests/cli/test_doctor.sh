#!/bin/sh
# crannog doctor: what it says of a crannog that was brought to another machine, and that its audit changes nothing; that each wall is
# told of by itself; that --fix writes what another system lacks, the profile that the package has, and nothing where nothing is lacking.
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

crannog doctor >"$T/out"
for wall in files processes network rights calls limits; do
  check "the wall $wall was tried and holds" grep -q "^ok  $wall " "$T/out"
done

mkdir -p "$T/image/proc/sys/kernel" "$T/image/proc/sys/user"
crannog doctor --fix --root "$T/image" >"$T/out"
check "--fix has nothing to do where nothing is lacking" grep -q '^ok  fix .*nothing to mend' "$T/out"
check "and writes nothing there" test ! -e "$T/image/etc"
echo 0 >"$T/image/proc/sys/kernel/unprivileged_userns_clone"
echo 1 >"$T/image/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
echo 1024 >"$T/image/proc/sys/user/max_user_namespaces"
crannog doctor --fix --root "$T/image" >"$T/out"
check "--fix says what it wrote" test "$(grep -c '^ok  fix .*wrote' "$T/out")" = 2
check "the profile is the package's" cmp "$T/image/etc/apparmor.d/crannog-jail" "$ROOT/data/apparmor/crannog-jail"
check "of the kernel it sets what is shut, and nothing else" test "$(cat "$T/image/etc/sysctl.d/60-crannog.conf")" = 'kernel.unprivileged_userns_clone = 1'
check "the system's own settings are left" test "$(cat "$T/image/proc/sys/kernel/unprivileged_userns_clone")" = 0
check "it can be done again" crannog doctor --fix --root "$T/image"
refuses "--fix stands alone" 2 'stands alone' crannog doctor --fix --audit
refuses "--root goes with --fix" 2 'goes with --fix' crannog doctor --root "$T/image"
if [ "$(id -u)" = 0 ]; then
  bin=$(reachable 2>/dev/null)
  refuses "only root changes a machine" 1 'sudo crannog doctor --fix' setpriv --reuid 1234 --regid 1234 --clear-groups "$bin/crannog" doctor --fix
else
  refuses "only root changes a machine" 1 'sudo crannog doctor --fix' crannog doctor --fix
fi
