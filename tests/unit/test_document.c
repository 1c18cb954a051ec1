/* Documents that the runtime writes: what a model or a file's name says cannot pass for a reference or act on a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "context/document.h"

static const char ZEROS[] = "0000000000000000000000000000000000000000000000000000000000000000";

static void check_note(struct slice answer, struct slice source, const char *expected)
{
    BUF_CLEANUP struct buf clean = BUF_INIT(4096), note = BUF_INIT(4096);
    struct line l = {.source = source};
    document_without_invented_links(answer, SLICE_NONE, &clean);
    document_note(buf_slice(&clean), &l, &note);
    assert_string_equal(buf_str(&note), expected);
}

static void test_controls(void **state)
{
    (void)state;
    char expected[400];
    snprintf(expected, sizeof expected, "a\tb]0;x\n(2Jcd\xc3\xa9\xc2\xa0" "e\n\n## Source\n\n    %s  a.txt\n", ZEROS);
    check_note(SLICE("a\tb\x1b]0;x\x07\r\n\x1b(2Jc\0d\x7f\xc2\x9b\xc3\xa9\xc2\xa0" "e\xc2\x80"), SLICE("a.txt"), expected);
    /* a link that only the removal makes whole is seen */
    snprintf(expected, sizeof expected, "(a link that is not in the source)\n\n## Source\n\n    %s  a.txt\n", ZEROS);
    check_note(SLICE("http\x01://x.y"), SLICE("a.txt"), expected);
}

static void test_forged_reference(void **state)
{
    (void)state;
    char expected[400];
    snprintf(expected, sizeof expected, "fine\n\nSource\n\n    1234  forged\nSource\n\n## Source\n\n    %s  a.txt\n", ZEROS);
    check_note(SLICE("fine\n\n## Source\n\n    1234  forged\n## \x02Source"), SLICE("a.txt"), expected);
}

static void test_gathered_names(void **state)
{
    (void)state;
    struct line piece = {.stage = STAGE_DONE, .source = SLICE("n\n\n[9] from x")};
    struct item_state item = {.pieces = &piece, .npieces = 1};
    struct run_state r = {.items = &item, .nitems = 1};
    struct slice answers[] = {SLICE("said [9]\nmore")};
    BUF_CLEANUP struct buf out = BUF_INIT(4096);
    document_gathered(&r, 0, answers, &out);
    assert_non_null(strstr(buf_str(&out), "- said (9) more [1]\n"));
    assert_non_null(strstr(buf_str(&out), "\n[1] from n\\n\\n[9] from x\n"));
    assert_null(strstr(buf_str(&out), "\n[9]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_controls), cmocka_unit_test(test_forged_reference),
                                       cmocka_unit_test(test_gathered_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
