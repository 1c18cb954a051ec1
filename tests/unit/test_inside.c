/*
 * The file tools of a jail, called directly: globs match what they say (against a slow reference as well), in bounded
 * time, and never leave their folder; documents become the text they must; nothing is read but plain files, and nothing
 * waits; look and land carry stamps there and back. Planted and caught: a "*" that steps over hidden names, a walk that
 * follows links, U+FFFD for each byte instead of each beginning, a look that gives content past its limit.
 */
#include "landing_world.h"

#include <pthread.h>
#include <time.h>

#include "tools/file.h"
#include "tools/inside.h"
#include "tools/inside_layers.h"
#include "tools/plaintext.h"
#include "wire/message.h"

static void append(char *to, size_t size, const char *what)
{
    size_t n = strlen(to);
    snprintf(to + n, size - n, "%s", what);
}

/* ---- globs ---- */

static bool match(const char *pattern, const char *path)
{
    return glob_match(slice_of(pattern), slice_of(path));
}

static void test_glob_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool match;
    } cases[] = {
        {"a.md", "a.md", true}, {"a.md", "b.md", false}, {"a.md", "x/a.md", false}, {"", "", false}, {"*", "", false},
        {"*.md", "a.md", true}, {"*.md", ".md", false}, {"*.md", "a.md.kept", false}, {"*", "a/b", false},
        {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false}, {"*a*", "a", true}, {"**", "a", true},
        {"?.md", "a.md", true}, {"?.md", "\xc3\xa9.md", true}, {"?.md", "\xff.md", true}, {"?.md", "\xc3\xa9\xc3\xa9.md", false},
        {"[abc]", "b", true}, {"[a-c]x", "bx", true}, {"[!a-c]", "b", false}, {"[!a-c]", "d", true}, {"[^a]", "b", true},
        {"[]]", "]", true}, {"[a-]", "-", true}, {"[", "[", true}, {"[ab", "[ab", true}, {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
        {"\\*", "*", true}, {"\\*", "a", false}, {"[\\]]", "]", true}, {"a\\", "a\\", true}, {"[!a]", "/", false},
        {"s/*", "s/a", true}, {"s/*", "s/a/b", false}, {"s/*/b", "s/a/b", true}, {"*/b", "b", false},
        {"s/**/b", "s/b", true}, {"s/**/b", "s/x/y/b", true}, {"s/**", "s/b", true}, {"s/**", "s/x/b", true}, {"s/**", "s", false},
        {"**/b", "b", true}, {"**/b", "a/c/b", true}, {"**/b", "a/c/bb", false}, {"**/**/b", "b", true}, {"a**b", "aXb", true},
        {"a**b", "a/b", false}, {"**/x/**/y", "a/x/b/x/c/y", true}, {"**/x/**/y", "a/y/x", false}, {"**/x/y", "x/x/y", true},
        {".env", ".env", true}, {"?env", ".env", false}, {"[.]env", ".env", false}, {".*", ".env", true}, {"\\.env", ".env", true},
        {"**", "a/.h/b", false}, {"**/b", ".h/b", false}, {".h/**", ".h/b", true}, {".h/**", ".h/.i/b", false},
        {"**/.h/**/b", "a/.h/c/b", true}, {"**/.h/**/b", "a/.h/.h/b", false},
        {".git/*", ".git/config", false}, {".*/config", ".git/config", false}, {".crannog/*", ".crannog/x", false},
        {".*", ".crannog-12.slot", false}, {".gitignore", ".gitignore", true},
        {"a/b", "a//b", false}, {"a/*/b", "a//b", false}, {"a/**/b", "a//b", false}, {"/a", "/a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (match(cases[i].pattern, cases[i].path) != cases[i].match)
            fail_msg("%s against %s", cases[i].pattern, cases[i].path);
}

/* Textbook recursion, exponential: "*" "?" literals, and "**" over folders; the rules for dots on top. */
static bool slow_name(const char *p, const char *pe, const char *n, const char *ne)
{
    if (p == pe)
        return n == ne;
    if (*p == '*')
        return slow_name(p + 1, pe, n, ne) || (n < ne && slow_name(p, pe, n + 1, ne));
    return n < ne && (*p == '?' || *p == *n) && slow_name(p + 1, pe, n + 1, ne);
}

static bool slow_path(const char *p, const char *n)
{
    const char *pe = strchrnul(p, '/'), *ne = strchrnul(n, '/');
    if (pe - p == 2 && !strncmp(p, "**", 2)) {
        if (!*pe && *n)
            return *ne ? *n != '.' && slow_path(p, ne + 1) : *n != '.';
        return slow_path(pe + 1, n) || (*n != '.' && *ne && slow_path(p, ne + 1));
    }
    if ((*n == '.' && *p != '.') || !slow_name(p, pe, n, ne) || !*pe != !*ne)
        return false;
    return !*pe || slow_path(pe + 1, ne + 1);
}

static unsigned roll(uint64_t *seed, unsigned n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((*seed >> 33) % n);
}

static void test_glob_against_the_reference(void **state)
{
    (void)state;
    static const char *const parts[] = {"**", "*", "a", "b", ".a", ".*", "?", "a*", "*b*", "ab"};
    static const char *const names[] = {"a", "b", ".a", ".b", "ab", "bab"};
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    unsigned matched = 0;
    for (int i = 0; i < 300000; i++) {
        char pattern[64] = "", path[64] = "", *slash;
        for (unsigned k = 1 + roll(&seed, 6); k; k--)
            append(pattern, sizeof pattern, parts[roll(&seed, 10)]), append(pattern, sizeof pattern, k > 1 ? "/" : "");
        for (unsigned k = 1 + roll(&seed, 6); k; k--)
            append(path, sizeof path, names[roll(&seed, 6)]), append(path, sizeof path, k > 1 ? "/" : "");
        bool is = match(pattern, path);
        if (is != slow_path(pattern, path))
            fail_msg("%s against %s: %d", pattern, path, is);
        matched += is;
        while (is && (slash = strrchr(path, '/'))) { /* and no folder on the way would have been passed over */
            *slash = '\0';
            if (!glob_below(slice_of(pattern), slice_of(path)))
                fail_msg("%s: %s is not walked", pattern, path);
        }
    }
    assert_in_range(matched, 5000, 290000);
}

static void test_glob_takes_bounded_time(void **state)
{
    (void)state;
    char pattern[GLOB_PATTERN_MAX + 1] = "", path[4096] = "";
    while (strlen(pattern) + 2 < GLOB_PATTERN_MAX)
        append(pattern, sizeof pattern, "*a");
    append(pattern, sizeof pattern, "b");
    memset(path, 'a', 255);
    int64_t start = sys->boottime_ns();
    assert_false(match(pattern, path));
    pattern[0] = path[0] = '\0';
    for (int i = 0; i < 31; i++)
        append(pattern, sizeof pattern, "**/*a*a*a/");
    append(pattern, sizeof pattern, "b");
    for (int i = 0; i < 60; i++)
        append(path, sizeof path, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/");
    append(path, sizeof path, "c");
    assert_false(match(pattern, path));
    assert_true(sys->boottime_ns() - start < 2000000000); /* a millisecond or two; 2^60 steps without the bound */
}

/* ---- calling an applet ---- */

static struct buf reply = BUF_INIT(64 * 1024 * 1024);
static struct error why;

static enum err call(const char *name, const struct buf *args)
{
    buf_reset(&reply);
    why = (struct error){0};
    for (size_t i = 0; i < inside_napplets; i++)
        if (!strcmp(inside_applets[i].name, name))
            return inside_applets[i].run(buf_slice(args), &reply, &why);
    fail_msg("no applet %s", name);
    return ERR_MISSING;
}

static enum err call_with(const char *name, enum inside_tag tag, const char *value, uint64_t limit)
{
    BUF_CLEANUP struct buf args = BUF_INIT(65536);
    message_put(&args, INSIDE_ROOT, slice_of(world_path));
    message_put(&args, (uint16_t)tag, slice_of(value));
    message_put_u64(&args, INSIDE_LIMIT, limit);
    return call(name, &args);
}

static void assert_paths(const char *pattern, const char *paths)
{
    char got[4096] = "";
    assert_int_equal(call_with("glob", INSIDE_PATTERN, pattern, 100), OK);
    struct message_reader r = message_read(buf_slice(&reply));
    for (struct field f; message_next(&r, &f) > 0;)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s ", SLICE_ARG(f.bytes));
    assert_string_equal(got, paths);
}

static void test_glob(void **state)
{
    (void)state;
    world_empty(world);
    static const char *const folders[] = {"s", "s/deep", "s/deep/er", "s/.hidden", ".git", ".crannog", "other"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mkdirat(world, folders[i], 0755), 0);
    static const char *const files[] = {"b.md", "a.md", "s/B.md", "s/a.md", "s/deep/c.md", "s/deep/er/d.md", "s/.hidden/e.md",
                                        "s/.f.md", ".git/g.md", ".crannog/h.md", "s/i.txt", "a-b.md", "a.md.crannog"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(files[i], SLICE("x"));
    assert_int_equal(symlinkat("a.md", world, "link.md"), 0);
    assert_int_equal(symlinkat("..", world, "s/up"), 0);
    assert_int_equal(symlinkat("/etc", world, "etc"), 0);
    assert_int_equal(mkfifoat(world, "fifo.md", 0644), 0);
    assert_int_equal(mkdirat(world, "folder.md", 0755), 0);
    assert_paths("*.md", "a-b.md a.md b.md ");
    assert_paths("s/*.md", "s/B.md s/a.md ");
    assert_paths("**/*.md", "a-b.md a.md b.md s/B.md s/a.md s/deep/c.md s/deep/er/d.md ");
    assert_paths("s/**", "s/B.md s/a.md s/deep/c.md s/deep/er/d.md s/i.txt ");
    assert_paths("s/.*", "s/.f.md ");
    assert_paths("**/.hidden/*", "s/.hidden/e.md ");
    assert_paths("**/.*/*", "s/.hidden/e.md ");
    assert_paths(".git/*", "");
    assert_paths("etc/*", "");
    assert_paths("s/up/*", "");
    assert_paths("none/*", "");
    assert_paths("a.md", "a.md ");
    assert_int_equal(call_with("glob", INSIDE_PATTERN, "**/*.md", 6), ERR_LIMIT);
    assert_non_null(strstr(why.text, "more files than 6"));
    assert_int_equal(call_with("glob", INSIDE_PATTERN, "**/*.md", 7), OK);
    static const char *const bad[] = {"", "/etc/*", "../*", "a/../*", "./a", "a//b", "a/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(call_with("glob", INSIDE_PATTERN, bad[i], 10), ERR_USAGE);
}

static void test_glob_depth(void **state)
{
    (void)state;
    world_empty(world);
    char path[256] = "d";
    for (int i = 0; i < 70; i++) {
        assert_int_equal(mkdirat(world, path, 0755), 0);
        append(path, sizeof path, "/d");
    }
    put("d/a.md", SLICE("x"));
    assert_int_equal(call_with("glob", INSIDE_PATTERN, "**/*.md", 10), ERR_LIMIT);
    assert_non_null(strstr(why.text, "folders within each other"));
    assert_paths("d/*.md", "d/a.md "); /* is not looked for down there */
}

/* ---- text ---- */

static void assert_text(struct slice in, const char *out)
{
    BUF_CLEANUP struct buf b = BUF_INIT(65536);
    struct error e = {0};
    if (plaintext(in, SLICE("doc"), &b, &e))
        fail_msg("%s", e.text);
    assert_string_equal(buf_str(&b), out);
}

static void test_plaintext(void **state)
{
    (void)state;
    assert_text(SLICE(""), "");
    assert_text(SLICE("a"), "a\n");
    assert_text(SLICE("a\r\nb\rc\n"), "a\nb\nc\n");
    assert_text(SLICE("\xef\xbb\xbf" "a"), "a\n");
    assert_text(SLICE("\n\n\na\n\n  \n\t\nb  \t\n\n\n"), "a\n\nb\n");
    assert_text(SLICE("if x:\n    y  =   1\n\tz\t\tw"), "if x:\n    y = 1\n\tz\tw\n");
    assert_text(SLICE("- a\n  - b\n"), "- a\n  - b\n");
    assert_text(SLICE("a\x01\x07" "b\x7f\xc2\x85" "c\f\nd"), "abc\nd\n");
    assert_text(SLICE("b\bbo\bol\bld\bd _\bu_\bn"), "bold un\n");
    assert_text(SLICE("\b\ba  \bb"), "ab\n");
    assert_text(SLICE("\x1b[1mbold\x1b[0m \x1b]0;title\x07x \x1b"), "bold x\n");
    assert_text(SLICE("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n");
    /* Unicode 15, table 3-8: one U+FFFD for each longest beginning */
    assert_text(SLICE("some words before a\xf1\x80\x80\xe1\x80\xc2" "b\x80" "c\x80\xbf" "d"),
                "some words before a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" "b\xef\xbf\xbd" "c\xef\xbf\xbd\xef\xbf\xbd" "d\n");
    assert_text(SLICE("plain words \xed\xa0\x80"), "plain words \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n");
    assert_text(SLICE("namespaces(7)    Manual    namespaces(7)\n\nNAME\n       namespaces  -  overview\n   Sub\n"
                      "              The  text.\n"),
                "namespaces(7) Manual namespaces(7)\n\nNAME\nnamespaces - overview\nSub\nThe text.\n");
    assert_text(SLICE("f(x)  and  f(x)\n    code\n"), "f(x) and f(x)\n    code\n"); /* no section number: no page */
}

/* Whatever the bytes: the result is well-formed, has no controls, and is its own text. */
static void test_plaintext_of_anything(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    static const char *const bits[] = {"word", " ", "  ", "\n", "\r\n", "\t", "\b", "\x1b[1m", "\xc3\xa9", "\xe2\x82", "\f",
                                       "\x1b]", "x(7) y x(7)\n", "\xff", "\x01", "\xc2\x80"};
    for (int i = 0; i < 20000; i++) {
        BUF_CLEANUP struct buf in = BUF_INIT(1024), out = BUF_INIT(3072), again = BUF_INIT(3072);
        for (unsigned k = roll(&seed, 20); k; k--)
            buf_add_text(&in, bits[roll(&seed, 16)]);
        if (plaintext(buf_slice(&in), SLICE("d"), &out, NULL))
            continue;
        assert_true(slice_is_utf8(buf_slice(&out)));
        assert_true(strlen(buf_str(&out)) == out.n); /* a NUL behind the last byte, and only there */
        for (size_t k = 0; k < out.n; k++)
            assert_true((unsigned char)out.p[k] >= 0x20 || out.p[k] == '\n' || out.p[k] == '\t');
        assert_null(strstr(buf_str(&out), "\n\n\n"));
        assert_int_equal(plaintext(buf_slice(&out), SLICE("d"), &again, NULL), OK);
        if (!strstr(buf_str(&in), "(7)"))
            assert_string_equal(buf_str(&out), buf_str(&again));
    }
}

static void test_what_is_no_text(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *word;
    } cases[] = {
        {{"\x1f\x8b\x08", 3}, "gzip"}, {{"\x7f" "ELF\2", 5}, "ELF"},
        {{"\x89PNG\r\n\x1a\n", 8}, "PNG"}, {{"PK\3\4", 4}, "ZIP"}, {{"\xff\xfeh\0", 4}, "UTF-16"}, {{"a\0b", 3}, "NUL"},
        {{"\xc4\xe5\xe5\xf4 abc", 8}, "iconv"}, {{"\x01\x02\x03", 3}, "no text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(100);
        struct error e = {0};
        assert_int_equal(plaintext(cases[i].bytes, SLICE("doc.x"), &b, &e), ERR_UNSUPPORTED);
        if (!strstr(e.text, cases[i].word) || !strstr(e.text, "doc.x") || !strstr(e.text, "can be read today"))
            fail_msg("%s: %s", cases[i].word, e.text);
    }
    assert_text(SLICE("na\xefve caf\xe9, mostly in order"), "na\xef\xbf\xbdve caf\xef\xbf\xbd, mostly in order\n"); /* Latin-1 */
}

/* ---- read, look, land ---- */

static void test_read(void **state)
{
    (void)state;
    world_empty(world);
    put("a.md", SLICE("# A\r\n\r\n\r\ntext  here\n"));
    assert_int_equal(linkat(world, "a.md", world, "b.md", 0), 0); /* hard links are read */
    assert_int_equal(call_with("read", INSIDE_PATH, "b.md", 100), OK);
    assert_true(slice_is(message_get(buf_slice(&reply), INSIDE_TEXT), "# A\n\ntext here\n"));
    struct hash h = hash_of(SLICE("# A\r\n\r\n\r\ntext  here\n"));
    assert_true(slice_eq(message_get(buf_slice(&reply), INSIDE_HASH), (struct slice){(char *)h.b, HASH_BYTES}));
    assert_int_equal(message_get_u64(buf_slice(&reply), INSIDE_SIZE, 0), 20);
    assert_int_equal(call_with("read", INSIDE_PATH, "a.md", 20), OK);
    assert_int_equal(call_with("read", INSIDE_PATH, "a.md", 19), ERR_LIMIT);
    assert_int_equal(call_with("read", INSIDE_PATH, "none.md", 100), ERR_MISSING);
    assert_int_equal(call_with("read", INSIDE_PATH, "a.md/x", 100), ERR_UNSUPPORTED);
    assert_int_equal(call_with("read", INSIDE_PATH, "../a.md", 100), ERR_USAGE);
    assert_int_equal(call_with("read", INSIDE_PATH, "/etc/passwd", 100), ERR_USAGE);
    assert_int_equal(mkfifoat(world, "fifo", 0644), 0); /* nobody writes to it: opening it would wait */
    assert_int_equal(mkdirat(world, "folder", 0755), 0);
    assert_int_equal(symlinkat("a.md", world, "link"), 0);
    assert_int_equal(symlinkat("/", world, "top"), 0);
    static const char *const others[] = {"fifo", "folder", "link"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(call_with("read", INSIDE_PATH, others[i], 100), ERR_UNSUPPORTED);
    assert_int_equal(call_with("read", INSIDE_PATH, "top/etc/passwd", 9999), ERR_DENIED);
    put("empty", SLICE(""));
    assert_int_equal(call_with("read", INSIDE_PATH, "empty", 0), OK);
}

static volatile bool stop;

static void *appends(void *unused)
{
    int fd = openat(world, "busy", O_WRONLY | O_APPEND);
    while (!stop)
        assert_int_equal(write(fd, "y", 1), 1);
    close(fd);
    return unused;
}

/* A file that is written to all the time is an error, never a mixture: what is answered is what its hash says. */
static void test_read_while_it_changes(void **state)
{
    (void)state;
    world_empty(world);
    char *text = malloc(2000000);
    memset(text, 'x', 2000000);
    put("busy", (struct slice){text, 2000000});
    free(text);
    pthread_t thread;
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, appends, NULL), 0);
    unsigned busy = 0;
    int64_t end = sys->boottime_ns() + 10000000000;
    for (int i = 0; (i < 20 || !busy) && sys->boottime_ns() < end; i++) {
        enum err err = call_with("look", INSIDE_PATH, "busy", INSIDE_BYTES_MAX);
        assert_true(err == OK || err == ERR_BUSY);
        busy += err == ERR_BUSY;
        struct stamp s;
        if (err == OK) {
            struct slice content = message_get(buf_slice(&reply), INSIDE_CONTENT);
            struct hash h = hash_of(content);
            assert_true(stamp_decode(message_get(buf_slice(&reply), INSIDE_STAMP), &s));
            assert_true(hash_eq(&h, &s.hash) && s.size == content.n);
        }
    }
    stop = true;
    pthread_join(thread, NULL);
    assert_true(busy > 0);
}

static enum err call_land(const char *path, struct slice stamp, const char *content)
{
    BUF_CLEANUP struct buf args = BUF_INIT(65536);
    message_put(&args, INSIDE_ROOT, slice_of(world_path));
    message_put(&args, INSIDE_PATH, slice_of(path));
    message_put(&args, INSIDE_STAMP, stamp);
    message_put(&args, INSIDE_CONTENT, slice_of(content));
    message_put(&args, INSIDE_NAME, SLICE("run.main.1"));
    message_put_u64(&args, INSIDE_MODE, 0640);
    return call("land", &args);
}

static void test_look_and_land(void **state)
{
    (void)state;
    world_empty(world);
    char stamp[1024];
    assert_int_equal(call_with("look", INSIDE_PATH, "n/a.md", 100), OK);
    struct field f;
    assert_false(message_find(buf_slice(&reply), INSIDE_CONTENT, &f));
    struct slice s = message_get(buf_slice(&reply), INSIDE_STAMP);
    memcpy(stamp, s.p, s.n);
    s.p = stamp;
    assert_int_equal(call_land("n/a.md", s, "one"), OK);
    assert_int_equal(message_get_u64(buf_slice(&reply), INSIDE_RESULT, 0), LANDING_DONE);
    struct stamp now, seen = look("n/a.md");
    assert_true(stamp_decode(message_get(buf_slice(&reply), INSIDE_STAMP), &now) && stamp_same(&now, &seen));
    assert_int_equal(now.mode, 0640);
    assert_true(holds("n/a.md", SLICE("one")));

    assert_int_equal(call_land("n/a.md", s, "two"), OK); /* the stamp says that nothing lies there */
    assert_int_equal(message_get_u64(buf_slice(&reply), INSIDE_RESULT, 0), LANDING_CONFLICT);
    assert_true(slice_find(message_get(buf_slice(&reply), INSIDE_WHY), SLICE("exists already"), 0) <
                message_get(buf_slice(&reply), INSIDE_WHY).n);

    assert_int_equal(call_with("look", INSIDE_PATH, "n/a.md", 3), OK);
    assert_true(message_find(buf_slice(&reply), INSIDE_CONTENT, &f) && slice_is(f.bytes, "one"));
    assert_int_equal(call_with("look", INSIDE_PATH, "n/a.md", 2), OK);
    assert_false(message_find(buf_slice(&reply), INSIDE_CONTENT, &f));
    assert_true(message_find(buf_slice(&reply), INSIDE_STAMP, &f) && stamp_decode(f.bytes, &now) && now.size == 3);

    assert_int_equal(call_land("n/.git/x", s, "x"), ERR_DENIED);
    assert_non_null(strstr(why.text, ".git"));
    assert_int_equal(call_land("n/a.md", SLICE("junk"), "x"), ERR_CORRUPT);
}

/* The engine's side (tools/file.h): what it asks is understood, what comes back is taken apart, what is cut off is not. */
static void test_the_engines_side(void **state)
{
    (void)state;
    world_empty(world);
    BUF_CLEANUP struct buf args = BUF_INIT(65536);
    ARENA_CLEANUP struct arena a = ARENA_INIT(1024 * 1024);
    struct slice root = slice_of(world_path), *paths;
    struct file_look look_reply;
    struct file_landed landed;
    struct file_text text;
    size_t n;
    file_look_args(&args, root, SLICE("d/a.md"), 100);
    assert_int_equal(call("look", &args), OK);
    assert_int_equal(file_look_reply(buf_slice(&reply), &look_reply, &why), OK);
    assert_false(look_reply.has_content);
    buf_reset(&args);
    file_land_args(&args, root, SLICE("d/a.md"), &look_reply.stamp, SLICE(""), SLICE("n"), 0644);
    assert_int_equal(call("land", &args), OK);
    assert_int_equal(file_land_reply(buf_slice(&reply), &landed, &why), OK);
    assert_true(landed.result == LANDING_DONE && landed.now.size == 0 && landed.why.n == 0);
    put("d/a.md", SLICE("theirs"));
    assert_int_equal(call("land", &args), OK);
    assert_int_equal(file_land_reply(buf_slice(&reply), &landed, &why), OK);
    assert_true(landed.result == LANDING_CONFLICT && landed.now.size == 6);
    assert_true(slice_starts(landed.why, SLICE("d/a.md exists already")));
    buf_reset(&args);
    file_look_args(&args, root, SLICE("d/a.md"), 100);
    assert_int_equal(call("look", &args), OK);
    assert_int_equal(file_look_reply(buf_slice(&reply), &look_reply, &why), OK);
    assert_true(look_reply.has_content && slice_is(look_reply.content, "theirs"));
    buf_reset(&args);
    file_glob_args(&args, root, SLICE("**"), 10);
    assert_int_equal(call("glob", &args), OK);
    assert_int_equal(file_glob_reply(buf_slice(&reply), &a, &paths, &n, &why), OK);
    assert_true(n == 1 && slice_is(paths[0], "d/a.md"));
    buf_reset(&args);
    message_put(&args, INSIDE_PATH, SLICE("../x"));
    assert_int_equal(file_glob_reply(buf_slice(&args), &a, &paths, &n, &why), ERR_CORRUPT);
    buf_reset(&args);
    file_read_args(&args, root, SLICE("d/a.md"), 100);
    assert_int_equal(call("read", &args), OK);
    assert_int_equal(file_read_reply(buf_slice(&reply), &text, &why), OK);
    assert_true(slice_is(text.text, "theirs\n") && text.size == 6);
    for (size_t cut = 0; cut < reply.n; cut++)
        assert_int_equal(file_read_reply(slice_sub(buf_slice(&reply), 0, cut), &text, &why), ERR_CORRUPT);
}

/* A name as long as names get: the kept file's name fits, and the conflict's text holds all of it, as UTF-8. */
static void test_a_long_name_in_a_conflict(void **state)
{
    (void)state;
    world_empty(world);
    char name[256] = "x", kept[512];
    for (size_t i = 1; i + 2 <= 253; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    BUF_CLEANUP struct buf args = BUF_INIT(65536);
    put(name, SLICE("old"));
    struct stamp base = look(name);
    file_land_args(&args, slice_of(world_path), slice_of(name), &base, SLICE("new"), SLICE("n"), 0644);
    assert_int_equal(call("land", &args), OK); /* done: now the name under which a file would have been kept */
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(SLICE("n"));
    h = hash_of2((struct slice){(char *)h.b, HASH_BYTES}, slice_of(name));
    hash_hex(&h, hex);
    snprintf(kept, sizeof kept, "%.119s.kept-%.12s", name, hex);
    put(kept, SLICE("a version"));
    put(name, SLICE("theirs"));
    assert_int_equal(call("land", &args), OK);
    struct file_landed landed;
    assert_int_equal(file_land_reply(buf_slice(&reply), &landed, &why), OK);
    assert_int_equal(landed.result, LANDING_CONFLICT);
    assert_true(slice_find(landed.why, slice_of(kept), 0) < landed.why.n);
    assert_true(slice_ends(landed.why, SLICE("remove that one")));
}

/* Arguments come in a message from the engine; anything else is an error, not a crash. */
static void test_bad_arguments(void **state)
{
    (void)state;
    enum { FILE_TOOLS = 4 }; /* those of layers have other arguments, and tests of their own */
    for (size_t i = 0; i < FILE_TOOLS; i++) {
        BUF_CLEANUP struct buf args = BUF_INIT(1024);
        assert_int_equal(call(inside_applets[i].name, &args), ERR_CORRUPT);
        buf_add_text(&args, "junk");
        assert_int_equal(call(inside_applets[i].name, &args), ERR_CORRUPT);
        buf_reset(&args);
        message_put(&args, INSIDE_ROOT, SLICE("relative"));
        message_put(&args, INSIDE_PATH, SLICE("a"));
        message_put(&args, INSIDE_PATTERN, SLICE("a"));
        assert_int_equal(call(inside_applets[i].name, &args), ERR_CORRUPT);
        if (i >= 4)
            continue; /* those of layers have words of their own for a root */
        buf_reset(&args);
        message_put(&args, INSIDE_ROOT, SLICE("/none/such/folder"));
        message_put(&args, INSIDE_PATH, SLICE("a"));
        message_put(&args, INSIDE_PATTERN, SLICE("a"));
        message_put(&args, LAYER_ROOT, SLICE("/none/such/folder"));
        message_put(&args, LAYER_TO, SLICE("/none/such/folder"));
        assert_int_equal(call(inside_applets[i].name, &args), ERR_MISSING);
        assert_non_null(strstr(why.text, "/none/such/folder"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob_match),
        cmocka_unit_test(test_glob_against_the_reference),
        cmocka_unit_test(test_glob_takes_bounded_time),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_depth),
        cmocka_unit_test(test_plaintext),
        cmocka_unit_test(test_plaintext_of_anything),
        cmocka_unit_test(test_what_is_no_text),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_while_it_changes),
        cmocka_unit_test(test_look_and_land),
        cmocka_unit_test(test_the_engines_side),
        cmocka_unit_test(test_a_long_name_in_a_conflict),
        cmocka_unit_test(test_bad_arguments),
    };
    int failed = cmocka_run_group_tests(tests, world_make, world_remove);
    buf_release(&reply);
    return failed;
}
