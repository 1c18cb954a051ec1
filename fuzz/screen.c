/*
 * The talking terminal: the first two bytes choose width and look, the rest is what a model writes and, the same bytes, what a
 * person types. Whatever they are: rows of printable characters and our own styles, none wider than the terminal; the same
 * however they are split; a text in the edit box without controls.
 */
#include "../tests/unit/screen_check.h"
#include "cli/lineedit.h"
#include "cli/markdown.h"
#include "cli/pick.h"
#include "fuzz.h"

static void feed(struct markdown *m, struct slice s, size_t step, struct buf *ret)
{
    for (; s.n; s = slice_sub(s, step, s.n))
        markdown_feed(m, slice_sub(s, 0, step), ret);
}

static void draw_model(const struct look *look, size_t width, struct slice s, size_t step)
{
    struct markdown m;
    BUF_CLEANUP struct buf whole = BUF_INIT(64 << 20), parts = BUF_INIT(64 << 20);
    markdown_init(&m, look, width);
    feed(&m, s, s.n + 1, &whole);
    markdown_end(&m, &whole);
    feed(&m, s, step, &parts);
    size_t before = parts.n;
    markdown_live(&m, &parts);
    check_rows(slice_sub(buf_slice(&parts), before, parts.n), look, width);
    parts.n = before;
    markdown_end(&m, &parts);
    markdown_release(&m);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&parts)));
    check_rows(buf_slice(&whole), look, width);
}

static void complete(void *arg, struct slice prefix, struct complete_list *ret)
{
    (void)arg;
    complete_add(ret, prefix, NULL);
    complete_add(ret, SLICE("src/"), NULL);
    complete_add(ret, SLICE("src/main.c"), NULL);
}

static void draw_box(struct lineedit *e, const struct look *look, size_t width)
{
    BUF_CLEANUP struct buf rows = BUF_INIT(64 << 20);
    size_t row, col;
    lineedit_draw(e, width, 3, 4, &rows, &row, &col);
    check_rows(buf_slice(&rows), look, width < 8 ? 8 : width);
    ASSERT(row < 3 && col < (width < 8 ? 8 : width));
}

static void type(const struct look *look, size_t width, struct slice s, size_t step, struct buf *ret)
{
    static const struct complete_command commands[] = {{"model", "choose"}, {"quit", NULL}};
    struct edit_options o = {.look = look, .commands = commands, .ncommands = 2, .files = complete};
    struct lineedit *e = lineedit_new(&o);
    struct keys k;
    struct key key;
    keys_init(&k);
    for (; s.n; s = slice_sub(s, step, s.n)) {
        keys_feed(&k, slice_sub(s, 0, step), 1000);
        while (keys_next(&k, 1000, &key))
            (void)lineedit_key(e, &key);
        draw_box(e, look, width);
    }
    while (keys_next(&k, 9000, &key))
        (void)lineedit_key(e, &key);
    draw_box(e, look, width);
    lineedit_text(e, ret);
    for (struct slice t = buf_slice(ret); t.n;) {
        size_t n;
        uint32_t c = glyph_decode(t, &n);
        ASSERT(c == '\n' || c == '\t' || !glyph_forbidden(c));
        t = slice_sub(t, n, t.n);
    }
    keys_release(&k);
    lineedit_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct look look = {data[0] & 1, data[0] & 2};
    size_t width = 4 + data[1] % 100, step = 1 + (data[0] >> 2) % 16;
    struct slice s = slice_sub(fuzz_slice(data, size), 2, KEYS_PENDING_MAX / 2);
    BUF_CLEANUP struct buf one = BUF_INIT(8 << 20), two = BUF_INIT(8 << 20);
    draw_model(&look, width, s, step);
    type(&look, width, s, s.n + 1, &one);
    type(&look, width, s, step, &two);
    ASSERT(slice_eq(buf_slice(&one), buf_slice(&two)));
    (void)pick_score(s, slice_sub(s, s.n / 2, 20));
    return 0;
}
