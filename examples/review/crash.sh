#!/bin/sh
# crash.sh [-n DOCUMENTS] [-k FINISHED] [-C FOLDER]: kills the review in the middle and shows that nothing is lost.
#
# After `make build`, on a copy of this folder (the model and the documents are got first where they are missing):
#
#   1. `crannog run PLAN.md` in a session of its own; when FINISHED sources have their note (22 unless told), SIGKILL for
#      the engine, the model and the jails at once
#   2. what the journal kept; an edit of a finished note, as a person would make one
#   3. the same command again. Shown and checked: the next source is the one that was under way; no finished source is
#      worked on again (by the journal) and no finished note written again (by its inode and its time); the edit stays;
#      every reference of the briefing holds, and the one of the edited note says that it was edited
#
# DOCUMENTS takes only so many of the sources, in order. With -C all of it stays in FOLDER, else it goes at the end. Exit 0
# if all was as promised, else 1 and the reason. BIN and MODEL say where the programs and the model are.
set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
BIN=${BIN-$root/build/src}
MODEL=${MODEL-$root/build/model/smollm2-135m-instruct-q4_1.gguf}
documents=30 kill_after=22 folder= runner=

usage() {
  echo "usage: crash.sh [-n DOCUMENTS] [-k FINISHED] [-C FOLDER]   (0 < FINISHED < DOCUMENTS)" >&2
  exit 2
}

broken() {
  echo "crash: NOT as promised: $*" >&2
  [ ! -s "$T/log" ] || { echo "crash: the run said last:" >&2; tail -n 5 "$T/log" | sed 's/^/    /' >&2; }
  exit 1
}

say() { printf '\n== %s\n' "$*"; }

while getopts n:k:C: option; do
  case $option in
    n) documents=$OPTARG ;;
    k) kill_after=$OPTARG ;;
    C) folder=$OPTARG ;;
    *) usage ;;
  esac
