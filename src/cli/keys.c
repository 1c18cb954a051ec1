#include "cli/keys.h"

#include <string.h>

#include "cli/glyph.h"

enum { SEQUENCE_MAX = 64 };

void keys_init(struct keys *k)
{
    *k = (struct keys){.in = BUF_INIT(KEYS_PENDING_MAX), .paste = BUF_INIT(KEYS_PASTE_MAX)};
}

void keys_release(struct keys *k)
{
    buf_release(&k->in);
    buf_release(&k->paste);
}

size_t keys_room(const struct keys *k)
{
    return KEYS_PENDING_MAX - k->in.n;
}

void keys_feed(struct keys *k, struct slice bytes, int64_t now_ms)
{
    buf_add(&k->in, bytes);
    k->last_ms = now_ms;
}

static void drop(struct keys *k, size_t n)
{
    memmove(k->in.p, k->in.p + n, k->in.n - n);
    k->in.n -= n;
}

int keys_wait_ms(const struct keys *k, int64_t now_ms)
{
    if (!k->in.n && !k->pasting && !k->skipping)
        return -1;
    int64_t left = k->last_ms + (k->pasting ? KEYS_PASTE_MS : KEYS_ESC_MS) - now_ms;
    return left > 0 && left < KEYS_PASTE_MS ? (int)left : 0;
}

/* ---- what sequences mean ---- */

/* A code of the CSI-u protocols, or a byte: keys with names, control characters, or a character. */
static bool from_code(uint32_t code, unsigned mods, struct key *ret)
{
    *ret = (struct key){.mods = mods};
    switch (code) {
    case 13: ret->kind = KEY_ENTER; return true;
    case 9: ret->kind = KEY_TAB; return true;
    case 8: /* fall through */
    case 127: ret->kind = KEY_BACKSPACE; return true;
    case 27: ret->kind = KEY_ESC; return true;
    default: break;
    }
    if (code < 32) {
        ret->mods |= KEY_CTRL;
        code += code >= 1 && code <= 26 ? 'a' - 1 : '@';
    }
    if (glyph_forbidden(code) || (code >= 0xd800 && code < 0xf900) || code > 0x10ffff) /* keys of keypads and media lie in the private area */
        return false;
    if ((ret->mods & KEY_CTRL) && code >= 'A' && code <= 'Z')
        code += 'a' - 'A';
    ret->kind = KEY_CHAR;
    ret->code = code;
    return true;
}

static bool from_tilde(unsigned n, unsigned mods, struct key *ret)
{
    static const enum key_kind kinds[] = {0, KEY_HOME, 0, KEY_DELETE, KEY_END, KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_HOME, KEY_END};
    *ret = (struct key){.mods = mods};
    if (n < sizeof kinds / sizeof *kinds)
        ret->kind = kinds[n];
    return ret->kind;
}

static bool from_final(char final, unsigned mods, struct key *ret)
{
    static const struct { char final; enum key_kind kind; } known[] = {
        {'A', KEY_UP}, {'B', KEY_DOWN}, {'C', KEY_RIGHT}, {'D', KEY_LEFT}, {'H', KEY_HOME}, {'F', KEY_END}, {'M', KEY_ENTER}};
    *ret = (struct key){.mods = mods};
    if (final == 'Z') {
        ret->kind = KEY_TAB;
        ret->mods |= KEY_SHIFT;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].final == final)
            ret->kind = known[i].kind;
    return ret->kind;
}

/* Numbers between ";"; what follows a ":" in one is left out. */
static void parameters(struct slice s, unsigned ret[static 3])
{
    ret[0] = ret[1] = ret[2] = 0;
    size_t n = 0;
    bool sub = false;
    for (size_t i = 0; i < s.n && n < 3; i++) {
        if (s.p[i] == ';') {
            n++;
            sub = false;
        } else if (s.p[i] == ':') {
            sub = true;
        } else if (s.p[i] >= '0' && s.p[i] <= '9' && !sub && ret[n] < 10000000) {
            ret[n] = ret[n] * 10 + (unsigned)(s.p[i] - '0');
        }
    }
}

static bool from_csi(struct keys *k, struct slice body, char final, struct key *ret)
{
    unsigned p[3];
    parameters(body, p);
    unsigned mods = p[1] ? (p[1] - 1) & (KEY_SHIFT | KEY_ALT | KEY_CTRL) : 0;
    if (final == '~' && p[0] == 200) {
        k->pasting = true;
        k->cut = false;
        buf_reset(&k->paste);
        return false;
    }
    if (final == 'u')
        return from_code(p[0], mods, ret);
    if (final == '~' && p[0] == 27 && p[2])
        return from_code(p[2], mods, ret);
    return final == '~' ? from_tilde(p[0], mods, ret) : from_final(final, mods, ret);
}

/* ---- taking them off ---- */

enum taken { TAKEN_NOTHING, TAKEN_BYTES, TAKEN_KEY };

