#!/bin/sh
# Proves that the example's check.sh takes a briefing whose every reference resolves, and refuses each way in which one
# may not: sources, notes and references that changed, are missing, are swapped, or were never given.
. "$(dirname "$0")/lib.sh"

# reference FILES...: their lines `    <sha256>  <path>`, as they are now.
reference() {
  (cd "$T/review" && sha256sum "$@" | sed 's/^/    /')
}

# note NAME: made from sources/NAME.txt.
note() {
  {
    echo "What $1 is about."
    printf '\n## Source\n\n'
    reference "sources/$1.txt"
  } >"$T/review/notes/$1.md"
}

# briefing NAMES...: one statement a note.
briefing() {
  {
    printf '# how things are kept apart\n\n'
    n=0
    for name in "$@"; do
      n=$((n + 1))
      echo "- The main point of $name. [$n]"
    done
    printf '\n## References\n'
    n=0
    for name in "$@"; do
      n=$((n + 1))
      printf '\n[%s] from notes/%s.md, made from sources/%s.txt\n\n' "$n" "$name" "$name"
      reference "notes/$name.md" "sources/$name.txt"
    done
  } >"$T/review/briefing.md"
}

# good: a review of three sources, as the runtime leaves it.
good() {
  rm -rf "$T/review"
  mkdir -p "$T/review/sources" "$T/review/notes"
  cp "$ROOT/examples/review/check.sh" "$T/review"
  for name in a b.7 'c d'; do
    echo "source $name" >"$T/review/sources/$name.txt"
    note "$name"
  done
  briefing a b.7 'c d'
}

# edit SED FILE: in place, and really another text, or the test would prove nothing.
edit() {
  sed "$1" "$T/review/$2" >"$T/edited"
  cmp -s "$T/edited" "$T/review/$2" && not_ok "the edit $1 changes nothing in $2"
  cp "$T/edited" "$T/review/$2"
}

# tampered NAME TEXT: check.sh refuses what was done to the good review since.
tampered() {
  refuses "$1" 1 "$2" sh "$T/review/check.sh"
  good
}

good
check "a good review passes" sh "$T/review/check.sh"
refuses "and is counted" 0 '^3 statements, 6 references, all resolve$' sh "$T/review/check.sh"

edit 's/main point of a/array[2] of a/' briefing.md
check "a number in a statement that is a reference" sh "$T/review/check.sh"
good
printf 'x\n## Source\nin the answer\n\n## Source\n\n%s\n' "$(reference sources/a.txt)" >"$T/review/notes/a.md"
briefing a b.7 'c d'
check "an answer that holds the heading itself" sh "$T/review/check.sh"
good

echo more >>"$T/review/sources/a.txt"
tampered "a changed source" 'notes/a.md: sources/a.txt is not what it was'
echo more >>"$T/review/sources/a.txt"
note a
tampered "a changed source with a new note" 'briefing.md:[0-9]*: sources/a.txt is not what it was'
edit 's/What a/What else a/' notes/a.md
tampered "a changed note" 'briefing.md:[0-9]*: notes/a.md is not what it was'
rm "$T/review/sources/a.txt"
tampered "a source that is gone" 'sources/a.txt is not there'
rm "$T/review/notes/a.md"
tampered "a note that is gone" 'notes/a.md is not there'
echo new >"$T/review/sources/e.txt"
tampered "a source without a note" 'sources/e.txt: has no note'
note a && cp "$T/review/notes/a.md" "$T/review/notes/z.md"
tampered "a note that is not used" 'notes/z.md: the briefing does not use it'
edit '/^## Source/,$d' notes/a.md && briefing a b.7 'c d'
tampered "a note without its source" 'notes/a.md: does not end with its source'
echo 'and more' >>"$T/review/notes/a.md" && briefing a b.7 'c d'
tampered "a note with text after its source" 'notes/a.md:[0-9]*: neither'
edit '3s/ \[1\]//' briefing.md
tampered "a statement without a reference" 'briefing.md:3: a statement without a reference'
edit '3s/\[1\]/[1] and more/' briefing.md
tampered "a statement that goes on after its reference" 'briefing.md:3: a statement without a reference'
edit '3s/\[1\]/[4]/' briefing.md
tampered "a reference out of range" 'briefing.md:3: there is no reference \[4\]'
edit '3s/\[1\]/[0]/' briefing.md
tampered "reference zero" 'briefing.md:3: there is no reference \[0\]'
edit '3s/\[1\]/[2]/' briefing.md
tampered "a reference that no statement uses" 'reference \[1\]: no statement uses it'
edit "s/^    [0-9a-f]*  sources.a.txt/    $(cd "$T/review" && sha256sum sources/b.7.txt | cut -c 1-64)  sources\/a.txt/" briefing.md
tampered "the hash of another file" 'briefing.md:[0-9]*: sources/a.txt is not what it was'
edit "s/^    [0-9a-f]*  sources.a.txt/$(reference sources/b.7.txt | sed 's/\//\\\//')/" briefing.md
tampered "the source of another note" 'reference \[1\]: its sources are not those of notes/a.md'
edit '/^    [0-9a-f]*  notes.a.md/d' briefing.md
tampered "a reference without a note" 'reference \[1\]: does not name one note'
edit '/^    [0-9a-f]*  sources.a.txt/d' briefing.md
tampered "a reference without a source" 'reference \[1\]: names no source'
edit 's/made from sources.a.txt/made from sources\/b.7.txt/' briefing.md
tampered "a reference that says another source" 'reference \[1\]: its first line names other files'
edit 's/^    \([0-9a-f]\{60\}\)[0-9a-f]*  sources.a/    \1  sources\/a/' briefing.md
tampered "a hash cut short" 'briefing.md:[0-9]*: neither a reference nor hash and path'
edit 's/^\[2\] from/[1] from/' briefing.md
tampered "two references of one number" 'reference \[1\] is there twice'
edit '/^- /d' briefing.md
tampered "no statements" 'holds no statement'
edit '/^## References/,$d' briefing.md
tampered "no references at all" 'there is no reference \[1\]'
edit '3s/^- //' briefing.md
tampered "a line that is no statement" 'briefing.md:3: neither the title nor a statement'
: >"$T/review/briefing.md"
tampered "an empty briefing" 'holds no statement'
rm "$T/review/briefing.md"
tampered "no briefing" 'there is no briefing.md'
rm "$T"/review/notes/*
tampered "no notes" 'there is no notes/'
