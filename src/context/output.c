#include "context/output.h"

#include <stdio.h>
#include <string.h>

/* ---- what was printed, without what a terminal does with it ---- */

struct cleaning {
    struct buf *out;
    size_t line;   /* where this line begins in out */
    bool returned; /* a carriage return was seen: what comes next on this line overwrites it */
};

static void cut(struct buf *b, size_t n)
{
    if (b->failed || !b->p)
        return;
    b->n = n;
    b->p[n] = '\0';
}

static size_t behind_string(struct slice s, size_t i)
{
    for (; i < s.n && s.p[i] != '\n'; i++) {
        if (s.p[i] == '\a')
            return i + 1;
        if (s.p[i] == '\x1b')
            return i + 1 < s.n && s.p[i + 1] == '\\' ? i + 2 : i;
    }
    return i;
}

/* The bytes of the escape at s.p[0] (ECMA-48): CSI … final; OSC, DCS, APC, PM, SOS … BEL or ST; ESC with intermediates. */
static size_t escape_bytes(struct slice s)
{
    size_t i = 2;
    if (s.n < 2)
        return 1;
    if (s.p[1] == '[') {
        while (i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x40)
            i++;
        return i < s.n && (unsigned char)s.p[i] >= 0x40 && (unsigned char)s.p[i] < 0x7f ? i + 1 : i;
    }
    if (strchr("]PX^_", s.p[1]) && s.p[1])
        return behind_string(s, 2);
    for (i = 1; i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x30;)
        i++;
    return i < s.n && (unsigned char)s.p[i] >= 0x30 && (unsigned char)s.p[i] < 0x7f ? i + 1 : i;
}

static void put(struct cleaning *c, struct slice s)
{
    if (c->returned)
        cut(c->out, c->line);
    c->returned = false;
    buf_add(c->out, s);
}

static void end_line(struct cleaning *c)
{
    buf_add_char(c->out, '\n');
    c->returned = false;
    c->line = c->out->n;
}

static void take_back(struct cleaning *c)
{
    size_t n = c->out->n;
    while (n > c->line && ((unsigned char)c->out->p[--n] & 0xc0) == 0x80)
        continue;
    cut(c->out, n);
}

/* One character or control; gives back how many bytes it had. */
static size_t take(struct cleaning *c, struct slice rest)
{
    bool valid;
    unsigned char b = (unsigned char)rest.p[0];
    size_t n = slice_char(rest, &valid);
    if (!valid)
        put(c, SLICE("\xef\xbf\xbd"));
    else if (b == '\n')
        end_line(c);
    else if (b == '\r')
        c->returned = true;
    else if (b == '\b')
        take_back(c);
    else if (b == '\x1b')
        return escape_bytes(rest);
    else if (b == '\t' || (b >= 0x20 && b != 0x7f && !(b == 0xc2 && (unsigned char)rest.p[1] < 0xa0))) /* 0xc2: U+0080 to U+009F */
        put(c, slice_sub(rest, 0, n));
    return n;
}

static void clean(struct slice whole, struct buf *out)
{
    struct cleaning c = {.out = out};
    while (whole.n && buf_ok(out))
        whole = slice_sub(whole, take(&c, whole), whole.n);
}

/* ---- what is kept ---- */

static size_t count_lines(struct slice s)
{
    size_t n = 0;
    for (struct slice line; slice_line(&s, &line);)
        n++;
    return n;
}

/* "12,345" */
static void grouped(size_t v, char ret[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%zu", v), k = 0;
    for (int i = 0; i < n; i++) {
        ret[k++] = digits[i];
        if ((n - i - 1) % 3 == 0 && i + 1 < n)
            ret[k++] = ',';
    }
    ret[k] = '\0';
}

/* The line in between; `head` and `tail` are what is kept. */
static void put_middle(struct slice s, size_t head, size_t tail, const char *how, struct buf *ret)
{
    char bytes[32], lines[32];
    struct slice left = slice_sub(s, head, tail - head);
    grouped(left.n, bytes);
    grouped(count_lines(left), lines);
    buf_addf(ret, "%s[… %s bytes (%s lines) left out: %s …]\n", head && s.p[head - 1] != '\n' ? "\n" : "", bytes, lines, how);
}

/* The end of the head: behind the last line that fits, or, where lines are long, between characters. */
static size_t head_end(struct slice s, size_t room)
{
    size_t n = slice_cut(s, room).n, i = n;
    while (i && s.p[i - 1] != '\n')
        i--;
    return i > n / 2 ? i : n;
}

static size_t tail_start(struct slice s, size_t room)
{
    size_t at = s.n - room;
    while (at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80)
        at++;
    size_t end = slice_find(s, SLICE("\n"), at ? at - 1 : 0);
    return end < s.n && end + 1 - at < (s.n - at) / 2 ? end + 1 : at;
}

static void put_cut(struct slice s, size_t max, const char *how, struct buf *ret)
{
    /* the line in between: its words, and numbers of at most 26 bytes each; words of an endless length are cut */
    struct slice words = slice_cut(slice_of(how), max / 4);
    char text[OUTPUT_MIN];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(slice_cut(words, sizeof text - 1)));
    size_t room = max - strlen(text) - 100, head = head_end(s, room / 3), tail = tail_start(s, room - room / 3);
    buf_add(ret, slice_sub(s, 0, head));
    put_middle(s, head, tail, text, ret);
    buf_add(ret, slice_sub(s, tail, s.n));
}

enum err output_cut(struct slice whole, size_t max, const char *how_to_read_rest, struct buf *ret, bool *ret_cut)
{
    BUF_CLEANUP struct buf text = BUF_INIT(3 * whole.n + 1);
    clean(whole, &text);
    enum err err = buf_check(&text, "the output of a tool", NULL);
    if (err)
        return err;
    max = max < OUTPUT_MIN ? OUTPUT_MIN : max;
    bool is_cut = text.n > max;
    if (is_cut)
        put_cut(buf_slice(&text), max, how_to_read_rest, ret);
    else
        buf_add(ret, buf_slice(&text));
    if (ret_cut)
        *ret_cut = is_cut;
    return buf_check(ret, "the output of a tool", NULL);
}
