#!/bin/sh
# Proves of each bad input that it gives one clear line and the right exit code, that nothing is lost or overwritten by
# it, and that after mending the work goes on: plans, settings, model files, sources, what lies where an item writes,
# folders that cannot be written, full disks.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1

# ---- plans ----
mkdir plans
item='- [ ] a: b\n      writes: x.md\n'
refuses "a plan that is not there" 2 'no plan at plans/none.md' crannog run plans/none.md
refuses "a plan in no folder" 2 'no plan at nowhere/PLAN.md' crannog run nowhere/PLAN.md
refuses "a folder instead of a plan" 2 'the plan plans is a folder' crannog run plans
mkfifo plans/fifo.md
refuses "a FIFO instead of a plan" 2 'not a plain file' timeout 10 crannog run plans/fifo.md
head -c 300000 /dev/zero | tr '\0' x >plans/large.md
refuses "a large plan" 2 'larger than 256 KiB' crannog run plans/large.md
# bad_plan NAME TEXT PLAN: refused with exit code 2, the file's name and one line.
bad_plan() {
  printf '%b' "$3" >plans/bad.md
  refuses "plan: $1" 2 "crannog: plans/bad.md.*$2" crannog run plans/bad.md
  [ "$(wc -l <"$T/.out")" = 1 ] || not_ok "plan: $1: more than one line"
}
bad_plan "empty" 'has no items' ''
bad_plan "prose" 'has no items' 'Some words.\n'
bad_plan "not UTF-8" 'not UTF-8' '\0377\0376\n'
bad_plan "a NUL byte" 'not UTF-8 text' 'a\0000b\n'
bad_plan "front matter that does not end" 'no closing ---' '---\ngoal: x\n'
bad_plan "broken YAML" 'front matter.*line' '---\ngoal: [a\n---\n'"$item"
bad_plan "an unknown key" "unknown key.*'foo'" '---\nfoo: x\n---\n'"$item"
bad_plan "a wrong type" "text is wanted.*'goal'" '---\ngoal: 3\n---\n'"$item"
bad_plan "a key twice" 'twice' '---\ngoal: a\ngoal: b\n---\n'"$item"
bad_plan "an unknown landing" "not 'now'" '---\nland: now\n---\n'"$item"
bad_plan "a budget that is none" "'lots' is not a budget" '---\nbudget: lots\n---\n'"$item"
bad_plan "no writes" 'writes:' '- [ ] a: b\n'
bad_plan "a path that climbs" "'../x.md'" '- [ ] a: b\n      writes: ../x.md\n'
bad_plan "an absolute path" "'/etc/x.md'" '- [ ] a: b\n      writes: /etc/x.md\n'
bad_plan "an unknown variable" "'{FOO}'" '- [ ] a: b\n      writes: {FOO}.md\n'
bad_plan "an unknown key of an item" ":3:.*'retires'" "$item"'      retires: 3\n'
bad_plan "two items of a name" "two items.*'a'" "$item$item"
bad_plan "a need that is none" "'z'" "$item"'      needs: z\n'
work good cat
for budget in lots -5 99999999999999999999tok ''; do
  refuses "--budget '$budget'" 2 'budget' crannog run good/PLAN.md --budget "$budget"
done

# ---- settings ----
bad_settings() {
  printf '%b' "$3" >"$CRANNOG/crannog.yaml"
  refuses "settings: $1" 2 "crannog.yaml.*$2" crannog run good/PLAN.md
}
bad_settings "broken YAML" 'line' 'model: [x\n'
bad_settings "an unknown key" "no setting 'foo'" 'foo: 1\n'
bad_settings "a wrong type" 'window: wants' 'window: big\n'
bad_settings "out of range" '256 to 3072' 'window: 3\n'
bad_settings "no model" 'model: wants' 'model:\n'
bad_settings "a budget that is none" 'budget' 'budget: {a: 1}\n'
bad_settings "a list" 'not a list' '- a\n'
bad_settings "an alias" 'line' 'a: &x 1\nb: *x\n'
bad_settings "not UTF-8" 'line' '\0377\n'
rm "$CRANNOG/crannog.yaml" && mkfifo "$CRANNOG/crannog.yaml"
refuses "settings: a FIFO" 2 'not a plain file' timeout 10 crannog run good/PLAN.md
rm "$CRANNOG/crannog.yaml" && mkdir "$CRANNOG/crannog.yaml"
refuses "settings: a folder" 2 'is a folder' crannog run good/PLAN.md
rmdir "$CRANNOG/crannog.yaml"
printf 'model: nonesuch\n' >"$CRANNOG/crannog.yaml"
refuses "settings: a model that is not there" 1 "no model 'nonesuch'" crannog run good/PLAN.md
rm "$CRANNOG/crannog.yaml"
check "nothing ran and nothing was written" sh -c 'test ! -e good/notes && crannog ls | grep -q "no runs yet"'

