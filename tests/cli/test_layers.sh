#!/bin/sh
# Proves what a person sees of layers: what a command changed is in the folder, once and whole, or not at all; it can be
# looked at, taken in parts, left, forked and taken back to the byte; what somebody else changed is never overwritten;
# a killed command has changed nothing. With overlays, and in a copy where they cannot be.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1
crannog init >/dev/null

# tree FOLDER: everything that must come back: types, modes, times of files and folders, texts of links, contents.
tree() {
  (cd "$1" && find . -mindepth 1 -printf '%p %y %m %Ts.%T@ %l\n' | sed 's/\.[0-9]*\./ /' | sort && find . -type f -exec sha256sum {} + | sort -k 2)
}
latest() { crannog ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["runs"][0]["id"])'; }

make_project() {
  mkdir -p "$1/src/deep" "$1/empty"
  for i in 1 2 3 4 5; do echo "int f$i(void) { return $i; }" >"$1/src/f$i.c"; done
  echo 'all: ; cat src/*.c >out' >"$1/Makefile"
  echo deep >"$1/src/deep/file" && ln -s src/f1.c "$1/link" && chmod 755 "$1/src/f2.c"
  chmod 750 "$1/src/deep"
  find "$1" -exec touch -h -d '2024-03-01 12:00:00.123456789' {} +
}

