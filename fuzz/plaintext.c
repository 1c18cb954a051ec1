/*
 * Documents: whatever the bytes, the text is well-formed, at most three times as long (and a newline), has no control
 * character but tab and newline, no blank at the end of a line and never two empty lines.
 */
#include <string.h>

#include "fuzz.h"
#include "tools/plaintext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    BUF_CLEANUP struct buf b = BUF_INIT(3 * size + 1);
    enum err err = plaintext(fuzz_slice(data, size), SLICE("doc"), &b, &e);
    if (err) {
        ASSERT(err == ERR_UNSUPPORTED && e.code == err && b.n == 0);
        return 0;
    }
    struct slice s = buf_slice(&b);
    ASSERT(slice_is_utf8(s) && strlen(buf_str(&b)) == s.n && !slice_starts(s, SLICE("\n")));
    ASSERT(s.n == 0 || (s.p[s.n - 1] == '\n' && !slice_ends(s, SLICE("\n\n"))));
    for (size_t i = 0; i < s.n; i++) {
        ASSERT((unsigned char)s.p[i] >= 0x20 || s.p[i] == '\n' || s.p[i] == '\t');
        ASSERT(s.p[i] != '\n' || i == 0 || !strchr(" \t", s.p[i - 1]));
    }
    ASSERT(slice_find(s, SLICE("\n\n\n"), 0) == s.n);
    return 0;
}