/* `at` is behind "ESC [". More may come unless `late`. */
static enum taken take_csi(struct keys *k, size_t at, bool late, unsigned alt, struct key *ret)
{
    size_t i = at;
    while (i < k->in.n && k->in.p[i] >= 0x20 && k->in.p[i] < 0x40 && i < at + SEQUENCE_MAX)
        i++;
    if (i == k->in.n && !late)
        return TAKEN_NOTHING;
    bool whole = i < k->in.n && k->in.p[i] >= 0x40 && k->in.p[i] < 0x7f;
    bool key = whole && !(i > at && strchr("<=>?", k->in.p[at])) && from_csi(k, slice_sub(buf_slice(&k->in), at, i - at), k->in.p[i], ret);
    drop(k, i + whole);
    if (key)
        ret->mods |= alt;
    return key ? TAKEN_KEY : TAKEN_BYTES;
}

static enum taken take_char(struct keys *k, size_t at, bool late, unsigned alt, struct key *ret)
{
    struct slice s = slice_sub(buf_slice(&k->in), at, k->in.n);
    unsigned char c = (unsigned char)s.p[0];
    size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1, n;
    if (s.n < want && !late)
        return TAKEN_NOTHING;
    uint32_t code = glyph_decode(s, &n);
    bool key = (code != 0xfffd || n == 3) && from_code(code, alt, ret);
    drop(k, at + n);
    return key ? TAKEN_KEY : TAKEN_BYTES;
}

static enum taken take_escape(struct keys *k, bool late, struct key *ret)
{
    unsigned alt = 0;
    size_t at = 1;
    if (k->in.n > 2 && k->in.p[1] == 27 && (k->in.p[2] == '[' || k->in.p[2] == 'O')) { /* Alt with a key that is a sequence */
        alt = KEY_ALT;
        at = 2;
    }
    if (k->in.n == at || (k->in.n == 2 && k->in.p[1] == 27) || (k->in.n > 2 && k->in.p[1] == 27 && !alt)) {
        if (!late && k->in.n <= 2)
            return TAKEN_NOTHING;
        *ret = (struct key){.kind = KEY_ESC};
        drop(k, 1);
        return TAKEN_KEY;
    }
    char c = k->in.p[at];
    if (c == '[' && (k->in.n > at + 1 || !late))
        return take_csi(k, at + 1, late, alt, ret);
    if (c == 'O' && (k->in.n > at + 1 || !late)) {
        if (k->in.n == at + 1)
            return TAKEN_NOTHING;
        bool key = from_final(k->in.p[at + 1], alt, ret);
        drop(k, at + 2);
        return key ? TAKEN_KEY : TAKEN_BYTES;
    }
    bool string = strchr("]P_^X", c) && c;
    if (string && k->in.n == at + 1 && !late)
        return TAKEN_NOTHING;
    if (string && k->in.n > at + 1) {
        k->skipping = true;
        drop(k, at + 1);
        return TAKEN_BYTES;
    }
    return take_char(k, at, late, KEY_ALT, ret);
}

/* A string of the terminal ends with BEL or ESC \, or with any control character. */
static enum taken skip_string(struct keys *k, bool late)
{
    size_t i = 0;
    while (i < k->in.n && (unsigned char)k->in.p[i] >= 0x20)
        i++;
    k->skipping = i == k->in.n && !late;
    if (i < k->in.n && k->in.p[i] == 27 && i + 1 == k->in.n && !late) {
        k->skipping = true;
        drop(k, i);
        return TAKEN_NOTHING;
    }
    bool st = i + 1 < k->in.n && k->in.p[i] == 27 && k->in.p[i + 1] == '\\';
    bool bel = i < k->in.n && k->in.p[i] == 7;
    drop(k, i + (st ? 2 : bel ? 1 : 0));
    return k->skipping ? TAKEN_NOTHING : TAKEN_BYTES;
}

static void add_pasted(struct keys *k, struct slice s)
{
    size_t room = KEYS_PASTE_MAX - k->paste.n;
    if (s.n > room)
        k->cut = true;
    buf_add(&k->paste, slice_sub(s, 0, room));
}

static enum taken take_paste(struct keys *k, int64_t now_ms, struct key *ret)
{
    struct slice in = buf_slice(&k->in), end = SLICE("\033[201~");
    size_t at = slice_find(in, end, 0), keep = 0;
    bool over = at < in.n, late = now_ms - k->last_ms >= KEYS_PASTE_MS;
    if (!over && !late) /* the end may have begun */
        for (keep = in.n < end.n - 1 ? in.n : end.n - 1; keep && !slice_ends(in, slice_sub(end, 0, keep)); keep--)
            ;
    size_t n = over ? at : in.n - keep;
    add_pasted(k, slice_sub(in, 0, n));
    drop(k, n + (over ? end.n : 0));
    if (!over && !late)
        return TAKEN_NOTHING;
    k->pasting = false;
    *ret = (struct key){.kind = KEY_PASTE, .paste = buf_slice(&k->paste), .cut = k->cut};
    return TAKEN_KEY;
}

bool keys_next(struct keys *k, int64_t now_ms, struct key *ret)
{
    enum taken t = TAKEN_BYTES;
    while (t == TAKEN_BYTES && (k->in.n || k->pasting)) {
        bool late = now_ms - k->last_ms >= KEYS_ESC_MS || now_ms < k->last_ms || !keys_room(k);
        if (k->pasting)
            t = take_paste(k, now_ms, ret);
        else if (k->skipping)
            t = skip_string(k, late);
        else if (k->in.p[0] == 27)
            t = take_escape(k, late, ret);
        else
            t = take_char(k, 0, late, 0, ret);
    }
    return t == TAKEN_KEY;
}
