#!/bin/sh
# Proves that limits and shown folders of crannog.yaml and of flags hold inside, that the flag counts, that a run keeps what it
# began with, and that what is wrong is refused in words before anything begins.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
mkdir -p "$T/work" "$T/home/.ssh" "$T/tool"
export HOME="$T/home"
echo hello >"$T/tool/file" && echo canary >"$T/home/.ssh/id"
ln -s "$T/home/.ssh" "$T/link"
cd "$T/work" || exit 1
crannog init >/dev/null
check "open files" sh -c 'test "$(crannog exec --limit open-files=99 -- sh -c "ulimit -n")" = 99'
check "a program may raise them far" sh -c 'test "$(crannog exec -- sh -c "ulimit -Hn")" -gt 4096 || test "$(ulimit -Hn)" -le 4096'
check "file size" sh -c '! crannog exec --limit file-size=1M -- head -c 2000000 /dev/zero >/dev/null || ! crannog exec --limit file-size=1M -- sh -c "head -c 2000000 /dev/zero >large"'
check "room in /tmp" sh -c '! crannog exec --limit tmp=1M -- sh -c "head -c 3000000 /dev/zero >/tmp/x"'
refuses "time" 1 'longer than its timeout.*allowed by --limit time=' crannog exec --limit time=1s -- sleep 20
# its own signal and the count of all together race
check "CPU" sh -c '! crannog exec --limit cpu=1s -- sh -c "while :; do :; done" 2>err && grep -q "reached the limit cpu; more is allowed by --limit cpu=" err'
check "the history counts it" sh -c 'crannog show | grep -q "walls.*cpu"'
refuses "disk" 1 'disk.*allowed by --limit disk=' crannog exec --limit disk=1M --limit file-size=1G -- sh -c 'head -c 60000000 /dev/zero >x; sleep 5'
check "nothing of it is in the folder" test ! -e x
refuses "a limit that is none" 2 'no limit .nonsense.; there are memory, cpu' crannog exec --limit nonsense=1 -- true
refuses "a size that is none" 2 'wants a size like 8G' crannog exec --limit memory=lots -- true
refuses "a limit without a value" 2 'NAME=VALUE' crannog exec --limit memory -- true
check "a folder is not seen" sh -c "! crannog exec -- cat $T/tool/file"
check "a shown one is" sh -c "crannog exec --show $T/tool -- cat $T/tool/file"
check "and stays as it is" sh -c "! crannog exec --show $T/tool -- touch $T/tool/new"
refuses "what keeps secrets is not shown" 2 'where secrets are kept' crannog exec --show "$T/home/.ssh" -- true
refuses "nor by another name" 2 'where secrets are kept' crannog exec --show "$T/link" -- true
refuses "nor the whole home folder" 2 'whole home folder' crannog exec --show "$T/home" -- true
refuses "nor the machine" 2 'running machine' crannog exec --show /proc/1 -- true
refuses "what is not there is said" 2 'cannot show' crannog exec --show "$T/nothing" -- true
printf 'limits:\n  open-files: 88\n  cpu: 2h\nshow:\n  - %s/tool\n' "$T" >"$CRANNOG/crannog.yaml"
check "the settings file says both" sh -c "test \"\$(crannog exec -- sh -c 'ulimit -n; cat $T/tool/file' | xargs)\" = '88 hello'"
check "a flag counts over it" sh -c 'test "$(crannog exec --limit open-files=77 -- sh -c "ulimit -n")" = 77'
check "the journal has what the run began with" sh -c 'crannog show --history --json | grep -q "open-files.*77"'
printf 'limits:\n  open-files: many\n' >"$CRANNOG/crannog.yaml"
refuses "a wrong settings file is named" 2 'crannog.yaml.*open-files wants a number' crannog exec -- true
printf 'show:\n  - ~/.ssh\n' >"$CRANNOG/crannog.yaml"
refuses "it cannot show secrets either" 2 'where secrets are kept' crannog exec -- true
