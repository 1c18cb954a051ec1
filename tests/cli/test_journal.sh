#!/bin/sh
# Proves that a damaged or newer journal is met with one clear line and exit code 1, that the damage stays where it is
# (other runs go on), that `doctor --audit` sees it and calls a healthy crannog healthy, and that lists which do not
# follow from the events can be made anew.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
work one cat dog
crannog run one/PLAN.md >/dev/null 2>&1 || exit 1
mv "$CRANNOG" "$T/healthy"
audit() { crannog -C "$1" doctor --audit | grep audit; }
check "a healthy one" sh -c 'crannog -C healthy doctor --audit | grep -q "^ok  *audit"'
check "and as JSON" sh -c 'crannog -C healthy doctor --audit --json | python3 -m json.tool | grep -q every'

# damaged CODE...: a fresh copy of the healthy crannog in ./c, changed by lines of Python: `db`, its journal; `path`.
damaged() {
  rm -rf c && cp -a healthy c
  python3 -c '
import sqlite3, sys
path = "c/.crannog/journal.db"
def sql(text, *args):
    db = sqlite3.connect(path)
    db.execute(text, args)
    db.commit()
    db.close()
def edit(change):
    data = bytearray(open(path, "rb").read())
    data = change(data)
    open(path, "wb").write(data)
def flip(data, text): # also in what a page keeps of rows that were moved
    at = data.find(text)
    while at >= 0:
        data[at + 3] ^= 0x01
        at = data.find(text, at)
    return data
'"$1" || not_ok "could not damage it: $1"
}

# everything NAME TEXT: each command says TEXT in one line and ends with 1.
everything() {
  for command in ls show spend 'run one/PLAN.md' 'run one/PLAN.md --again' 'stop r1' 'answer r1 keep' 'spend set crannog none' 'exec -- true'; do
    # shellcheck disable=SC2086
    crannog -C c $command >out 2>&1
    code=$?
    [ "$code" = 1 ] && [ "$(wc -l <out)" = 1 ] && grep -q "$2" out && continue
    sed 's/^/  /' out
    not_ok "$1: crannog $command ended with $code"
    return
  done
  refuses "$1" 1 "BAD.*$2" crannog -C c doctor --audit
}
damaged 'sql("PRAGMA user_version = 9")' && everything "written by a newer one" 'newer crannog (schema 9'
damaged 'edit(lambda d: b"no database at all, just text\n" * 300)' && everything "not a database" 'damaged: file is not a database'
damaged 'edit(lambda d: d[:len(d) // 2])' && everything "cut in half" 'damaged'
damaged 'edit(lambda d: d[:100])' && everything "cut to its first bytes" 'damaged'
damaged 'edit(lambda d: b"")' && everything "empty" 'is empty.*backup'
damaged 'import os; os.unlink(path)' && everything "gone" 'is gone.*backup'
damaged 'edit(lambda d: d[:4096] + bytes(len(d) - 4096))'
refuses "zero pages: nothing is made up" 1 'damaged' crannog -C c run one/PLAN.md
refuses "zero pages: the audit says so" 1 'BAD.*audit' crannog -C c doctor --audit
rm -rf c && cp -a healthy c && rm c/.crannog/journal.db && mkdir c/.crannog/journal.db
refuses "a folder in its place" 1 'journal.db' crannog -C c ls

# Damage within one run: that run says so, the rest goes on.
work two bird
broken() {
  rm -rf two/notes
  refuses "$1: the run says so" 1 "cannot go on.*--again.*$2" crannog -C c run one/PLAN.md
  check "$1: show tells what is known" sh -c 'crannog -C c show r1 | grep -q broken'
  refuses "$1: so does its history" 1 "$2" crannog -C c show r1 --history
  refuses "$1: so does the audit" 1 "BAD  *audit.*$2" crannog -C c doctor --audit
  check "$1: another run goes on" crannog -C c run two/PLAN.md --again
}
damaged 'edit(lambda d: flip(d, b"\"outcome\":\"ok\""))' && broken "a flipped bit in a payload" 'the payload of event [0-9]* was changed'
damaged 'sql("UPDATE event SET header = zeroblob(length(header)) WHERE run = 1 AND seq = 5")' && broken "a header of zeros" 'run r1 cannot be read'
damaged 'sql("DELETE FROM event WHERE run = 1 AND seq = 5")' && broken "a lost event" 'run r1 cannot be read'
damaged 'sql("UPDATE event SET payload = ? WHERE run = 1 AND seq = 1", b"{}")' && broken "another payload" 'event 1 was changed'
check "started anew, its plan is walked again" crannog -C c run one/PLAN.md --again

# What the audit alone can see.
seen() { damaged "$2" && refuses "$1" 1 "BAD  *audit.*$3" crannog -C c doctor --audit; }
seen "a lost blob" 'sql("DELETE FROM blob WHERE id = 2")' 'its blob [0-9a-f]* is not there'
seen "a changed blob" 'sql("UPDATE blob SET data = ? WHERE id = 2", b"x")' 'was changed'
seen "a lost counter" 'sql("DELETE FROM meta")' 'lost its counter'
seen "a lost list" 'sql("DROP TABLE run")' 'no such table'
seen "a book that does not follow" 'sql("UPDATE balance SET exact = 5")' 'not what the events say.*--rebuild'
check "it can be made anew" crannog -C c doctor --rebuild
check "then all agrees" sh -c 'crannog -C c doctor --audit | grep -q "^ok  *audit"'
seen "an end that was cut off" 'sql("DELETE FROM event WHERE id = (SELECT max(id) FROM event)")' 'not what the events say'
