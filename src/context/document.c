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

void document_without_invented_links(struct slice answer, struct slice source, struct buf *out)
{
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
    buf_addf(out, "    %s  %.*s\n", hex, SLICE_ARG(path));
}

void document_note(struct slice answer, const struct line *l, struct buf *out)
{
    buf_add(out, slice_trim(answer));
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
        buf_addf(out, "\n[%zu] from %.*s", ++n, SLICE_ARG(l->source));
        if (writer && writer->source.n)
            buf_addf(out, ", made from %.*s", SLICE_ARG(writer->source));
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
