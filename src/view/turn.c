#include "view/turn.h"

enum err turn_read(struct store *s, const struct hash *h, struct arena *a, struct transcript_turn *ret, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(TURN_BYTES_MAX);
    enum err err = blob_get(s, h, &bytes, e);
    return err ? err : turn_parse(buf_slice(&bytes), a, ret, e);
}

void turn_text(const struct transcript_turn *turn, size_t max, struct buf *out)
{
    for (size_t i = 0; i < turn->n; i++)
        if (turn->parts[i].kind == PART_TEXT && out->n < max)
            buf_add(out, slice_sub(turn->parts[i].text, 0, max - out->n));
}
