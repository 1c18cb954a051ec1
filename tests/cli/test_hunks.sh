#!/bin/sh
# Proves of `crannog apply --hunks` what a person sees: it shows change by change and asks, only what was said yes to is in
# the folder, to the byte; the rest waits on, can be looked at, taken later, or left; undo takes back exactly what landed.
# What somebody changed meanwhile is never overwritten, and one that is killed while it lands goes on with the same choice.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/agent.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1
cat >keys.py <<'PYTHON'
"""keys.py KEYS COMMAND...: runs it on a terminal, answers each question with the next letter (! runs ./meanwhile first; none left:
the end of input); prints what was shown. Its child's number is in the file pid. With KILL_MS it is killed so long after the
last letter."""
import os, pty, re, signal, subprocess, sys, threading
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
with open('pid.new', 'w') as f:
    f.write(str(pid))
os.rename('pid.new', 'pid')
keys, shown, asked = list(sys.argv[1]), b'', 0
while True:
    try:
        got = os.read(fd, 65536)
    except OSError:
        got = b''
    if not got:
        break
    shown += got
    while shown.count(b'?]?') > asked:
        asked += 1
        if keys[:1] == ['!']:
            subprocess.run(['sh', './meanwhile'], check=True)
            keys.pop(0)
        os.write(fd, keys.pop(0).encode() + b'\n' if keys else b'\x04')
        if not keys and 'KILL_MS' in os.environ:
            threading.Timer(float(os.environ['KILL_MS']) / 1000, os.kill, (pid, signal.SIGKILL)).start()
sys.stdout.write(re.sub(r'\033\[\d*m', '', shown.decode(errors='replace').replace('\r\n', '\n')))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
PYTHON
crannog init >/dev/null
latest() { crannog ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["runs"][0]["id"])'; }
tree() {
  (cd p && find . -mindepth 1 -printf '%p %y %m %Ts.%T@ %l\n' | sed 's/\.[0-9]*\./ /' | sort && find . -type f -exec sha256sum {} + | sort -k 2)
}
# fresh: the folder as it is before everything. change: what a run wants of it, in p.
fresh() {
  rm -rf p && mkdir -p p/old
  (cd p && seq 1 40 >a && seq 1 40 | sed 's/$/\r/' >crlf && printf 'one\ntwo' >open && seq 1 9 >old/x && echo gone >old/y && printf '\000\001' >binary)
  find p -exec touch -h -d '2024-03-01 12:00:00.123456789' {} +
  tree >before
}
change() {
  cat <<'SH'
sed -i '3s/.*/three/;20s/.*/twenty/;38d' a; chmod 755 a
sed -i 's/^3\r/three\r/;20s/\r//' crlf; printf 'one\n2\nlast' >open
rm -r old; printf '\000\002' >binary; mkdir -p new/deep; echo f >new/deep/f; echo g >new/g; ln -s a link
SH
}
asks() {
  fresh
  crannog exec --in p --ask -- sh -c "$(change)" >/dev/null 2>&1
  run=$(latest)
}

# hunks of one file, and the order of the questions:
# a (mode, 3 hunks), binary, crlf (2), link, new/deep/f, new/g, old/x, old/y, open
asks
cp p/a a.old
refuses "some hunks of one file" 4 'Take hunk 2 of 3 of a ' python3 keys.py nynyq crannog apply "$run" --hunks
check "only these landed" sh -c "sed '3s/.*/three/;38d' a.old | cmp - p/a"
check "not its new mode" test "$(stat -c %a p/a)" = 644
check "of other files nothing" sh -c "test -f p/old/y && ! test -e p/new && ! test -e p/link && printf 'one\ntwo' | cmp - p/open"
check "nothing of ours stays beside them" test "$(ls -A p | tr '\n' ' ')" = "a binary crlf old open "
crannog diff "$run" a >waits
check "what is left is told: its mode and one hunk" sh -c "grep -q '^new mode 100755' waits && grep -q '^+twenty' waits && ! grep -q '^+three' waits"
check "undo takes back exactly what landed" crannog undo "$run"
tree >after
check "to the byte" cmp before after
refuses "and the rest waits on: it was taken back, so its hunks have another base" 4 'changed by somebody else' python3 keys.py dddddddd crannog apply "$run" -p