for how in overlay copy; do
  p=$how/project
  if [ $how = overlay ]; then mkdir -p $how; else mkdir -p $how && CRANNOG=$T/$p/.home && export CRANNOG; fi
  make_project $p
  crannog init >/dev/null
  [ $how = copy ] && find "$p" -path "$p/.home" -prune -o -exec touch -h -d '2024-03-01 12:00:00.123456789' {} +
  snapshot() { tree $p | grep -av '^\./\.home' | grep -av ' \./\.home'; }

  snapshot >before
  check "$how: a command that changes nothing leaves nothing" crannog exec --in $p -- sh -c 'cat src/*.c >/dev/null'
  snapshot >after
  check "$how: and the folder is as it was" cmp before after
  backend=$(crannog show --history | grep -o '"backend":"[a-z]*"' || crannog show --history --json | grep -o '"backend":"[a-z]*"')
  check "$how: by $how" test "$backend" = "\"backend\":\"$how\""

  check "$how: make in layers" crannog exec --in $p -- make
  check "$how: what it made is there" test "$(wc -l <$p/out)" = 5
  check "$how: diff shows it" sh -c 'crannog diff | grep -q "^+int f3"'
  check "$how: undo" crannog undo
  snapshot >after
  check "$how: and the tree is what it was" cmp before after

  check "$how: rm -rf" crannog exec --in $p -- rm -rf src
  check "$how: is done" test ! -e $p/src
  check "$how: diff of a landed removal" sh -c 'crannog diff --stat | grep -q "src/f1.c"'
  check "$how: undo of rm -rf" crannog undo
  snapshot >after
  check "$how: gives back the exact tree" cmp before after
  check "$how: an undo can be undone" crannog undo
  check "$how: and it is gone again" test ! -e $p/src
  crannog undo >/dev/null 2>&1
  snapshot >after
  check "$how: and back again" cmp before after

  check "$how: everything at once" crannog exec --in $p -- sh -c 'rm src/f1.c && ln -s nowhere src/f1.c && rm link && mkdir link && echo x >link/x &&
    mv src/f3.c src/moved.c && chmod 600 Makefile && echo more >>src/f4.c && mkdir -p "a b/c" && printf x >"a b/c/$(printf "n\\303\\244 me")" &&
    touch -d "2020-01-01" src/f5.c && rmdir empty && : >"$(printf "bad\\377name")"'
  check "$how: a link in place of a file" test "$(readlink $p/src/f1.c)" = nowhere
  check "$how: a folder in place of a link" test "$(cat $p/link/x)" = x
  check "$how: a move" sh -c "test -f $p/src/moved.c && ! test -e $p/src/f3.c"
  check "$how: a mode" test "$(stat -c %a $p/Makefile)" = 600
  check "$how: a time" test "$(stat -c %y $p/src/f5.c | cut -c1-10)" = 2020-01-01
  check "$how: a name that is not UTF-8" test -f "$p/$(printf 'bad\377name')"
  check "$how: all of it is taken back" crannog undo
  snapshot >after
  check "$how: exactly" cmp before after

  # a word first
  refuses "$how: --ask waits" 4 'crannog apply' crannog exec --in $p --ask -- sh -c 'echo one >one; echo two >two; rm Makefile'
  run=$(latest)
  snapshot >after
  check "$how: nothing is in the folder yet" cmp before after
  check "$how: diff shows what it wants" sh -c "crannog diff $run | grep -q '^+one'"
  check "$how: and the list says that it waits" sh -c "crannog ls | grep -q '^$run .*waiting for you'"
  refuses "$how: a fork waits too, with all of it" 0 '+2 ~0 -1' crannog fork $run
  fork=$(latest)
  refuses "$how: a fork with a command sees it" 4 '+3' crannog fork $run -- sh -c 'cat one two >three'
  third=$(latest)
  refuses "$how: a part can be taken, and the others are counted" 4 '+1 ~0 -1): 2 of its changes are not in the folder yet' crannog apply $run one
  check "$how: only that" sh -c "test -f $p/one && ! test -e $p/two && test -f $p/Makefile"
  check "$how: then the rest" crannog apply $run
  check "$how: all of it" sh -c "test -f $p/two && ! test -e $p/Makefile"
  check "$how: a run in parts is taken back at once" crannog undo $run
  snapshot >after
  check "$how: exactly as it was" cmp before after
  check "$how: the fork can be taken all the same" crannog apply $fork
  check "$how: it has the same" sh -c "test -f $p/one && test -f $p/two"
  check "$how: and taken back" crannog undo $fork
  check "$how: another can be left" sh -c "crannog answer $third skip && crannog diff $third | grep -q three"
  snapshot >after
  check "$how: and has changed nothing" cmp before after

  # a part takes the folders that it needs, and only those
  crannog exec --in $p --ask -- sh -c 'mkdir -p d/e d/other; echo 1 >d/e/f; echo 2 >d/g; rm link
    mkdir link; echo 3 >link/x; echo 4 >link/y' >/dev/null 2>&1
  run=$(latest)
  refuses "$how: a part in new folders" 4 '+2 ' crannog apply $run d/e/f link/x
  check "$how: is there with its folders" sh -c "test -f $p/d/e/f && test -f $p/link/x && ! test -e $p/d/g &&
    ! test -e $p/d/other && ! test -e $p/link/y"
  check "$how: a part in new folders is taken back" crannog undo $run
  snapshot >after
  check "$how: with the folders" cmp before after
  crannog exec --in $p --ask -- sh -c 'mkdir -p d/e; echo 1 >d/e/f; echo 2 >d/g' >/dev/null 2>&1
  run=$(latest)
  refuses "$how: a part in new folders once more" 4 '+1 ' crannog apply $run d/e/f
  check "$how: then the rest of the folder" crannog apply $run
  check "$how: which is whole" sh -c "test -f $p/d/e/f && test -f $p/d/g"
  check "$how: both parts are taken back" crannog undo $run
  snapshot >after
  check "$how: and no folder stays" cmp before after
  crannog exec --in $p --ask -- sh -c 'mkdir d; echo 1 >d/f; echo 2 >d/g' >/dev/null 2>&1
  run=$(latest)
  check "$how: all files one by one are all of it" crannog apply $run d/f d/g
  check "$how: and are taken back" crannog undo $run
  snapshot >after
  check "$how: to the same tree" cmp before after

  # many layers become one, and nothing of what they show changes
  crannog exec --in $p --ask -- sh -c 'rm src/f1.c; echo 0 >n0' >/dev/null 2>&1
  run=$(latest)
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do
    crannog fork $run -- sh -c "echo $i >n$i; [ $i != 5 ] || rm -rf src; [ $i != 7 ] || { mkdir src && echo new >src/new; }; [ $i != 9 ] || rm n3" >/dev/null 2>&1
    run=$(latest)
  done
  check "$how: past sixteen they are squashed" test "$(crannog show $run --json | grep -o '"name":"r[0-9]*-1-[0-9]*-1"' | wc -l)" -lt 5
  check "$how: what they show is the same" crannog exec --in $p -- true
  check "$how: and lands" crannog apply $run
  check "$how: all of it" sh -c "test \"\$(cat $p/src/new)\" = new && ! test -e $p/src/f2.c && test -f $p/n17 && test -f $p/n0 && ! test -e $p/n3"
  check "$how: and comes back" crannog undo $run
  snapshot >after
  check "$how: exactly, from many" cmp before after

  # a person who edits meanwhile
  crannog exec --in $p --ask -- sh -c 'echo theirs >>src/f1.c; echo new >fresh' >/dev/null 2>&1
  run=$(latest)
  echo mine >>$p/src/f1.c
  refuses "$how: an edit meanwhile is a conflict" 4 'src/f1.c was changed' crannog apply $run
  check "$how: nothing of it landed" sh -c "! test -e $p/fresh && grep -q mine $p/src/f1.c"
  check "$how: over it on a person's word" crannog apply $run --replace
  check "$how: it is there" sh -c "grep -q theirs $p/src/f1.c && ! grep -q mine $p/src/f1.c && test -f $p/fresh"
  check "$how: and the edit comes back" sh -c "crannog undo $run && grep -q mine $p/src/f1.c && ! test -e $p/fresh"
  crannog exec --in $p --ask -- sh -c 'echo again >>src/f1.c' >/dev/null 2>&1
  echo mine too >>$p/src/f1.c
  check "$how: at once, if it is said at once" sh -c "crannog apply --replace && ! grep -q 'mine too' $p/src/f1.c && crannog undo && grep -q 'mine too' $p/src/f1.c"
  printf 'int f1(void) { return 1; }\n' >$p/src/f1.c && touch -d '2024-03-01 12:00:00.123456789' $p/src/f1.c $p/src
  crannog exec --in $p -- sh -c 'echo a >>src/f2.c; echo b >>src/f3.c' >/dev/null 2>&1
  run=$(latest)
  echo mine >>$p/src/f3.c
  refuses "$how: an undo does not overwrite an edit either" 4 'src/f3.c was changed' crannog undo $run
  check "$how: both are kept" grep -q mine $p/src/f3.c
  crannog apply --replace >/dev/null 2>&1
  find $p -path "$p/.home" -prune -o -exec touch -h -d '2024-03-01 12:00:00.123456789' {} +
  snapshot >before

  # killed in the middle
  crannog exec --in $p -- sh -c 'rm -rf src; echo half >half; sleep 100' >/dev/null 2>&1 &
  pid=$!
  wait_for sh -c "crannog ls --json | grep -q '\"holder\":$pid'"
  sleep 0.5
  kill -9 $pid
  wait $pid 2>/dev/null
  snapshot >after
  check "$how: a killed command has changed nothing" cmp before after
  check "$how: and leaves nothing behind" sh -c "crannog exec --in $p -- true && test -z \"\$(find \$CRANNOG/.crannog/layers -name half)\""

  # killed while its changes are put into the folder: half of them may be there by then
  mkdir $p/many && (cd $p/many && i=0 && while [ $i -lt 500 ]; do i=$((i + 1)) && echo $i >$i; done)
  snapshot >before
  crannog exec --in $p -- sh -c 'cd many && for i in *; do echo more >>$i; done' >/dev/null 2>&1 &
  pid=$!
  until ls -A $p/many | grep -q '^.crannog-.*slot' || ! kill -0 $pid; do :; done
  kill -9 $pid
  wait $pid 2>/dev/null
  refuses "$how: a landing that died is ended by whatever comes next" 1 'they are all there now' crannog apply
  check "$how: everything is there, and nothing of ours" test "$(cat $p/many/* | grep -c more) $(ls -A $p/many | wc -l)" = "500 500"
  check "$how: and it is taken back" crannog undo
  snapshot >after
  check "$how: exactly, what landed before the end too" cmp before after
  rm -rf $p/many

  # a file's own attributes stay with it
  if python3 -c 'import os, sys; open(sys.argv[1], "w").write("1\n"); os.setxattr(sys.argv[1], "user.tag", b"v")' $p/tagged 2>/dev/null; then
    check "$how: a file that was edited keeps its attributes" sh -c "crannog exec --in $p -- sh -c 'echo 2 >>tagged' && test \"\$(cat $p/tagged | tr '\\n' +)\" = 1+2+ &&
      python3 -c 'import os; assert os.listxattr(\"$p/tagged\") == [\"user.tag\"]'"
    rm $p/tagged
  fi

  # what would run by itself outside waits for a word
  if command -v git >/dev/null; then
    (cd $p && git init -q . && git config user.email a@b.c && git config user.name n) >/dev/null 2>&1
    refuses "$how: a git hook waits" 4 'hooks' crannog exec --in $p -- sh -c 'echo "echo pwned" >.git/hooks/post-commit; chmod 755 .git/hooks/post-commit; echo ok >plain'
    check "$how: it is not there, the rest is" sh -c "test -f $p/plain && ! test -e $p/.git/hooks/post-commit"
    check "$how: a commit in layers" crannog exec --in $p -- sh -c 'git -c user.email=a@b.c -c user.name=n add -A src && git -c user.email=a@b.c -c user.name=n commit -qm one'
    check "$how: is in the folder" test "$(git -C $p log --oneline 2>/dev/null | wc -l)" = 1
    check "$how: and git is well" git -C $p fsck --strict
    git="git -c user.email=a@b.c -c user.name=n"
    crannog exec --in $p --ask -- sh -c "echo 2 >two && $git add two && $git commit -qm two" >/dev/null 2>&1
    run=$(latest)
    (cd $p && echo 3 >three && $git add three && $git commit -qm three) >/dev/null 2>&1
    refuses "$how: a commit meanwhile is one conflict for the whole .git" 4 'refs/heads/[a-z]* was changed by somebody else; a repository lands as a whole' crannog apply $run
    check "$how: nothing of it is there, and git is well" sh -c "! test -e $p/two && git -C $p fsck --strict && test \"\$(git -C $p log --format=%s -1)\" = three"
    crannog exec --in $p --ask -- sh -c "$git branch side" >/dev/null 2>&1
    run=$(latest)
    git -C $p checkout -q -b elsewhere
    refuses "$how: so is another HEAD" 4 'made where HEAD was another one' crannog apply $run
    check "$how: which is landed over on a person's word" sh -c "crannog apply $run --replace && git -C $p rev-parse side && git -C $p fsck --strict"
  fi
  refuses "$how: nothing to apply is said" 1 'no changes that wait' crannog apply
done
export CRANNOG=$T/crannog
check "taken layers go, undo layers stay" sh -c 'crannog exec --in overlay/project -- sh -c "echo kept >kept" &&
  id=$(crannog ls --json | grep -o "\"id\":\"r[0-9]*\"" | head -n 1 | grep -o "r[0-9]*") && ls "$CRANNOG/.crannog/layers" | grep -q "^$id-.*-undo$" &&
  test "$(ls "$CRANNOG/.crannog/layers" | grep -c "^$id-")" = 1 && crannog undo'
refuses "nothing to take back is said" 1 'put nothing into its folder' sh -c 'crannog exec --in overlay/project -- true; crannog undo'
refuses "a wrong path is said" 4 'at or below the paths' sh -c 'crannog exec --in overlay/project --ask -- sh -c "echo x >>Makefile" 2>/dev/null; crannog apply nowhere'
