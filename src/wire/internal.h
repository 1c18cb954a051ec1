/* What message.c and frame.c share. */
#ifndef CRANNOG_WIRE_INTERNAL_H
#define CRANNOG_WIRE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* A little-endian number of 1 to 8 bytes. */
static inline uint64_t wire_le(const char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

#endif
