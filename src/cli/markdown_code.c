/*
 * Code in a few calm colours: comments grey, strings green, numbers and well-known words not louder than that. By line
 * and without knowing any language: enough to find one's way, never wrong about the text itself.
 */
#include <string.h>

#include "cli/markdown_internal.h"

enum language { CODE_NONE, CODE_SLASHES, CODE_HASH, CODE_DASHES, CODE_DIFF, CODE_TEXT };

int markdown_language(struct slice info)
{
    static const struct { const char *names; enum language is; } known[] = {
        {" c h cpp c++ cc java js javascript jsx ts typescript tsx go rust rs swift kotlin scala zig css php csharp cs dart json jsonc ", CODE_SLASHES},
        {" sh bash zsh shell console python py ruby rb perl yaml yml toml make makefile dockerfile r nix elixir ini conf meson cmake ", CODE_HASH},
        {" sql lua haskell hs ada elm ", CODE_DASHES},
        {" diff patch ", CODE_DIFF}};
    char name[24];
    if (!info.n || info.n > sizeof name - 3)
        return CODE_NONE;
    name[0] = ' ';
    for (size_t i = 0; i < info.n; i++)
        name[i + 1] = info.p[i] >= 'A' && info.p[i] <= 'Z' ? (char)(info.p[i] + 32) : info.p[i];
    name[info.n + 1] = ' ';
    name[info.n + 2] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(known[i].names, name))
            return known[i].is;
    return CODE_NONE;
}

unsigned diff_style(struct slice line)
{
    if (slice_starts(line, SLICE("+++")) || slice_starts(line, SLICE("---")) || slice_starts(line, SLICE("diff ")))
        return STYLE_BOLD;
    if (slice_starts(line, SLICE("@@")))
        return STYLE_CYAN;
    return line.n && line.p[0] == '+' ? STYLE_GREEN : line.n && line.p[0] == '-' ? STYLE_RED : 0;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool comment_at(int language, struct slice s, size_t at)
{
    struct slice rest = slice_sub(s, at, 2);
    if (language == CODE_HASH)
        return rest.p[0] == '#' && (at == 0 || s.p[at - 1] == ' ' || s.p[at - 1] == '\t');
    return slice_is(rest, language == CODE_DASHES ? "--" : "//") && (at == 0 || s.p[at - 1] != ':');
}

static size_t string_end(struct slice s, size_t at)
{
    char quote = s.p[at];
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == quote)
            return i + 1;
    }
    return at + 1; /* an apostrophe */
}

static bool keyword(struct slice word)
{
    static const char words[] =
        " if else elif fi then for while do done case esac switch break continue return def class struct enum union typedef static const"
        " void int char bool let var func fn function import from include use mod pub impl trait match type interface package extends"
        " new delete try catch except finally throw raise async await yield lambda in is not and or null nil None true false True False"
        " SELECT FROM WHERE INSERT INTO UPDATE SET DELETE CREATE TABLE JOIN ON GROUP ORDER BY LIMIT AND OR NOT NULL export local with as ";
    char name[16];
    if (word.n > sizeof name - 3)
        return false;
    name[0] = ' ';
    memcpy(name + 1, word.p, word.n);
    name[word.n + 1] = ' ';
    name[word.n + 2] = '\0';
    return strstr(words, name) != NULL;
}

void markdown_code(struct flow *f, int language, struct slice line)
{
    size_t plain = 0, i = 0, apostrophes_from = 0;
    if (language == CODE_DIFF || language == CODE_NONE) {
        flow_text(f, language == CODE_DIFF ? diff_style(line) : 0, line);
        return;
    }
    while (i < line.n) {
        unsigned style = 0;
        size_t end = i + 1;
        if (comment_at(language, line, i)) {
            style = STYLE_GREY;
            end = line.n;
        } else if (strchr("\"'`", line.p[i]) && line.p[i] && i >= apostrophes_from) {
            end = string_end(line, i);
            if (end == i + 1)
                apostrophes_from = line.n; /* no string ends any more: no second search */
            style = end > i + 1 ? STYLE_GREEN : 0;
        } else if (word_char(line.p[i])) {
            while (end < line.n && word_char(line.p[end]))
                end++;
            style = line.p[i] >= '0' && line.p[i] <= '9' ? STYLE_CYAN : keyword(slice_sub(line, i, end - i)) ? STYLE_MAGENTA : 0;
        }
        if (style) {
            flow_text(f, 0, slice_sub(line, plain, i - plain));
            flow_text(f, style, slice_sub(line, i, end - i));
            plain = end;
        }
        i = end;
    }
    flow_text(f, 0, slice_sub(line, plain, line.n));
}