done
case $documents$kill_after in *[!0-9]*) usage ;; esac
[ $OPTIND -gt $# ] && [ "$kill_after" -gt 0 ] && [ "$kill_after" -lt "$documents" ] || usage
[ -x "$BIN/crannog" ] || { echo "crash: there is no $BIN/crannog; run: make build" >&2; exit 2; }
[ -f "$MODEL" ] || "$root/tools/model-get" "$(dirname "$MODEL")" || exit 2
[ -d "$here/sources" ] || "$root/tools/sources-get" "$here/sources" || exit 2

if [ -n "$folder" ]; then
  [ ! -e "$folder/review" ] || { echo "crash: $folder/review is there already; name another folder" >&2; exit 2; }
  mkdir -p "$folder" && T=$(cd "$folder" && pwd) || exit 2
else
  T=$(mktemp -d "${TMPDIR:-/var/tmp}/crannog-crash-XXXXXX") || exit 2
fi

# kill_all: the run's process group, that is everything that it started.
kill_all() {
  kill -KILL "-$runner" 2>/dev/null
  wait "$runner" 2>/dev/null
  runner=
}

# finish: nothing of ours runs on, whatever happened.
finish() {
  status=$?
  trap - EXIT
  [ -z "$runner" ] || kill_all
  if [ -n "$folder" ]; then echo "all of it stays in $T"; else rm -rf "$T"; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

crannog() { "$BIN/crannog" -C "$T/crannog" "$@"; }

# pieces: a line "NUMBER STAGE SOURCE" for each source, numbers as in the journal.
pieces() {
  crannog show r1 --json 2>/dev/null | grep -o '{"stage":"[a-z]*","source":"sources/[^"]*"' |
    awk -F '"' '{ print NR - 1, $4, $8 }'
}

finished() { pieces | awk '$2 == "done"'; }

# follow: shows what the run has said since we looked last, but only what it finished.
shown=0
follow() {
  lines=$(wc -l <"$T/log")
  [ "$lines" = "$shown" ] || sed -n "$((shown + 1)),${lines}p" "$T/log" | grep '^[+!-] ' | sed 's/^/   /'
  shown=$lines
}

# start: the one command, alone in a session and so in a process group.
start() {
  : >"$T/log"
  shown=0
  setsid "$BIN/crannog" -C "$T/crannog" run "$T/review/PLAN.md" >"$T/log" 2>&1 </dev/null &
  runner=$!
}

# written FILE...: who they are on disk and what is in them; a file that is written again is another inode or time.
written() { (cd "$T/review" && stat -c '%n %i %y' "$@" && sha256sum "$@"); }

# --- 1

mkdir -p "$T/review/sources"
cp "$here/PLAN.md" "$here/check.sh" "$T/review" || exit 2
(cd "$here/sources" && ls | head -n "$documents") | while read -r name; do cp "$here/sources/$name" "$T/review/sources"; done
total=$(ls "$T/review/sources" | wc -l)
[ "$total" = "$documents" ] || { echo "crash: there are only $total documents in $here/sources" >&2; exit 2; }
crannog model get "$MODEL" >/dev/null || exit 2

say "crannog run PLAN.md, over $documents documents; it will be killed when $kill_after have their note"
start
until [ "$(finished | wc -l)" -ge "$kill_after" ]; do
  kill -0 "$runner" 2>/dev/null || { follow; broken "the run ended by itself before $kill_after sources were finished"; }
  follow
  sleep 0.1
done
kill_all
follow

# --- 2

say "killed: kill -9 for every process of it. What is kept:"
crannog ls | sed 's/^/   /'
finished >"$T/before"
kept=$(wc -l <"$T/before")
last=$(crannog show r1 --history | awk 'END { print $1 }')
crannog show r1 | grep '^  used' | sed 's/^ /  /'
next=$(pieces | awk '$2 != "done" { print; exit }')
next_number=${next%% *} next_source=${next##* }
[ -n "$next" ] || broken "all sources were finished before it could be killed; take more of them (-n)"
[ "$kept" -ge "$kill_after" ] || broken "$kept sources are finished, there were $kill_after"
echo "   $kept of $documents sources finished, $last events in the journal; under way was $next_source"

first=$(sed -n '1s/.* //p' "$T/before")
note=notes/$(basename "${first%.*}").md
line="A person wrote this line after the crash."
{ echo "$line"; cat "$T/review/$note"; } >"$T/edited" && cat "$T/edited" >"$T/review/$note" || exit 2
say "edited by hand: $note now begins with \"$line\""
notes=$(sed 's|.* sources/\(.*\)\.[^.]*$|notes/\1.md|' "$T/before")
written $notes >"$T/notes-before"

# --- 3

say "the same command again"
start
while kill -0 "$runner" 2>/dev/null; do
  follow
  sleep 0.3
done
wait "$runner"
code=$?
runner=
follow
[ $code = 0 ] || broken "the run ended with $code instead of 0"
tail -n 1 "$T/log" | sed 's/^/   /'

say "what the journal says"
crannog show r1 --history | awk -v last="$last" '$1 > last && $4 == "step.intended" && / item=0 / {
  if (match($0, / piece=[0-9]+/)) print substr($0, RSTART + 7, RLENGTH - 7) }' >"$T/after"
[ "$(head -n 1 "$T/after")" = "$next_number" ] ||
  broken "the first source to be worked on was number $(head -n 1 "$T/after"), not $next_number ($next_source)"
echo "   went on with source $((next_number + 1)), $next_source"
again=$(sort -n "$T/after" | uniq | awk 'NR == FNR { done[$1]; next } $1 in done' "$T/before" -)
[ -z "$again" ] || broken "finished sources were worked on again:" $again
echo "   of the $kept finished sources none was worked on again"
written $notes >"$T/notes-after"
cmp -s "$T/notes-before" "$T/notes-after" || broken "finished notes were written again: $(diff "$T/notes-before" "$T/notes-after")"
echo "   of their $kept notes none was written again, the edit is still there"
[ "$(head -n 1 "$T/review/$note")" = "$line" ] || broken "the edit of $note is gone"
grep -q "from $note, edited since it was made from $first" "$T/review/briefing.md" ||
  broken "the briefing does not say that $note was edited"
echo "   the briefing says that $note was edited"
said=$(sh "$T/review/check.sh") || broken "the briefing does not hold: $said"
echo "   check.sh: $said"
say "as promised"
