#include "wire/message.h"

#include "wire/internal.h"

enum { FIELD_HEADER = 6 };

void message_put(struct buf *m, uint16_t tag, struct slice bytes)
{
    if (bytes.n > UINT32_MAX) {
        m->failed = true;
        return;
    }
    buf_add_u16(m, tag);
    buf_add_u32(m, (uint32_t)bytes.n);
    buf_add(m, bytes);
}

void message_put_u64(struct buf *m, uint16_t tag, uint64_t v)
{
    char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(v >> (8 * i));
    message_put(m, tag, (struct slice){bytes, sizeof bytes});
}

struct message_reader message_read(struct slice m)
{
    return (struct message_reader){.rest = m};
}

int message_next(struct message_reader *r, struct field *ret)
{
    if (r->rest.n == 0)
        return 0;
    if (r->rest.n < FIELD_HEADER || r->fields == MESSAGE_FIELDS_MAX)
        return -1;
    size_t n = (size_t)wire_le(r->rest.p + 2, 4);
    if (n > r->rest.n - FIELD_HEADER)
        return -1;
    *ret = (struct field){.tag = (uint16_t)wire_le(r->rest.p, 2), .bytes = {r->rest.p + FIELD_HEADER, n}};
    r->rest = slice_sub(r->rest, FIELD_HEADER + n, r->rest.n);
    r->fields++;
    return 1;
}

bool message_ok(struct slice m)
{
    struct message_reader r = message_read(m);
    struct field f;
    int more;
    while ((more = message_next(&r, &f)) > 0)
        continue;
    return more == 0;
}

bool message_find(struct slice m, uint16_t tag, struct field *ret)
{
    struct message_reader r = message_read(m);
    struct field f;
    while (message_next(&r, &f) > 0)
        if (f.tag == tag) {
            *ret = f;
            return true;
        }
    return false;
}

struct slice message_get(struct slice m, uint16_t tag)
{
    struct field f;
    return message_find(m, tag, &f) ? f.bytes : SLICE_NONE;
}

uint64_t message_get_u64(struct slice m, uint16_t tag, uint64_t missing)
{
    struct field f;
    uint64_t v;
    return message_find(m, tag, &f) && field_u64(f, &v) ? v : missing;
}

bool field_u64(struct field f, uint64_t *ret)
{
    if (f.bytes.n != 8)
        return false;
    *ret = wire_le(f.bytes.p, 8);
    return true;
}
