/* What the files of this folder share. */
#ifndef CRANNOG_TEXT_INTERNAL_H
#define CRANNOG_TEXT_INTERNAL_H

#include "base/slice.h"

/* The offset of the first byte that is not well-formed UTF-8, or s.n. Slower than slice_is_utf8. */
size_t utf8_bad_at(struct slice s);

#endif