# ---- model files ----
bad_model() { refuses "model: $1" 1 "$2" timeout 20 crannog model get "$3"; }
: >empty.gguf && bad_model "empty" 'empty.gguf cannot be used.*empty' empty.gguf
head -c 100 "$MODEL" >short.gguf && bad_model "cut in its description" 'cut short' short.gguf
head -c 9000000 "$MODEL" >half.gguf && bad_model "cut in its weights" 'cut short' half.gguf
head -c 5000 /dev/zero >zero.gguf && bad_model "zeros" 'not a GGUF' zero.gguf
printf 'GGUX\003\000\000\000' >magic.gguf && bad_model "another magic" 'not a GGUF' magic.gguf
printf 'GGUF\377\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000' >version.gguf
bad_model "another version" 'version 255' version.gguf
printf 'GGUF\003\000\000\000\377\377\377\377\377\377\377\177\377\377\377\377\377\377\377\177' >huge.gguf
bad_model "absurd counts" 'more than' huge.gguf
bad_model "not there" 'not there' none.gguf
mkfifo fifo.gguf && mkdir folder.gguf
refuses "model: a FIFO" 2 'not a plain file' timeout 10 crannog model get fifo.gguf
refuses "model: a folder" 2 'is a folder' crannog model get folder.gguf
refuses "model: another name" 2 'with a name like' crannog model get plans/bad.md
check "none of them was taken in" sh -c 'test "$(crannog model | wc -l)" = 1'
# A model that went bad later: the run is as it was, and the same command goes on.
mv "$CRANNOG/.crannog/models/small.gguf" keep.link && cp half.gguf "$CRANNOG/.crannog/models/small.gguf"
refuses "a model that went bad" 1 'small.gguf cannot be used.*cut short' crannog run good/PLAN.md
rm "$CRANNOG/.crannog/models/small.gguf"
refuses "a model that is gone" 1 'no model yet; give it one with' crannog run good/PLAN.md
mv keep.link "$CRANNOG/.crannog/models/small.gguf"
check "mended, the same command goes on" crannog run good/PLAN.md
check "with the same run" sh -c 'test -s good/notes/cat.md && test "$(crannog ls --json | grep -o "\"id\"" | wc -l)" = 1'

# ---- sources ----
work sources cat
cd sources/sources || exit 1
printf '\000\001\002\377' >binary.bin && : >empty.txt && printf '  \n' >blank.txt
head -c 3500000 /dev/urandom | base64 >large.txt
ln -s /etc/passwd link.txt && mkfifo fifo.txt && mkdir folder.txt
echo 'A dog.' >unreadable.txt && chmod 000 unreadable.txt
cd ../.. || exit 1
mkdir sources/notes && echo mine >sources/notes/mine.md && cp -a sources/notes/mine.md before
refuses "bad sources wait for a person" 4 'waits for your answers' timeout 100 crannog run sources/PLAN.md
cp .out told
says() { check "$1" grep -q -e "$2" told; }
says "binary" '! note.*binary.bin.* NUL bytes.*crannog answer r[0-9]*[.][0-9]* retry | skip'
says "empty" '! note.*empty.txt: the document has no text'
says "blank" '! note.*blank.txt: the document has no text'
says "large" '! note.*large.txt.* more than the'
says "unreadable" '! note.*unreadable.txt: .*ermission denied'
says "the good one is done" '+ note.*cat.txt -> notes/cat.md'
check "links, FIFOs and folders are no sources" sh -c '! grep -q -e link.txt -e fifo.txt -e folder.txt told'
refuses "called again it asks again" 4 'unreadable.txt.*crannog answer' crannog run sources/PLAN.md
chmod 644 sources/sources/unreadable.txt && echo 'A bird.' >sources/sources/empty.txt
check "all can be asked again at once" crannog answer r2 retry
refuses "what was mended goes on" 4 '+ note.*unreadable.txt -> notes/unreadable.md' timeout 100 crannog run sources/PLAN.md
check "also the other" test -s sources/notes/empty.md
check "skip leaves the rest out" crannog answer r2 skip
check "and the run ends" crannog run sources/PLAN.md
check "what was not its own is untouched" cmp before sources/notes/mine.md
work names cat
touch "names/sources/$(printf 'x\377.txt')" 2>/dev/null
refuses "a name that is not UTF-8" 4 'not UTF-8; rename it' crannog run names/PLAN.md
work empty
refuses "no sources" 4 'no file matches .sources/\*' crannog run empty/PLAN.md

