/* Edits and what is shown of output: file, old and new stand between NULs. An edit leaves a file or words; output is text within its bound. */
#include "context/output.h"
#include "fuzz.h"
#include "tools/edit.h"
#include "tools/imports.h"
#include "tools/lines.h"

static struct slice part(struct slice *rest)
{
    size_t end = slice_index(*rest, '\0');
    struct slice ret = slice_sub(*rest, 0, end);
    *rest = slice_sub(*rest, end + 1, rest->n);
    return ret;
}

static void edit(struct slice whole, const struct edit *e)
{
    BUF_CLEANUP struct buf ret = BUF_INIT(EDIT_BYTES_MAX + 3), say = BUF_INIT(EDIT_SAY_MAX);
    struct edited did;
    enum err err = edit_apply(whole, SLICE("f"), e, 1, &ret, &say, &did);
    ASSERT(slice_is_utf8(buf_slice(&say)) && buf_ok(&say));
    ASSERT(err ? ret.n == 0 && say.n : did.replaced > 0 && did.line > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(data, size), file = part(&rest), path;
    struct edit e = {.old = part(&rest), .new = part(&rest), .all = rest.n % 2};
    edit(file, &e);
    BUF_CLEANUP struct buf out = BUF_INIT(4 * size + 1024), again = BUF_INIT(4 * size + 1024), page = BUF_INIT(4 * size + 1024);
    bool cut;
    ASSERT(output_cut(fuzz_slice(data, size), 300, "read step:1", &out, NULL) == OK);
    ASSERT(slice_is_utf8(buf_slice(&out)) && out.n <= 300 && slice_index(buf_slice(&out), '\x1b') == out.n);
    ASSERT(output_cut(buf_slice(&out), 300, "read step:1", &again, &cut) == OK && !cut && slice_eq(buf_slice(&out), buf_slice(&again)));
    struct imports w = {.text = fuzz_slice(data, size)};
    for (size_t end = 0, before = 0; imports_next(&w, &path, &end); before = end)
        ASSERT(path.n && end > before && end <= size);
    lines_page(buf_slice(&again), 1, 5, 200, &page);
    ASSERT(slice_is_utf8(buf_slice(&page)));
    return 0;
}
