#include "context/document.h"

#include <string.h>

static const char SOURCE_HEADING[] = "\n## Source\n";

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* The address in a word that holds one, without the brackets and stops around it; empty if it holds none. */
static struct slice link_in(struct slice word)
{
    size_t at = slice_find(word, SLICE("://"), 0);
    if (at == word.n)
        at = slice_find(word, SLICE("www."), 0);
    if (at == word.n)
        return SLICE_NONE;
    while (at && ((word.p[at - 1] | 32) >= 'a' && (word.p[at - 1] | 32) <= 'z'))
        at--;
    size_t end = word.n;
    while (end > at && memchr(".,;:!?)]}>\"'`*_", word.p[end - 1], 15))
        end--;
    return slice_sub(word, at, end - at);
}

/* How many bytes of a control character stand at the start of s (C0 but line break and tab, DEL, C1), or 0. They would
   act on the terminal of whoever reads the document, and a NUL makes it no text. */
static size_t control_at(struct slice s)
{
    unsigned char c = (unsigned char)s.p[0];
    if (c == 0xc2 && s.n > 1 && (unsigned char)s.p[1] < 0xa0)
        return 2;
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* A path as it may stand on one line of a document: a name may hold line breaks and anything else. */
static void add_path(struct slice path, struct buf *out)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        size_t n = c == '\n' || c == '\t' ? 1 : control_at(slice_sub(path, i, path.n));
        if (!n)
            buf_add_char(out, path.p[i]);
        for (; n; i += --n ? 1 : 0)
            buf_addf(out, "\\x%02x", (unsigned char)path.p[i]);
    }
}

static void add_without_controls(struct slice s, struct buf *out)
{
    for (size_t i = 0, n; i < s.n; i += n ? n : 1) {
        n = control_at(slice_sub(s, i, s.n));
        if (!n)
            buf_add_char(out, s.p[i]);
    }
}

void document_without_invented_links(struct slice answer, struct slice source, struct buf *out)
{
    BUF_CLEANUP struct buf clean = BUF_INIT(DOCUMENT_BYTES_MAX);
    add_without_controls(answer, &clean);
    out->failed |= clean.failed;
    answer = buf_slice(&clean);
    for (size_t i = 0; i < answer.n;) {
        size_t n = 0;
        while (i + n < answer.n && !is_blank(answer.p[i + n]))
            n++;
        struct slice word = slice_sub(answer, i, n), link = link_in(word);
        if (link.n && slice_find(source, link, 0) == source.n)
            buf_add_text(out, "(a link that is not in the source)");
        else
            buf_add(out, word);
        for (i += n; i < answer.n && is_blank(answer.p[i]); i++)
            buf_add_char(out, answer.p[i]);
    }
}

static void add_reference(const struct hash *h, struct slice path, struct buf *out)
{
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    buf_addf(out, "    %s  ", hex);
    add_path(path, out);
    buf_add_text(out, "\n");
}

/* The heading of a reference is set by the runtime only: of a line of the answer that begins so, the mark goes. */
static void add_body(struct slice answer, struct buf *out)
{
    struct slice heading = slice_trim(slice_of(SOURCE_HEADING)), line;
    for (struct slice rest = answer; rest.n; buf_add(out, line)) {
        size_t end = slice_index(rest, '\n');
        line = slice_sub(slice_sub(rest, 0, end + 1), slice_starts(rest, heading) ? 3 : 0, rest.n);
        rest = slice_sub(rest, end + 1, rest.n);
    }
}

void document_note(struct slice answer, const struct line *l, struct buf *out)
{
    add_body(slice_trim(answer), out);
    buf_add_text(out, "\n");
    if (l->source.n) {
        buf_addf(out, "%s\n", SOURCE_HEADING);
        add_reference(&l->source_hash, l->source, out);
    }
}

/* On one line: a statement is a list item, so line breaks and list marks of the model's become blanks. */
static void add_statement(struct slice text, struct buf *out)
{
    bool blank = true;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] == '\n' || text.p[i] == '\t' || text.p[i] == '\r' ? ' ' : text.p[i];
        if (c == ' ' && blank)
            continue;
        if (c == '[' || c == ']') /* a reference is set by the runtime only */
            c = c == '[' ? '(' : ')';
        buf_add_char(out, c);
        blank = c == ' ';
    }
}

void document_gathered(const struct run_state *r, uint32_t item, const struct slice *answers, struct buf *out)
{
    const struct item_state *it = &r->items[item];
    size_t n = 0;
    if (r->plan.goal.n)
        buf_addf(out, "# %.*s\n\n", SLICE_ARG(r->plan.goal));
    for (size_t i = 0; i < it->npieces; i++) {
        if (it->pieces[i].stage != STAGE_DONE)
            continue;
        buf_add_text(out, "- ");
        add_statement(slice_trim(answers[i]), out);
        if (it->pieces[i].source.n)
            buf_addf(out, " [%zu]", ++n);
        buf_add_text(out, "\n");
    }
    if (n == 0)
        return;
    buf_add_text(out, "\n## References\n");
    n = 0;
    for (size_t i = 0; i < it->npieces; i++) {
        const struct line *l = &it->pieces[i], *writer = run_writer_of(r, l->source);
        if (l->stage != STAGE_DONE || !l->source.n)
            continue;
        buf_addf(out, "\n[%zu] from ", ++n);
        add_path(l->source, out);
        if (writer && writer->source.n) {
            buf_add_text(out, ", made from ");
            add_path(writer->source, out);
        }
        buf_add_text(out, "\n\n");
        add_reference(&l->source_hash, l->source, out);
        if (writer && writer->source.n)
            add_reference(&writer->source_hash, writer->source, out);
    }
}

struct slice document_body(struct slice text)
{
    struct slice mark = slice_of(SOURCE_HEADING);
    size_t at = slice_find(text, mark, 0);
    return at < text.n ? slice_trim(slice_sub(text, 0, at)) : text;
}
