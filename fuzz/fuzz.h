/* What a fuzz target is: one function, called with bytes of any kind. It says what is wrong by ASSERT. */
#ifndef CRANNOG_FUZZ_FUZZ_H
#define CRANNOG_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

#endif
