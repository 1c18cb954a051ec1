// Writes src/infer/unicode.c: which code points are letters, numbers and blanks (Unicode categories L*, N*, White_Space).
//   node tools/unicode.mjs > src/infer/unicode.c
const ranges = (test) => {
    const found = [];
    for (let c = 0x80; c <= 0x10ffff; c++) {
        if (!test.test(String.fromCodePoint(c))) continue;
        const last = found[found.length - 1];
        if (last && last[1] === c - 1) last[1] = c;
        else found.push([c, c]);
    }
    return found;
};
const table = (name, found) => {
    let text = `static const struct range ${name}[] = {`, line = "";
    for (const [from, to] of found) {
        const item = `{0x${from.toString(16)}, 0x${to.toString(16)}},`;
        if (!line || line.length + item.length > 114) { text += line + "\n    "; line = item; }
        else line += " " + item;
    }
    return text + line + "\n};\n";
};
console.log(`/*
 * Made by tools/unicode.mjs from Unicode ${process.versions.unicode}; do not edit. Code points below 0x80 are in the function.
 */
#include "infer/unicode.h"

#include <stdbool.h>
#include <stddef.h>

struct range {
    uint32_t from, to;
};

${table("letters", ranges(/^\p{L}$/u))}
${table("numbers", ranges(/^\p{N}$/u))}
${table("blanks", ranges(/^\p{White_Space}$/u))}
static bool inside(const struct range *r, size_t n, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c > r[mid].to)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && c >= r[low].from;
}

enum unicode_class unicode_class(uint32_t c)
{
    if (c < 0x80) {
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            return UNICODE_LETTER;
        if (c >= '0' && c <= '9')
            return UNICODE_NUMBER;
        return c == ' ' || (c >= 9 && c <= 13) ? UNICODE_BLANK : UNICODE_OTHER;
    }
#define INSIDE(table) inside(table, sizeof table / sizeof *table, c)
    return INSIDE(letters) ? UNICODE_LETTER : INSIDE(numbers) ? UNICODE_NUMBER : INSIDE(blanks) ? UNICODE_BLANK : UNICODE_OTHER;
}`);
