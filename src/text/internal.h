/*
 * What the files of this folder share: json-c, and where bytes stop being UTF-8.
 *
 * Three of json-c's types have the names of functions of ours. They are renamed while its headers are read; they are
 * only names to the compiler, so nothing changes for the linker.
 */
#ifndef CRANNOG_TEXT_INTERNAL_H
#define CRANNOG_TEXT_INTERNAL_H

#define json_object jsonc_object
#define json_type jsonc_type
#define json_bool jsonc_bool
#include <json-c/json.h>
#undef json_object
#undef json_type
#undef json_bool

#include "base/slice.h"

/* The offset of the first byte that is not well-formed UTF-8, or s.n. Slower than slice_is_utf8. */
size_t utf8_bad_at(struct slice s);

#endif