asks
refuses "a mode alone" 4 'the new mode of a' python3 keys.py ydq crannog apply -p
check "is all that changed, not the time" sh -c "test \"\$(stat -c '%a %y' p/a | cut -c1-23)\" = '755 2024-03-01 12:00:00' && cmp a.old p/a"
refuses "the rest in parts too" 4 'Take hunk 1 of 3 of a ' python3 keys.py nyq crannog apply -p
check "it has both" sh -c "sed '20s/.*/twenty/' a.old | cmp - p/a && test \"\$(stat -c %a p/a)\" = 755"
check "then all of it, whole" crannog apply "$run"
check "as the run had it" sh -c "sed '3s/.*/three/;20s/.*/twenty/;38d' a.old | cmp - p/a && test \$(stat -c %a p/a) = 755 && ! test -e p/old && test -f p/new/g"
check "one undo for the three landings" crannog undo "$run"
tree >after
check "gives back the exact tree" cmp before after

asks
refuses "all of a file, none of another" 0 'nothing' sh -c 'python3 keys.py aynddddyyy crannog apply -p >shown; test $? = 4 && echo nothing'
check "a is whole" sh -c "sed '3s/.*/three/;20s/.*/twenty/;38d' a.old | cmp - p/a && test \$(stat -c %a p/a) = 755"
check "after a no more is asked of the file" sh -c "! grep -q 'hunk 1 of 3 of a' shown"
check "a binary file is one change" sh -c "grep -q 'Take the change of binary' shown && test \$(wc -c <p/binary) = 2 && printf '\\000\\002' | cmp - p/binary"
check "a folder goes with the last of what lay in it" test ! -e p/old
check "no newline at the end" sh -c "grep -q '^. No newline at end of file' shown && printf 'one\n2\nlast' | cmp - p/open"
check "CRLF is shown where it goes" grep -q '20.x0d' shown
check "a link is shown with its text" sh -c "grep -q 'Take the new link link' shown && grep -q '^+a' shown && ! test -L p/link"
check "the rest later" crannog apply "$run"
check "CRLF and LF as the run had them" sh -c "test \$(grep -c '$(printf '\r')' p/crlf) = 39 && test -L p/link && test -f p/new/deep/f"
check "undo of all" crannog undo "$run"
tree >after
check "is exact" cmp before after

asks
refuses "CRLF in parts" 4 'hunk 1 of 2 of crlf' python3 keys.py dnyn crannog apply -p crlf a
check "one hunk of it" sh -c "seq 1 40 | sed 's/\$/\r/;20s/\r//' | cmp - p/crlf"
refuses "only what lies at or below PATHs is asked about" 4 'new/deep/f' python3 keys.py yn crannog apply -p new/
check "a new folder goes with the first in it" sh -c "test -f p/new/deep/f && ! test -e p/new/g"
refuses "end of input is the end" 4 'all of it waits on' python3 keys.py '' crannog apply -p
refuses "an unknown letter explains" 4 'y  take this one' python3 keys.py '?q' crannog apply -p
refuses "nothing chosen: nothing is written down" 4 'nothing was chosen' python3 keys.py q crannog apply -p
check "what is left can be left" crannog answer "$run" skip
check "undo of the parts" crannog undo "$run"
tree >after
check "gives the tree back" cmp before after

# a person edits meanwhile
asks
echo mine >>p/a
refuses "a file that was changed before is left" 4 'a was changed\|It was changed by somebody else' python3 keys.py nnnyq crannog apply -p
check "with the edit in it" sh -c "tail -n 1 p/a | grep -q mine && ! grep -q three p/a"
asks
echo 'echo mine >>p/a' >meanwhile
refuses "an edit while questions are open is a conflict" 4 'a was changed' python3 keys.py ny!nnyq crannog apply -p
check "nothing landed, the edit stays" sh -c "cat a.old >want; echo mine >>want; cmp want p/a && printf '\\000\\001' | cmp - p/binary"
cp a.old p/a && touch -d '2024-03-01 12:00:00.123456789' p/a
refuses "it can be chosen again" 4 'hunk 1 of 3' python3 keys.py nyq crannog apply -p
check "and lands" sh -c "sed '3s/.*/three/' a.old | cmp - p/a"
echo mine >>p/a
refuses "an edit after a part landed is a conflict for the rest" 4 'a was changed' crannog apply "$run"
check "it stays" sh -c "tail -n 1 p/a | grep -q mine && ! grep -q twenty p/a"
asks
echo 'crannog apply a >/dev/null 2>&1; true' >meanwhile
refuses "what another terminal took meanwhile" 1 'changed while you chose' python3 keys.py '!nyq' crannog apply -p
check "is not taken again" test "$(grep -c three p/a)" = 1
check "the journal is well" sh -c "crannog doctor --audit | grep -q 'every chain, blob and list agrees'"

