#include "tools/plaintext.h"

#include <string.h>

/* ---- what it is ---- */

struct magic {
    size_t at;
    struct slice bytes;
    const char *kind;
};

/* Beginnings by which file(1) and others know them; only kinds that people have among their papers. */
static const struct magic MAGIC[] = {
    {0, SLICE_INIT("\x1f\x8b"), "gzip-compressed"},
    {0, SLICE_INIT("PK\x03\x04"), "a ZIP archive (or an office document, an e-book)"},
    {0, SLICE_INIT("\x7f" "ELF"), "a program (ELF)"},
    {0, SLICE_INIT("\x89PNG\r\n\x1a\n"), "a PNG image"},
    {0, SLICE_INIT("\xff\xd8\xff"), "a JPEG image"},
    {0, SLICE_INIT("GIF87a"), "a GIF image"},
    {0, SLICE_INIT("GIF89a"), "a GIF image"},
    {0, SLICE_INIT("BZh"), "bzip2-compressed"},
    {0, SLICE_INIT("\xfd" "7zXZ\0"), "xz-compressed"},
    {0, SLICE_INIT("\x28\xb5\x2f\xfd"), "zstd-compressed"},
    {0, SLICE_INIT("7z\xbc\xaf\x27\x1c"), "a 7z archive"},
    {0, SLICE_INIT("SQLite format 3\0"), "an SQLite database"},
    {0, SLICE_INIT("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an old office document"},
    {0, SLICE_INIT("{\\rtf"), "an RTF document"},
    {0, SLICE_INIT("RIFF"), "audio, video or an image (RIFF)"},
    {0, SLICE_INIT("ID3"), "audio (MP3)"},
    {0, SLICE_INIT("OggS"), "audio or video (Ogg)"},
    {0, SLICE_INIT("GGUF"), "a model (GGUF)"},
    {0, SLICE_INIT("\xff\xfe"), "UTF-16 text"},
    {0, SLICE_INIT("\xfe\xff"), "UTF-16 text"},
    {257, SLICE_INIT("ustar"), "a tar archive"},
};

/* Bytes that text does not have: no UTF-8, or a control character that no terminal output uses. */
static size_t count_odd(struct slice s, bool *ret_nul)
{
    size_t odd = 0;
    *ret_nul = false;
    for (size_t i = 0; i < s.n;) {
        bool valid;
        unsigned char c = (unsigned char)s.p[i];
        size_t n = slice_char(slice_sub(s, i, s.n), &valid);
        *ret_nul |= c == 0;
        odd += valid ? c == 0x7f || (c < 0x20 && !strchr("\t\n\r\f\b\x1b", c)) : n;
        i += n;
    }
    return odd;
}

enum err plaintext_check(struct slice bytes, struct slice name, struct error *e)
{
    static const char *const TODAY = "text, markdown and source code in UTF-8, and PDF, can be read today";
    struct slice shown = slice_sub(name, 0, 160);
    for (size_t i = 0; i < sizeof MAGIC / sizeof *MAGIC; i++)
        if (slice_eq(slice_sub(bytes, MAGIC[i].at, MAGIC[i].bytes.n), MAGIC[i].bytes))
            return error_set(e, ERR_UNSUPPORTED, "%.*s is %s, which cannot be read yet; %s: convert it first",
                             SLICE_ARG(shown), MAGIC[i].kind, TODAY);
    bool nul;
    size_t odd = count_odd(bytes, &nul);
    if (nul)
        return error_set(e, ERR_UNSUPPORTED, "%.*s is no text (it has NUL bytes); %s", SLICE_ARG(shown), TODAY);
    if (odd > bytes.n / 3)
        return error_set(e, ERR_UNSUPPORTED, "%.*s is no text, or in an older encoding (%zu of %zu bytes are not UTF-8); "
                         "%s: convert it with iconv", SLICE_ARG(shown), odd, bytes.n, TODAY);
    return OK;
}

/* ---- lines ---- */

/* A formatted manual page begins "NAME(7)  Title  NAME(7)". */
static bool is_manual_page(struct slice s)
{
    struct slice line = SLICE_NONE;
    while (slice_line(&s, &line) && slice_trim(line).n == 0)
        continue;
    line = slice_trim(line);
    struct slice word = slice_sub(line, 0, slice_index(line, ' '));
    size_t open = slice_index(word, '(');
    return word.n < line.n && open && open + 2 < word.n && word.p[open + 1] >= '0' && word.p[open + 1] <= '9' &&
           word.p[word.n - 1] == ')' && slice_ends(line, word);
}

/* A writer of one line after the other. */
struct lines {
    struct buf *out;
    size_t start, first; /* where this line begins in out, and its text behind the indentation */
    bool blank, tab;    /* blanks are held back until something follows, */
    bool text;          /* whether something but indentation was written, */
    bool empty;         /* whether the line before was empty (or there is none) */
    bool drop_indent;
};

static void cut(struct buf *out, size_t n)
{
    if (out->failed || !out->p)
        return;
    out->n = n;
    out->p[n] = '\0';
}

static void put_char(struct lines *l, struct slice c)
{
    if (!l->text)
        l->first = l->out->n;
    if (l->blank)
        buf_add_char(l->out, l->tab ? '\t' : ' ');
    l->blank = l->tab = false;
    l->text = true;
    buf_add(l->out, c);
}

static void put_blank(struct lines *l, char c)
{
    if (l->text) {
        l->blank = true;
        l->tab |= c == '\t';
    } else if (!l->drop_indent) {
        buf_add_char(l->out, c);
    }
}

static void end_line(struct lines *l)
{
    if (!l->text) /* an empty line loses its indentation */
        cut(l->out, l->start);
    if (l->text || !l->empty)
        buf_add_char(l->out, '\n');
    l->empty = !l->text;
    l->blank = l->tab = l->text = false;
    l->start = l->out->n;
}

/* A backspace takes back the character before it: "c\bc" and "_\bc" are how terminals print bold and underlined. */
static void take_back(struct lines *l)
{
    size_t n = l->out->n;
    bool blank = l->blank;
    l->blank = l->tab = false;
    while (!blank && n > l->start && ((unsigned char)l->out->p[--n] & 0xc0) == 0x80)
        continue;
    cut(l->out, n);
    l->text &= n > l->first;
    if (l->text && (l->out->p[n - 1] == ' ' || l->out->p[n - 1] == '\t')) { /* held back again */
        l->blank = true;
        l->tab = l->out->p[n - 1] == '\t';
        cut(l->out, n - 1);
    }
}

/* The bytes of a terminal's escape at s.p[0]: "ESC [ ... letter", "ESC ] ... BEL", or ESC alone. */
static size_t escape_bytes(struct slice s)
{
    size_t i = 2;
    if (s.n > 1 && s.p[1] == '[') {
        while (i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x40)
            i++;
        return i < s.n && (unsigned char)s.p[i] >= 0x40 && (unsigned char)s.p[i] < 0x7f ? i + 1 : i;
    }
    if (s.n > 1 && s.p[1] == ']') {
        while (i < s.n && s.p[i] != '\a' && s.p[i] != '\n' && s.p[i] != '\x1b')
            i++;
        return i < s.n && s.p[i] == '\a' ? i + 1 : i;
    }
    return 1;
}

/* One character or control of the input; gives back how many bytes it had. */
static size_t take(struct lines *l, struct slice rest)
{
    bool valid;
    unsigned char c = (unsigned char)rest.p[0];
    size_t n = slice_char(rest, &valid);
    if (!valid)
        put_char(l, SLICE("\xef\xbf\xbd"));
    else if (c == '\n' || c == '\r')
        end_line(l);
    else if (c == ' ' || c == '\t')
        put_blank(l, (char)c);
    else if (c == '\b')
        take_back(l);
    else if (c == '\x1b')
        return escape_bytes(rest);
    else if (c >= 0x20 && c != 0x7f && !(c == 0xc2 && (unsigned char)rest.p[1] < 0xa0)) /* 0xc2: U+0080 to U+009F */
        put_char(l, slice_sub(rest, 0, n));
    return c == '\r' && rest.n > 1 && rest.p[1] == '\n' ? 2 : n;
}

enum err plaintext(struct slice bytes, struct slice name, struct buf *ret, struct error *e)
{
    enum err err = plaintext_check(bytes, name, e);
    if (err)
        return err;
    size_t begin = ret->n;
    struct slice rest = slice_starts(bytes, SLICE("\xef\xbb\xbf")) ? slice_sub(bytes, 3, bytes.n) : bytes;
    struct lines l = {.out = ret, .start = ret->n, .empty = true, .drop_indent = is_manual_page(rest)};
    while (rest.n && buf_ok(ret))
        rest = slice_sub(rest, take(&l, rest), rest.n);
    if (ret->n > l.start)
        end_line(&l);
    if (l.empty && ret->n > begin) /* nothing follows the last empty line */
        cut(ret, ret->n - 1);
    return buf_check(ret, "the text of a document", e);
}
