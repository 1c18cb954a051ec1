/*
 * Globs: any pattern against any path ends in bounded time; a file that matches is in a folder that would be walked;
 * a path without special characters matches itself, whole and under "**", unless it is hidden; nothing in .git or of
 * .crannog ever matches.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "tools/glob.h"

static bool plain(struct slice path)
{
    bool ok = path.n && path.n < 1000 && path.p[0] != '/' && path.p[0] != '.' && path.p[path.n - 1] != '/';
    for (size_t i = 0; i < path.n; i++)
        ok &= !memchr("*?[\\", path.p[i], 4) && !(path.p[i] == '/' && i + 1 < path.n && memchr("/.", path.p[i + 1], 2));
    return ok;
}

static size_t depth(struct slice path)
{
    size_t n = 1;
    for (size_t i = 0; i < path.n; i++)
        n += path.p[i] == '/';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size);
    size_t cut = slice_index(s, '\n');
    struct slice pattern = slice_sub(s, 0, cut), path = slice_sub(s, cut + 1, s.n);
    if (glob_match(pattern, path)) {
        ASSERT(slice_find(path, SLICE("/.git/"), 0) == path.n && !slice_starts(path, SLICE(".crannog")));
        for (size_t i = 0; i < path.n; i++)
            ASSERT(path.p[i] != '/' || glob_below(pattern, slice_sub(path, 0, i)));
    }
    if (plain(path) && depth(path) < GLOB_DEPTH_MAX) {
        BUF_CLEANUP struct buf below = BUF_INIT(2048);
        buf_add_text(&below, "**/");
        buf_add(&below, path);
        ASSERT(glob_match(path, path) && glob_match(SLICE("**"), path) && glob_match(buf_slice(&below), path));
    }
    return 0;
}
