/*
 * Calls that nobody may make: a use is a compile error ("poisoned"). The build puts this file before every other, so
 * that no file can forget it; the headers that declare them come first, since the names may not appear afterwards.
 *
 *   write past the end, or cut without a word    strcpy strcat strncpy strncat stpcpy stpncpy sprintf vsprintf gets
 *                                                -> struct buf (base/buf.h), or snprintf with its result looked at
 *   stack of a size that input chooses           alloca strdupa strndupa -> struct arena
 *   one hidden state for all threads             strtok -> slice_line, slice_index
 *                                                asctime ctime gmtime localtime -> gmtime_r, localtime_r, strftime
 *   a buffer whose size the callee has to guess  asctime_r ctime_r -> strftime
 *   a name that somebody else may take first     mktemp tempnam tmpnam -> mkstemp, mkdtemp
 *   a shell between us and what we start         system popen -> sys->spawn
 */
#ifndef CRANNOG_BASE_BANNED_H
#define CRANNOG_BASE_BANNED_H

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Some are macros too, and poison wants none. */
#undef alloca
#undef strdupa
#undef strndupa
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef stpcpy
#undef stpncpy
#undef sprintf
#undef vsprintf
#undef strtok

#pragma GCC poison strcpy strcat strncpy strncat stpcpy stpncpy sprintf vsprintf gets
#pragma GCC poison alloca strdupa strndupa
#pragma GCC poison strtok asctime gmtime localtime asctime_r ctime_r
#pragma GCC poison mktemp tempnam tmpnam popen

/* These are good names for a field as well, so only a call is refused: by a name that exists nowhere. */
#define ctime(...) banned_see_base_banned_h
#define system(...) banned_see_base_banned_h

#endif
