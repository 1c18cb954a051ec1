/*
 * What automaton.c and automaton_close.c share: the phases of each kind of value, and how an open one is ended.
 */
#ifndef CRANNOG_INFER_AUTOMATON_CLOSE_H
#define CRANNOG_INFER_AUTOMATON_CLOSE_H

#include "infer/automaton.h"

/* 0 is before the first byte of each. */
enum { OBJECT_BEGIN, OBJECT_FIRST /* behind '{' */, OBJECT_KEY, OBJECT_VALUE /* before it */, OBJECT_AFTER /* behind it */ };
enum { ARRAY_BEGIN, ARRAY_FIRST, ARRAY_AFTER, ARRAY_COMMA, ARRAY_NEXT };
enum { LITERAL_BEGIN, LITERAL_IN };
enum { STRING_BEGIN, STRING_BODY, STRING_ESCAPE, STRING_HEX, STRING_UTF8 };

enum {
    KEY_SEPARATOR = 2, /* bytes of ", ", with which the text of a property begins */
    ESCAPE_BYTES = 6,  /* an escape counts as one of the longest kind */
};

/* The bytes that end an open value, appended to `to`, which may be NULL. */
size_t place_close(const struct schema *s, const struct place *p, struct buf *to);

#endif
