#!/bin/sh
# Proves that one process works on a run and others are told so; that stop, Ctrl-C, a polite kill and a closed terminal
# end it gracefully with exact books; that Ctrl-C twice and kill -9 lose nothing; and that the same command goes on.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
work long cat dog
long_sources long
spend() { crannog spend --json | python3 -c '
import json, sys
print(sum(a[sys.argv[1]] for a in json.load(sys.stdin)["accounts"] if a["unit"] == "tokens" and a["account"] == "crannog"))' "$1"; }
asking() { crannog show --json | grep -q '"stage":"ask"[^}]*"open":true'; }

# begin: starts the run in a group of its own, as a terminal would, and waits until the model is asked.
begin() {
  # The trap keeps the shell around it; what it starts gets the default.
  setsid sh -c 'trap : INT; crannog run long/PLAN.md >first 2>&1; echo "exit $?" >>first' &
  group=$!
  wait_for asking || not_ok "the run did not begin"
  sleep 0.5
  pid=$(crannog ls --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["runs"][0]["holder"])')
  [ "${pid:-0}" -gt 1 ] || { not_ok "nobody works on the run"; crannog show; cat first; exit 1; }
}
# ended NAME CODE TEXT
ended() {
  wait
  refuses "$1" 0 "$3" cat first
  check "$1: exit code $2" grep -q "^exit $2" first
}

begin
refuses "a second terminal is told who works" 1 "worked on by process $pid.*crannog stop r1" crannog run long/PLAN.md
refuses "also with --again" 1 "worked on by process $pid.*crannog stop r1. first" crannog run long/PLAN.md --again
check "ls says running" sh -c 'crannog ls | grep -q "running  *long/PLAN.md"'
check "show says what is under way" sh -c 'crannog show | grep -q "> sources/cat.txt.*(asking the model)"'
check "stop asks it" sh -c "crannog stop | grep -q 'asked process $pid to stop r1'"
ended "stop from another terminal" 1 'r1 stopped.*'
check "the reason is kept" sh -c 'crannog show | grep -q "stopped from another terminal"'
check "and nothing was assumed" test "$(spend assumed)" = 0
check "stop of what does not run says so" sh -c 'crannog stop r1 | grep -q "r1 is not running"'
refuses "stop of what is not there" 1 'no run r9' crannog stop r9

begin
python3 -c 'import os, signal, sys; os.killpg(int(sys.argv[1]), signal.SIGINT)' "$group"
ended "Ctrl-C, which reaches the whole group" 1 'stopping; Ctrl-C again'
check "again nothing was assumed" test "$(spend assumed)" = 0
check "and nothing is held" test "$(spend held)" = 0
begin
kill -TERM "$pid"
ended "a polite kill" 1 'r1 stopped'
begin
kill -HUP "$pid"
ended "a closed terminal" 1 'r1 stopped'
check "still nothing was assumed" test "$(spend assumed)" = 0
begin
kill -STOP "$pid" && kill -INT "$pid" && kill -CONT "$pid" && sleep 0.02 && kill -INT "$pid" 2>/dev/null
ended "Ctrl-C twice" '\(130\|1\)' 'stopping'
begin
kill -9 "$pid"
ended "kill -9" 137 'illed\|^exit'
# As if somebody had asked it to stop in its last moment: that was for this process and stops no later one.
python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db: db.execute("INSERT INTO request(run, verb, args) VALUES(1, \"stop\", \"{}\")")' "$CRANNOG/.crannog/journal.db"
check "ls says how to go on" sh -c 'crannog ls | grep -q "interrupted, run it again"'
rm long/sources/dog.txt
refuses "it goes on; a source that vanished meanwhile is asked about" 4 'sources/dog.txt.*not there.*crannog answer' crannog run long/PLAN.md
check "the other is done" test -s long/notes/cat.md
echo 'A dog is back.' >long/sources/dog.txt
crannog answer r1 retry >/dev/null
check "brought back, it is done" crannog run long/PLAN.md
check "all adds up" sh -c 'crannog doctor --audit | grep -q "^ok  *audit"'
done_once() { test "$(crannog show --history --json | python3 -c '
import json, sys
land = set()
for e in json.load(sys.stdin)["events"]:
    p = e.get("payload", {})
    if e["type"] == "step.intended" and p["stage"] == "land": land.add(e["step"])
print(len(land))')" = 2; }
check "each note was written once" done_once

# Two terminals begin the same new plan at once: one run, and nobody writes twice.
for n in 1 2 3; do
  work "both$n" cat
  crannog run "both$n/PLAN.md" 2>first &
  crannog run "both$n/PLAN.md" 2>second
  wait
done
check "begun twice at once, a plan has one run" sh -c 'test "$(crannog ls | grep -c both)" = 3'
check "and each was done" test -s both1/notes/cat.md -a -s both2/notes/cat.md -a -s both3/notes/cat.md
