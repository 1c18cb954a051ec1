#!/bin/sh
# check.sh: proves that the briefing can be traced to its sources, by hashing everything anew.
#
#   R1  every note ends in a section "## Source" whose lines `    <sha256>  <path>` hold today, and name only sources;
#   R2  every statement of briefing.md ends with numbers [n] that its references explain, and each reference names one
#       note and the sources of that note, with hashes that hold today;
#   R3  every source has a note, every note has a reference, every reference has a statement.
#
# What it cannot prove is that a statement is true. Nothing is written. Exit 0 and one line, or 1 and what is wrong.
set -u
export LC_ALL=C
cd "$(dirname "$0")" || exit 1

for file in sources/* notes/*.md briefing.md; do
  [ -f "$file" ] || { echo "check: there is no $file: has the plan run to its end?"; exit 1; }
done

# The hashes come first on stdin, then the files; names stay whole because nothing but awk takes them apart.
sha256sum sources/* notes/*.md | awk '
  function problem(text) {
    problems++
    if (problems <= 8) print "check: " text
  }

  # hash_line: sets hash and path when the line is `    <sha256>  <path>`.
  function hash_line(line) {
    if (line !~ /^    [0-9a-f]+  [^ ]/) return 0
    hash = substr(line, 5, 64)
    path = substr(line, 71)
    return length(hash) == 64 && substr(line, 69, 2) == "  " && hash !~ /[^0-9a-f]/
  }

  # holds: that path has this hash now; where says who claims it.
  function holds(where) {
    if (!(path in now)) problem(where ": " path " is not there (any more)")
    else if (now[path] != hash) problem(where ": " path " is not what it was: its SHA-256 is not " substr(hash, 1, 12) "...")
  }

  # --- the notes: the last "## Source" counts, because an answer may hold anything
  function read_note(line) {
    if (line == "## Source") {
      in_source[FILENAME] = 1
      sources_of[FILENAME] = ""
      delete stray[FILENAME]
    } else if (FILENAME in in_source && line != "") {
      if (hash_line(line)) sources_of[FILENAME] = sources_of[FILENAME] hash "  " path "\n"
      else stray[FILENAME] = FNR
    }
  }

  function check_note(note,   n, i, lines, where) {
    where = note
    if (!(note in in_source) || sources_of[note] == "") {
      problem(where ": does not end with its source")
      return
    }
    if (note in stray) problem(where ":" stray[note] ": neither hash and path nor empty, after ## Source")
    n = split(sources_of[note], lines, "\n") - 1
    for (i = 1; i <= n; i++) {
      hash_line("    " lines[i])
      holds(where)
      if (path !~ /^sources\//) problem(where ": " path " is no source")
      has_note[path] = 1
    }
  }

  # --- the briefing: statements, then references
  function read_briefing(line) {
    if (line == "") return
    if (line == "## References") part = "references"
    else if (part == "references") read_reference(line)
    else if (line ~ /^- ./) {
      statement[++statements] = line
      line_of[statements] = FNR
    } else if (line ~ /^  / && statements) statement[statements] = statement[statements] " " line
    else if (line !~ /^# / || titled++) problem("briefing.md:" FNR ": neither the title nor a statement")
  }

  function read_reference(line,   n) {
    if (line ~ /^\[[0-9]+\] from /) {
      n = substr(line, 2, index(line, "]") - 2)
      if (n in reference) problem("briefing.md:" FNR ": reference [" n "] is there twice")
      reference[n] = substr(line, length(n) + 4)
      current = n
    } else if (!hash_line(line) || current == "") problem("briefing.md:" FNR ": neither a reference nor hash and path")
    else {
      resolved++
      holds("briefing.md:" FNR)
      if (path ~ /^notes\//) note_of[current] = note_of[current] path "\n"
      else from_of[current] = from_of[current] hash "  " path "\n"
    }
  }

  # check_statement: its numbers are references, and it ends with one.
  function check_statement(i,   rest, n, where) {
    where = "briefing.md:" line_of[i]
    if (statement[i] !~ /\[[0-9]+\] *$/) problem(where ": a statement without a reference")
    for (rest = statement[i]; match(rest, /\[[0-9]+\]/); rest = substr(rest, RSTART + RLENGTH)) {
      n = substr(rest, RSTART + 1, RLENGTH - 2)
      if (n in reference) used[n] = 1
      else problem(where ": there is no reference [" n "]")
    }
  }

  # check_reference: one note, exactly the sources that the note itself names, and a heading that says the same.
  function check_reference(n,   where, note, names, lines, count, i) {
    where = "briefing.md, reference [" n "]"
    if (!(n in used)) problem(where ": no statement uses it")
    note = note_of[n]
    sub(/\n$/, "", note)
    if (note == "" || index(note, "\n")) {
      problem(where ": does not name one note")
      return
    }
    is_used[note] = 1
    if (from_of[n] == "") problem(where ": names no source")
    else if (note in sources_of && from_of[n] != sources_of[note]) problem(where ": its sources are not those of " note)
    count = split(from_of[n], lines, "\n") - 1
    for (i = 1; i <= count; i++) names = names (i > 1 ? ", " : "") substr(lines[i], 67)
    if (reference[n] != "from " note ", made from " names && reference[n] != "from " note ", edited since it was made from " names) problem(where ": its first line names other files than its hashes")
  }

  { sub(/\r$/, "") }
  FILENAME == "" || FILENAME == "-" { now[substr($0, 67)] = substr($0, 1, 64); next }
  FILENAME == "briefing.md" { read_briefing($0); next }
  { read_note($0) }

  END {
    for (path in now) if (path ~ /^notes\//) notes[path] = 1
    for (note in notes) check_note(note)
    for (i = 1; i <= statements; i++) check_statement(i)
    for (n in reference) check_reference(n)
    for (path in now) if (path ~ /^sources\// && !(path in has_note)) problem(path ": has no note")
    for (note in notes) if (!(note in is_used)) problem(note ": the briefing does not use it")
    if (!statements) problem("briefing.md: holds no statement")
    if (problems > 8) print "check: and " (problems - 8) " more"
    if (problems) exit 1
    printf "%d statements, %d references, all resolve\n", statements, resolved
  }
' - notes/*.md briefing.md
