/*
 * Slices: bytes that somebody else owns. All input is a slice; NUL-terminated strings exist only at the system's edge.
 */
#ifndef CRANNOG_BASE_SLICE_H
#define CRANNOG_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){("" literal), sizeof(literal) - 1})
#define SLICE_INIT(literal) {("" literal), sizeof(literal) - 1} /* the same for static data, where SLICE() is no constant */
#define SLICE_NONE ((struct slice){NULL, 0})
#define SLICE_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

struct slice slice_of(const char *text); /* of a NUL-terminated string; NULL gives an empty slice */
struct slice slice_sub(struct slice s, size_t from, size_t n); /* clamped to s */
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *text);
int slice_cmp(struct slice a, struct slice b); /* bytewise order, shorter first */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
/* The index of the first `c`, or s.n where there is none. */
size_t slice_index(struct slice s, char c);
/* Where the last part of a path begins: behind its last '/', 0 where it has none. */
size_t slice_last_part(struct slice path);
/* Whether a relative path lies below the folder: "a/b" below "a", but neither "a" nor "ab". */
bool slice_below(struct slice path, struct slice folder);
bool slice_within(struct slice path, struct slice folder); /* the same, or the folder itself */
/* The index of the first `needle` at or after `from`, or s.n. An empty needle is found at `from`. */
size_t slice_find(struct slice s, struct slice needle, size_t from);
/* Without blanks, tabs, CR and LF at both ends. */
struct slice slice_trim(struct slice s);
/* Cuts the next line (without its LF or CRLF) off *rest; false at the end. */
bool slice_line(struct slice *rest, struct slice *ret_line);
/* A whole slice of decimal digits, optional leading '-', within int64; false otherwise. */
bool slice_int(struct slice s, int64_t *ret);
/* True if the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool slice_is_utf8(struct slice s);
/* The bytes of the character at the beginning of s (not empty), 1 or more, and whether it is one; else those of the
   longest beginning of one, for which one U+FFFD stands (Unicode 15, section 3.9, "maximal subparts"). */
size_t slice_char(struct slice s, bool *ret_valid);
/* The first `max` bytes of UTF-8 text at most, cut between characters. */
struct slice slice_cut(struct slice s, size_t max);

#endif
