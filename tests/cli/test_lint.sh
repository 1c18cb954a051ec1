#!/bin/sh
# Proves that lint-includes sees an include that goes up or sideways, and lets those go that go down.
. "$(dirname "$0")/lib.sh"

# include FROM TO: a tree whose one file includes another folder's header.
include() {
  rm -rf "$T/src"
  mkdir -p "$T/src/$1"
  printf '#include <stdio.h>\n#include "%s"\n' "$2" >"$T/src/$1/a.c"
}

include engine core/event.h
check "down" "$ROOT/tools/lint-includes" "$T/src"
include jail jail/plan.h
check "its own folder" "$ROOT/tools/lint-includes" "$T/src"
include base core/event.h
refuses "up" 1 '/a.c:2: base may not include core' "$ROOT/tools/lint-includes" "$T/src"
include jail layers/stamp.h
refuses "sideways" 1 '/a.c:2: jail may not include layers' "$ROOT/tools/lint-includes" "$T/src"
include jail ../base/err.h
refuses "out of the folder" 1 'instead of "../base/err.h"' "$ROOT/tools/lint-includes" "$T/src"
include jail plan.h
refuses "without the folder" 1 'instead of "plan.h"' "$ROOT/tools/lint-includes" "$T/src"
include newfolder base/err.h
refuses "a folder that is in no row" 1 'newfolder is in no row' "$ROOT/tools/lint-includes" "$T/src"