# killed at any point after the last answer: nothing was chosen, or what was chosen is there, and never anything else
sed '3s/.*/three/;38d' a.old >want
none=0 some=0
for ms in 0 5 10 20 30 40 45 50 55 60 65 70 80 100 140 200; do
  asks
  KILL_MS=$ms python3 keys.py nynyq crannog apply -p >/dev/null 2>&1
  crannog diff "$run" >/dev/null 2>&1
  if cmp -s a.old p/a; then
    none=$((none + 1))
  elif cmp -s want p/a; then
    some=$((some + 1))
  else
    not_ok "killed after $ms ms: neither the old file nor what was chosen"
  fi
  crannog apply "$run" >shown 2>&1 || { sed 's/^/  /' shown; not_ok "killed after $ms ms: the rest"; }
  cmp -s - p/a <<WHOLE || not_ok "killed after $ms ms: not the whole"
$(sed '3s/.*/three/;20s/.*/twenty/;38d' a.old)
WHOLE
  crannog undo "$run" >/dev/null 2>&1
  tree >after
  cmp -s before after || not_ok "killed after $ms ms: undo is not exact"
done
echo "  killed $none times before the choice was there, $some times after"
check "killed at any point" test $((none + some)) = 16

# killed while it lands
asks
i=0
mkdir p/many && while [ $i -lt 60 ]; do i=$((i + 1)) && seq 1 40 >p/many/$i; done
tree >before
crannog exec --in p --ask -- sh -c "cd many; for i in *; do sed -i '2s/.*/two/;30s/.*/thirty/' \$i; done" >/dev/null 2>&1
run=$(latest)
rm -f pid
python3 keys.py "$(python3 -c 'print("yn" * 60)')" crannog apply -p >shown 2>&1 &
keys=$!
until ls -A p/many | grep -q '^.crannog-.*slot' || ! kill -0 $keys 2>/dev/null; do :; done
kill -9 "$(cat pid)" 2>/dev/null
wait $keys
refuses "one that died is ended by whatever comes next" 0 'died while.*those that were chosen are there now' sh -c "crannog diff $run"
check "the chosen hunks of all files" sh -c 'test "$(cat p/many/* | grep -c two) $(cat p/many/* | grep -c thirty) $(ls -A p/many | wc -l)" = "60 0 60"'
check "the others wait" crannog apply "$run"
check "all of it" test "$(cat p/many/* | grep -c thirty)" = 60
check "and is taken back" crannog undo "$run"
tree >after
check "exactly" cmp before after
check "of the choice nothing is left" sh -c "! ls \"\$CRANNOG/.crannog/layers\" | grep -q part"
check "the journal is still well" sh -c "crannog doctor --audit | grep -q 'every chain, blob and list agrees'"

# what would run by itself is told before it is asked about
fresh
crannog exec --in p --ask -- sh -c 'mkdir .vscode && echo "{}" >.vscode/settings.json' >/dev/null 2>&1
refuses "look first" 4 'look first: it ' python3 keys.py n crannog apply -p

# what an agent wants
serve <<'JSON'
[{"calls": [{"name": "bash", "arguments": {"command": "sed -i '3s/.*/three/;20s/.*/twenty/' a; echo n >n"}}]}, {"text": "Both are done."}]
JSON
fresh
goal p "write the numbers out" >/dev/null 2>&1
run=$(latest)
refuses "of an agent's changes some hunks" 4 'hunk 1 of 2 of a ' python3 keys.py ynq crannog apply "$run" --hunks
check "only these" sh -c "sed '3s/.*/three/' a.old | cmp - p/a && ! test -e p/n"
check "and the rest" sh -c "crannog apply $run && sed '3s/.*/three/;20s/.*/twenty/' a.old | cmp - p/a && test -e p/n"
check "its story is told" crannog show "$run"
check "and all is taken back" crannog undo "$run"
tree >after
check "also an agent's, exactly" cmp before after

# what it wants, and a copy instead of an overlay
refuses "without a terminal" 2 'wants a terminal' crannog apply --hunks
refuses "not over what was changed" 2 'do not go together' crannog apply --hunks --replace
export CRANNOG="$T/p/.home"
asks
crannog init >/dev/null
crannog exec --in p --ask -- sh -c "$(change)" >/dev/null 2>&1
refuses "in a copy too" 4 'hunk 1 of 3' python3 keys.py nynyq crannog apply -p
check "the same hunks" sh -c "sed '3s/.*/three/;38d' a.old | cmp - p/a"
check "then the rest" crannog apply
check "all" sh -c "sed '3s/.*/three/;20s/.*/twenty/;38d' a.old | cmp - p/a && ! test -e p/old"