# ---- what lies where it writes ----
work targets folder link hard fifo mine free
mkdir -p targets/notes/folder.md
echo keep >targets/keep && ln -s ../keep targets/notes/link.md
echo hard >targets/hard && ln targets/hard targets/notes/hard.md
mkfifo targets/notes/fifo.md && echo mine >targets/notes/mine.md
refuses "what is in the way is asked about" 4 'waits for your answers' timeout 100 crannog run targets/PLAN.md
cp .out told
for what in folder link fifo; do check "a $what says so" grep -q "notes/$what.md is a folder, a link or a device" told; done
check "a hard link says so" grep -q 'notes/hard.md has several names' told
check "a person's file says so" grep -q 'notes/mine.md was there before' told
crannog answer r5 replace >/dev/null
refuses "replace is for plain files" 4 'waits for your answers' timeout 100 crannog run targets/PLAN.md
check "all others are as they were" sh -c 'test -d targets/notes/folder.md && test -L targets/notes/link.md &&
  test "$(cat targets/keep)" = keep && test "$(cat targets/hard)" = hard && test -p targets/notes/fifo.md'
check "the plain one was replaced" grep -q 'sources/mine.txt' targets/notes/mine.md
check "what was there is told and kept" test "$($(crannog show r5 | sed -n 's/.*what lay there before: //p'))" = mine
rm -r targets/notes/folder.md
crannog answer r5 replace >/dev/null
refuses "moved away, it is written" 4 '+ note.*folder.txt' timeout 100 crannog run targets/PLAN.md
crannog answer r5 keep >/dev/null
check "the rest kept, the run ends" crannog run targets/PLAN.md
work outside cat
mkdir elsewhere && ln -s ../elsewhere outside/notes
refuses "a folder that is a link is not followed" 4 'symbolic link' crannog run outside/PLAN.md
check "nothing was written there" test -z "$(ls elsewhere)"
work file cat
echo x >file/notes
refuses "a file in a folder's place" 4 'notes/cat.md' crannog run file/PLAN.md

# ---- folders that cannot be written, full disks ----
work readonly cat
chmod 555 readonly
refuses "a folder that cannot be written" 4 'cannot make the folder notes' crannog run readonly/PLAN.md
chmod 755 readonly
crannog answer r8 retry >/dev/null
check "mended, it goes on" crannog run readonly/PLAN.md
refuses "a crannog that cannot be made" 1 'cannot make the folder /proc/crannog' crannog -C /proc/crannog init
if [ "$(id -u)" = 0 ] && mkdir disk && mount -t tmpfs -o size=20m tmpfs disk 2>/dev/null; then
  work full cat
  crannog -C disk/c init >/dev/null && ln -s "$MODEL" disk/c/.crannog/models/small.gguf
  head -c 30000000 /dev/zero >disk/fill 2>/dev/null
  refuses "the crannog's disk is full" 1 'full; make room' timeout 60 crannog -C disk/c run full/PLAN.md
  refuses "also for what only looks" 1 'full; make room' crannog -C disk/c ls
  rm disk/fill
  check "with room, the same command goes on" crannog -C disk/c run full/PLAN.md
  check "and nothing is damaged" sh -c 'crannog -C disk/c doctor --audit | grep -q "^ok  *audit"'
  refuses "no room for a model" 1 'No space left' crannog -C disk/c model get "$MODEL"
  check "no half of it stays" sh -c 'test "$(ls disk/c/.crannog/models)" = small.gguf'
  work disk/work cat
  head -c 30000000 /dev/zero >disk/fill 2>/dev/null
  refuses "the work folder's disk is full" 4 'No space left' timeout 60 crannog run disk/work/PLAN.md
  check "no half note" test -z "$(ls -A disk/work/notes 2>/dev/null)"
  rm disk/fill
  crannog answer r9 retry >/dev/null
  check "with room it goes on" crannog run disk/work/PLAN.md
  umount disk
else
  skip "full disks" "needs root and a mount"
fi
