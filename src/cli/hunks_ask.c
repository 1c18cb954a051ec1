#include "cli/hunks_ask.h"

#include <stdio.h>

#include "cli/cli.h"
#include "layers/landing.h"

enum { SHOWN_ARENA = 256 << 20, LINE_MAX_BYTES = 1 << 20 };

static const char *paint(bool color, const char *code)
{
    return color ? code : "";
}

static void print_safe(struct slice text)
{
    BUF_CLEANUP struct buf safe = BUF_INIT(16 * (size_t)LINE_MAX_BYTES);
    cli_print_safe(text, &safe);
    fputs(buf_str(&safe), stdout);
}

/* ---- asking ---- */

static void help(void)
{
    puts("  y  take this one                 n  leave it\n"
         "  a  this and all later ones here  d  leave this and all later ones here\n"
         "  q  this is all: take what was chosen so far\n"
         "What you leave waits on: `crannog diff` shows it, `crannog apply` takes it later.");
}

/* The first letter of a line, which Enter ends; 0: an empty one. */
static int read_letter(void)
{
    int first = 0, c;
    while ((c = getchar()) != EOF && c != '\n')
        if (!first && c != ' ')
            first = c;
    return c == EOF ? HUNKS_QUIT : first;
}

enum hunks_word hunks_ask(struct slice path, const struct hunks_asked *about, bool color)
{
    for (;;) {
        printf("%sTake %s", paint(color, "\033[1m"), about->what);
        if (about->of > 1)
            printf("%zu of %zu of ", about->n, about->of);
        print_safe(path);
        printf(" [y,n,a,d,q,?]?%s ", paint(color, "\033[m"));
        fflush(stdout);
        int c = read_letter();
        if (feof(stdin))
            putchar('\n');
        if (c == HUNKS_YES || c == HUNKS_NO || c == HUNKS_ALL || c == HUNKS_NONE || c == HUNKS_QUIT)
            return (enum hunks_word)c;
        help();
    }
}

/* ---- showing ---- */

void hunks_print_head(const struct change *c, bool color)
{
    const char *why = landing_guarded(c->path, &c->after);
    printf("\n%s", paint(color, "\033[1m"));
    print_safe(c->path);
    puts(paint(color, "\033[m"));
    if (why)
        printf("look first: it %s\n", why);
}

/* A line without its end; the CR of a CRLF is shown where ends differ in this hunk. */
static void print_line(const struct hunk_line *l, bool show_cr, bool color)
{
    struct slice text = l->text;
    bool ended = text.n && text.p[text.n - 1] == '\n';
    text.n -= ended;
    if (!show_cr && ended && text.n && text.p[text.n - 1] == '\r')
        text.n--;
    printf("%s%c", paint(color && l->sign != ' ', l->sign == '+' ? "\033[32m" : "\033[31m"), l->sign);
    for (struct slice rest = slice_sub(text, 0, LINE_MAX_BYTES), part; rest.n; rest = slice_sub(rest, part.n + 1, rest.n)) {
        part = slice_sub(rest, 0, slice_index(rest, '\t'));
        print_safe(part);
        if (part.n < rest.n)
            putchar('\t');
    }
    puts(paint(color && l->sign != ' ', "\033[m"));
    if (text.n > LINE_MAX_BYTES)
        printf("\\ %zu bytes more of this line\n", text.n - LINE_MAX_BYTES);
    if (!ended)
        puts("\\ No newline at end of file");
}

static bool ends_differ(const struct hunk_line *v, size_t n)
{
    size_t crlf = 0, ended = 0;
    for (size_t i = 0; i < n; i++) {
        ended += slice_ends(v[i].text, SLICE("\n"));
        crlf += slice_ends(v[i].text, SLICE("\r\n"));
    }
    return crlf > 0 && crlf < ended;
}

enum err hunks_print(const struct hunks *h, size_t i, bool color, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(SHOWN_ARENA);
    struct edit at;
    struct hunk_line *v;
    size_t n;
    enum err err = hunks_show(h, i, &a, &at, &v, &n, e);
    if (err)
        return err;
    printf("%s@@ -%zu,%zu +%zu,%zu @@%s\n", paint(color, "\033[36m"), at.a + (at.na > 0), at.na, at.b + (at.nb > 0), at.nb, paint(color, "\033[m"));
    bool show_cr = ends_differ(v, n);
    for (size_t k = 0; k < n; k++)
        print_line(&v[k], show_cr, color);
    return OK;
}

const char *hunks_kind(const struct change *c)
{
    enum stamp_type before = c->before.type, after = c->after.type;
    if (before == STAMP_ABSENT)
        return after == STAMP_FOLDER ? "the new folder " : after == STAMP_LINK ? "the new link " : "the new file ";
    if (after == STAMP_ABSENT)
        return "the removal of ";
    return before == after && after == STAMP_FOLDER ? "the new mode of " : "the change of ";
}

void hunks_print_meta(const struct change *c)
{
    const struct stamp *a = &c->before, *b = &c->after;
    if (a->type != b->type && a->type != STAMP_ABSENT && b->type != STAMP_ABSENT) {
        puts(b->type == STAMP_FOLDER ? "becomes a folder" : b->type == STAMP_LINK ? "becomes a link" : "becomes a file");
    } else if (a->type == b->type && ((a->mode ^ b->mode) & 0777) && a->type != STAMP_LINK) {
        printf("mode %03o -> %03o\n", a->mode & 0777, b->mode & 0777);
    } else if (a->type == b->type && hash_eq(&a->hash, &b->hash)) {
        puts("only its time changes");
    }
}
