#!/bin/sh
# Proves that `exec --show-plan` tells the whole plan of a jail as it would be played, the same for people and programs, and
# neither runs nor keeps anything.
. "$(dirname "$0")/lib.sh"
mkdir -p "$T/home/.nvm" "$T/home/.cargo/registry" "$T/home/.ssh" "$T/tool" "$T/work"
cd "$T/work" || exit 1
plan() { env -i HOME="$T/home" PATH=/usr/bin:/bin TZ=UTC CRANNOG="$CRANNOG" SECRET=canary "$BIN/crannog" exec --show-plan --show "$T/tool" --limit memory=1G --limit cpu=2h "$@"; }
plan -- sh -c 'echo "a b"; touch ran' >"$T/out" 2>&1 || not_ok "it is printed"
sed -e "s|$T|T|g" -e "s/user $(id -u), group $(id -g)/user U, group G/" "$T/out" >"$T/plan"
cat >"$T/golden" <<'EOF'
runs sh -c echo "a b"; touch ran
in T/work as user U, group G

changes, and can be taken back
  T/work

reads
  /usr
  /bin
  /sbin
  /lib
  /lib32
  /lib64
  /libx32
  /nix/store
  /etc/passwd
  /etc/group
  /etc/nsswitch.conf
  /etc/hosts
  /etc/services
  /etc/protocols
  /etc/localtime
  /etc/ld.so.cache
  /etc/alternatives
  /etc/ssl/certs
  /etc/ssl/openssl.cnf
  /etc/pki/tls/certs
  /etc/os-release
  /etc/manpath.config
  /etc/java-11-openjdk
  /etc/java-17-openjdk
  /etc/java-21-openjdk
  T/home/.nvm
  T/tool

writes what goes with it
  /tmp  1G
  T/home  1G
  T/home/.gitconfig  made for it
  T/home/.cargo/registry  1G  over what is there

does not see
  T/work/.crannog
  any other file, any other process, a network beside its own loopback

environment
  PATH=/usr/bin:/bin:/usr/local/bin
  HOME=T/home
  TMPDIR=/tmp
  SHELL=/bin/sh
  TERM=dumb
  LANG=C.UTF-8
  TZ=UTC

limits
  1G  memory, all processes together
  2h  cpu, all processes together
  512  processes
  65536  open-files
  8G  file-size
  8G  disk, what it changes
  1000000  files, that it changes

walls
  namespaces of its own, no capabilities, no new privileges, a filter of system calls (`crannog doctor` tries them)
EOF
check "the plan is the one that is written down here" diff -u "$T/golden" "$T/plan"
check "nothing was run" test ! -e ran
check "and nothing begun" test ! -e "$CRANNOG"
check "as JSON it is the same" sh -c "env -i HOME='$T/home' PATH=/usr/bin:/bin CRANNOG='$CRANNOG' '$BIN/crannog' exec --show-plan --json --limit processes=7 -- true | python3 -c '
import json, sys
p = json.load(sys.stdin)
sees = {m[\"path\"]: m[\"how\"] for m in p[\"sees\"]}
assert p[\"command\"] == [\"true\"] and p[\"limits\"][\"processes\"] == 7 and p[\"limits\"][\"cpu_ms\"] == 3600000
assert sees[\"$T/work\"] == \"layer\" and sees[\"$T/home\"] == \"scratch\" and sees[\"$T/home/.cargo/registry\"] == \"cache\"
assert sees[\"/usr\"] == \"read-only\" and \"$T/home/.ssh\" not in sees'"
