#include "context/document.h"

#include <string.h>

#include "context/prompt.h"

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

/* A path on one line, as sha256sum writes it: with a backslash in front of the line where one of these is in it. */
static bool needs_escape(struct slice path)
{
    for (size_t i = 0; i < path.n; i++)
        if (strchr("\\\n\r", path.p[i]))
            return true;
    return false;
}

static void add_path(struct slice path, struct buf *out)
{
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '\\')
            buf_add_text(out, "\\\\");
        else if (path.p[i] == '\n')
            buf_add_text(out, "\\n");
        else if (path.p[i] == '\r')
            buf_add_text(out, "\\r");
        else
            buf_add_char(out, path.p[i]);
}

static void add_reference(const struct hash *h, struct slice path, struct buf *out)
{
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    buf_addf(out, "    %s%s  ", needs_escape(path) ? "\\" : "", hex);
    add_path(path, out);
    buf_add_char(out, '\n');
}

/* The answer, but no line of it is a heading "Source": only the runtime says what a text was made from. */
static void add_answer(struct slice answer, struct buf *out)
{
    struct slice line;
    while (slice_line(&answer, &line)) {
        if (slice_is(slice_trim(line), "## Source"))
            line = SLICE("Source");
        buf_add(out, line);
        buf_add_char(out, '\n');
    }
}

void document_note(struct slice answer, const struct line *l, struct buf *out)
{
    add_answer(slice_trim(answer), out);
    if (l->ncuts > PROMPT_ANSWERS_MAX)
        buf_addf(out, "\n(Made from the first and last %d of the text's %zu parts.)\n", PROMPT_ANSWERS_MAX / 2, l->ncuts);
    if (l->source.n) {
        buf_addf(out, "%s\n", SOURCE_HEADING);
        add_reference(&l->source_hash, l->source, out);
    }
}

/* How many bytes at the start of a line are a mark of a list or heading and the blanks behind it. */
static size_t mark_length(struct slice s)
{
    size_t n = 0;
    while (n < s.n && strchr("-*+#>", s.p[n]))
        n++;
    return n == 0 || (n < s.n && s.p[n] != ' ') ? 0 : n;
}

/* On one line: a statement is a list item, so line breaks and marks of the model's become blanks. */
static void add_statement(struct slice text, struct buf *out)
{
    bool blank = true;
    for (struct slice rest = slice_trim(text), line; slice_line(&rest, &line);) {
        line = slice_trim(line);
        for (size_t i = mark_length(line); i < line.n; i++) {
            char c = (unsigned char)line.p[i] < 0x20 || line.p[i] == 0x7f ? ' ' : line.p[i];
            if (c == '[' || c == ']') /* a reference is set by the runtime only */
                c = c == '[' ? '(' : ')';
            if (c != ' ' || !blank)
                buf_add_char(out, c);
            blank = c == ' ';
        }
        if (!blank && rest.n)
            buf_add_char(out, ' ');
        blank = true;
    }
}

void document_gathered(const struct run_state *r, uint32_t item, const struct slice *answers, struct buf *out)
{
    const struct item_state *it = &r->items[item];
    size_t n = 0;
    if (r->plan.goal.n) {
        buf_add_text(out, "# ");
        add_statement(r->plan.goal, out);
        buf_add_text(out, "\n\n");
    }
    for (size_t i = 0; i < it->npieces; i++) {
        if (it->pieces[i].stage != STAGE_DONE)
            continue;
        buf_add_text(out, "- ");
        add_statement(answers[i], out);
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
            bool edited = !hash_eq(&writer->landed, &l->source_hash); /* by a person, since we wrote it */
            buf_add_text(out, edited ? ", edited since it was made from " : ", made from ");
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
    size_t last = text.n;
    for (size_t at = slice_find(text, mark, 0); at < text.n; at = slice_find(text, mark, at + 1))
        last = at;
    return last < text.n ? slice_trim(slice_sub(text, 0, last)) : text;
}
