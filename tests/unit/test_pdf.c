/*
 * PDF as text, by the real pdftotext on PDFs written by hand: words come in order, with ligatures as letters; what is
 * encrypted, empty of text, damaged, too much, too slow, or has no program to read it is an error that says what to do;
 * any beginning of a PDF and any refused system call end in bounded time with text or an error; `read` takes a PDF by
 * its first bytes, counts words and not bytes against its limit, and never waits for a FIFO.
 * Planted and caught: an end of the pipe kept open (waits until time is up), a limit that cuts the text instead of
 * refusing it, ligatures left alone, the PDF's own size held against the limit, a child that is not ended at the limit.
 */
#include "landing_world.h"

#include <sys/wait.h>

#include "tools/inside.h"
#include "tools/pdf.h"
#include "wire/message.h"

enum { PAGES_MAX = 10000, OBJECTS_MAX = PAGES_MAX + 8 };

/* ---- writing PDFs ---- */

static size_t offsets[OBJECTS_MAX], nobjects;

static void object(struct buf *b, const char *text)
{
    offsets[nobjects++] = b->n;
    buf_addf(b, "%zu 0 obj\n%s\nendobj\n", nobjects, text);
}

/* All pages show the same content, in a font whose character 1 is the ligature "fi". `trailer` goes into the trailer. */
static void make_pdf(struct buf *b, size_t pages, const char *content, const char *trailer)
{
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    buf_reset(b);
    nobjects = 0;
    buf_add_text(b, "%PDF-1.4\n");
    object(b, "<< /Type /Catalog /Pages 2 0 R >>");
    buf_addf(&text, "<< /Type /Pages /Count %zu /Kids [", pages);
    for (size_t i = 0; i < pages; i++)
        buf_addf(&text, " %zu 0 R", 5 + i);
    buf_add_text(&text, " ] >>");
    object(b, buf_str(&text));
    object(b, "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding << /Type /Encoding /Differences [1 /fi] >> >>");
    buf_reset(&text);
    buf_addf(&text, "<< /Length %zu >>\nstream\n%s\nendstream", strlen(content), content);
    object(b, buf_str(&text));
    for (size_t i = 0; i < pages; i++)
        object(b, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 3 0 R >> >> >>");
    size_t table = b->n;
    buf_addf(b, "xref\n0 %zu\n0000000000 65535 f \n", nobjects + 1);
    for (size_t i = 0; i < nobjects; i++)
        buf_addf(b, "%010zu 00000 n \n", offsets[i]);
    buf_addf(b, "trailer\n<< /Size %zu /Root 1 0 R %s >>\nstartxref\n%zu\n%%%%EOF\n", nobjects + 1, trailer, table);
    assert_true(buf_ok(b) && buf_ok(&text));
}

static const char WORDS[] = "BT /F 12 Tf 50 700 Td (Each process sees a \001le system) Tj 0 -20 Td (of its own.) Tj ET";
static const char BIG[] = "BT /F 12 Tf 50 700 Td (0123456789012345678901234567890123456789) Tj ET";

static bool can_read(void)
{
    return access("/usr/bin/pdftotext", X_OK) == 0;
}

#define NEEDS_PDFTOTEXT() do { if (!can_read()) skip(); } while (0)

/* ---- pdf_text ---- */

static struct error why;

static enum err read_pdf(const struct buf *pdf, struct buf *text)
{
    why = (struct error){.code = OK};
    return pdf_text(buf_slice(pdf), SLICE("papers/a.pdf"), text, &why);
}

static void assert_says(const char *words)
{
    if (!strstr(why.text, words) || strncmp(why.text, "papers/a.pdf ", 13))
        fail_msg("not '%s' about papers/a.pdf: %s", words, why.text);
}

static void test_words(void **state)
{
    (void)state;
    NEEDS_PDFTOTEXT();
    BUF_CLEANUP struct buf pdf = BUF_INIT(1 << 20), text = BUF_INIT(4096);
    make_pdf(&pdf, 2, WORDS, "");
    assert_int_equal(read_pdf(&pdf, &text), OK);
    static const char once[] = "Each process sees a file system\nof its own.\n";
    const char *first = strstr(buf_str(&text), once);
    assert_true(first && strstr(first + 1, once));
    assert_int_equal(text.p[0], '\n');
    assert_true(pdf_is(buf_slice(&pdf)) && !pdf_is(SLICE("%PDF")) && !pdf_is(SLICE("")));
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    NEEDS_PDFTOTEXT();
    BUF_CLEANUP struct buf pdf = BUF_INIT(1 << 20), text = BUF_INIT(4096);
    make_pdf(&pdf, 3, "0 0 100 100 re f", "");
    assert_int_equal(read_pdf(&pdf, &text), ERR_UNSUPPORTED);
    assert_says("has no text");
    make_pdf(&pdf, 1, WORDS, "/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4"
                             " /O <000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f>"
                             " /U <000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f> >>");
    assert_int_equal(read_pdf(&pdf, &text), ERR_UNSUPPORTED);
    assert_says("is encrypted");
    buf_reset(&pdf);
    buf_add_text(&pdf, "%PDF-1.4\nand nothing that is one");
    assert_int_equal(read_pdf(&pdf, &text), ERR_UNSUPPORTED);
    assert_says("is damaged");
    assert_int_equal(text.n, 0);
}

/* Cut anywhere, it is text or an error. (pdftotext mends a missing table of contents.) */
static void test_truncated(void **state)
{
    (void)state;
    NEEDS_PDFTOTEXT();
    BUF_CLEANUP struct buf pdf = BUF_INIT(1 << 20), text = BUF_INIT(4096);
    make_pdf(&pdf, 1, WORDS, "");
    unsigned errors = 0;
    for (size_t n = 5; n < pdf.n; n += 31) {
        buf_reset(&text);
        enum err err = pdf_text(slice_sub(buf_slice(&pdf), 0, n), SLICE("papers/a.pdf"), &text, &why);
        assert_true(err == OK || (err == ERR_UNSUPPORTED && text.n == 0));
        errors += err != OK;
    }
    assert_true(errors > 3);
}

static void test_ten_thousand_pages(void **state)
{
    (void)state;
    NEEDS_PDFTOTEXT();
    BUF_CLEANUP struct buf pdf = BUF_INIT(8 << 20), text = BUF_INIT(8 << 20), little = BUF_INIT(100 * 1000);
    make_pdf(&pdf, PAGES_MAX, BIG, "");
    assert_int_equal(read_pdf(&pdf, &text), OK);
    assert_true(text.n > 40 * PAGES_MAX);
    assert_int_equal(read_pdf(&pdf, &little), ERR_LIMIT);
    assert_says("more than 100000 bytes of text: split it");
    assert_int_equal(little.n, 0);
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* nobody is left */
}

/* ---- another program in the place of pdftotext ---- */

static char script[200]; /* empty: a program that is not there */
static int64_t skipped_ns;

static int spawn_script(const char *path, char *const argv[], char *const env[], const int *fds, size_t n, pid_t *ret)
{
    char *const other[] = {"sh", "-c", script, NULL};
    (void)path, (void)argv;
    assert_null(env[0]);
    return sys_real.spawn(script[0] ? "/bin/sh" : "/none/such/program", other, env, fds, n, ret);
}

/* Each look at the clock is ten seconds after the one before. */
static int64_t hasty_clock(void)
{
    return sys_real.boottime_ns() + (skipped_ns += 10 * INT64_C(1000000000));
}

static enum err read_by(const char *with, struct buf *text)
{
    struct sys other = sys_real;
    BUF_CLEANUP struct buf pdf = BUF_INIT(100);
    buf_add_text(&pdf, "%PDF-1.4");
    other.spawn = spawn_script;
    snprintf(script, sizeof script, "%s", with);
    sys = &other;
    enum err err = read_pdf(&pdf, text);
    sys = &sys_real;
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    return err;
}

static void test_no_such_program(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    assert_int_equal(read_by("", &text), ERR_MISSING);
    assert_says("apt-get install poppler-utils");
}

static void test_how_it_ends(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    static const struct {
        const char *script;
        enum err err;
        const char *words;
    } cases[] = {
        {"kill -XCPU $$", ERR_LIMIT, "CPU seconds"}, {"kill -KILL $$", ERR_LIMIT, "split it"},
        {"kill -SEGV $$", ERR_UNSUPPORTED, "is damaged"}, {"exit 3", ERR_UNSUPPORTED, "forbids"},
        {"exit 99", ERR_UNSUPPORTED, "is damaged"}, {"printf ' \\n\\n' >&4", ERR_UNSUPPORTED, "has no text"},
        {"echo half >&4; exit 1", ERR_UNSUPPORTED, "is damaged"},
        {"while echo aaaaaaaaaaaaaaaa >&4; do :; done; sleep 100", ERR_LIMIT, "4096 bytes of text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err err = read_by(cases[i].script, &text);
        if (err != cases[i].err || text.n)
            fail_msg("%s: %d, %zu bytes, %s", cases[i].script, err, text.n, why.text);
        assert_says(cases[i].words);
    }
    assert_int_equal(read_by("cat <&3 >&4; printf 'a\\0b\\357\\254\\203c\\357\\254' >&4", &text), OK); /* its input is the PDF */
    assert_string_equal(buf_str(&text), "\n%PDF-1.4abffic\xef\xac");
}

static void test_too_slow(void **state)
{
    (void)state;
    struct sys hasty = sys_real;
    BUF_CLEANUP struct buf pdf = BUF_INIT(100), text = BUF_INIT(4096);
    buf_add_text(&pdf, "%PDF-1.4");
    hasty.boottime_ns = hasty_clock;
    hasty.spawn = spawn_script;
    snprintf(script, sizeof script, "while echo a >&4; do sleep 0.01; done");
    sys = &hasty;
    enum err err = read_pdf(&pdf, &text);
    sys = &sys_real;
    assert_int_equal(err, ERR_TIMEOUT);
    assert_says("longer than 25 seconds");
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* Each system call refused in turn: an error with words, or the text; nobody left behind. */
static void test_refused_calls(void **state)
{
    (void)state;
    NEEDS_PDFTOTEXT();
    BUF_CLEANUP struct buf pdf = BUF_INIT(1 << 20);
    make_pdf(&pdf, 1, WORDS, "");
    unsigned n = 0, errors = 0;
    for (bool hit = true; hit; errors += why.code != OK) {
        BUF_CLEANUP struct buf text = BUF_INIT(4096);
        sys_fail_nth(++n, EIO, SYS_FAULT_ALL & ~SYS_FAULT_MEMORY);
        enum err err = read_pdf(&pdf, &text);
        hit = sys_calls() >= n;
        sys_fail_nth(0, 0, 0);
        assert_true(err == why.code && (err ? why.text[0] && text.n == 0 : text.n > 0));
        assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    }
    assert_true(errors > 2 && n < 50);
}

/* ---- the applet ---- */

static struct buf reply = {.max = 1 << 20};

static enum err call_read(const char *path, uint64_t limit)
{
    BUF_CLEANUP struct buf args = BUF_INIT(65536);
    message_put(&args, INSIDE_ROOT, slice_of(world_path));
    message_put(&args, INSIDE_PATH, slice_of(path));
    message_put_u64(&args, INSIDE_LIMIT, limit);
    buf_reset(&reply);
    for (size_t i = 0; i < inside_napplets; i++)
        if (!strcmp(inside_applets[i].name, "read"))
            return inside_applets[i].run(buf_slice(&args), &reply, &why);
    return ERR_MISSING;
}

static void write_file(const char *name, struct slice bytes)
{
    int fd = openat(world, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
    close(fd);
}

static void test_read(void **state)
{
    (void)state;
    NEEDS_PDFTOTEXT();
    world_empty(world);
    BUF_CLEANUP struct buf pdf = BUF_INIT(1 << 20);
    make_pdf(&pdf, 1, WORDS, "");
    write_file("no-matter-what-name.txt", buf_slice(&pdf));
    assert_int_equal(call_read("no-matter-what-name.txt", 45), OK); /* 45 bytes of words in 900 of PDF */
    assert_true(slice_is(message_get(buf_slice(&reply), INSIDE_TEXT), "Each process sees a file system\nof its own.\n"));
    struct hash h = hash_of(buf_slice(&pdf));
    assert_true(slice_eq(message_get(buf_slice(&reply), INSIDE_HASH), (struct slice){(char *)h.b, HASH_BYTES}));
    assert_int_equal(message_get_u64(buf_slice(&reply), INSIDE_SIZE, 0), pdf.n);
    assert_int_equal(call_read("no-matter-what-name.txt", 20), ERR_LIMIT);
    make_pdf(&pdf, 1, "BT /F 12 Tf 50 700 Td (GIF89a is how a picture begins) Tj ET", "");
    write_file("gif.pdf", buf_slice(&pdf));
    assert_int_equal(call_read("gif.pdf", 100), OK);
    write_file("text.pdf", SLICE("only text"));
    assert_int_equal(call_read("text.pdf", 100), OK);
    assert_int_equal(mkfifoat(world, "fifo.pdf", 0644), 0); /* nobody writes to it: opening it would wait */
    assert_int_equal(call_read("fifo.pdf", 100), ERR_UNSUPPORTED);
    write_file("half.pdf", slice_sub(buf_slice(&pdf), 0, 60));
    assert_int_equal(call_read("half.pdf", 100), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "half.pdf is damaged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_ten_thousand_pages),
        cmocka_unit_test(test_no_such_program),
        cmocka_unit_test(test_how_it_ends),
        cmocka_unit_test(test_too_slow),
        cmocka_unit_test(test_refused_calls),
        cmocka_unit_test(test_read),
    };
    alarm(100); /* several of the planted mistakes wait for ever */
    int failed = cmocka_run_group_tests(tests, world_make, world_remove);
    buf_release(&reply);
    return failed;
}
