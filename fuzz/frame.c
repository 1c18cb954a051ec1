/* Frames: any bytes, each of their prefixes, and any message behind a good header are refused or read within bounds. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/frame.h"

static void check_frame(struct slice bytes)
{
    struct frame f;
    struct error e;
    enum err err = frame_parse(bytes, &f, &e);
    if (err) {
        ASSERT((err == ERR_CORRUPT || err == ERR_VERSION) && e.code == err && e.text[0]);
        return;
    }
    ASSERT(f.message.p == bytes.p + FRAME_HEADER && f.message.n == bytes.n - FRAME_HEADER && f.nfds == 0);
    struct message_reader r = message_read(f.message);
    struct field field;
    int more;
    while ((more = message_next(&r, &field)) > 0) {
        BUF_CLEANUP struct buf large = BUF_INIT(1024);
        err = frame_field_large(&f, field, &large, NULL);
        ASSERT(err == OK || err == ERR_CORRUPT || err == ERR_LIMIT);
        ASSERT(frame_take_fd(&f, field.tag) == -1);
    }
    ASSERT(more == 0);
}

static void check_copy(struct slice head, struct slice rest)
{
    char *copy = malloc(head.n + rest.n + 1); /* of its own, so that a byte too many is seen */
    ASSERT(copy);
    memcpy(copy, head.p, head.n);
    if (rest.n)
        memcpy(copy + head.n, rest.p, rest.n);
    char *exact = realloc(copy, head.n + rest.n ? head.n + rest.n : 1);
    ASSERT(exact);
    check_frame((struct slice){exact, head.n + rest.n});
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { PREFIXES_MAX = 200 }; /* each is a parse of its own */
    struct slice s = fuzz_slice(data, size);
    check_frame(s);
    check_copy(SLICE("CRAN\1\0\2\0" "12345678"), s);
    for (size_t n = 0; n < s.n && s.n <= PREFIXES_MAX; n++)
        check_copy(SLICE(""), slice_sub(s, 0, n));
    return 0;
}
