/*
 * What a tokenizer must know of a code point: letter, number, blank or anything else. The table is generated.
 */
#ifndef CRANNOG_INFER_UNICODE_H
#define CRANNOG_INFER_UNICODE_H

#include <stdint.h>

enum unicode_class { UNICODE_OTHER, UNICODE_LETTER, UNICODE_NUMBER, UNICODE_BLANK };

enum unicode_class unicode_class(uint32_t c);

#endif
