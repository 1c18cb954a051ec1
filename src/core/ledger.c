#include "core/internal.h"

#include <inttypes.h>

static const int64_t NUSD = 1000000000, SECOND_NS = 1000000000;

struct amounts amounts_unlimited(void)
{
    struct amounts a;
    for (int u = 0; u < UNITS; u++)
        a.n[u] = AMOUNT_UNLIMITED;
    return a;
}

const char *unit_name(enum unit u)
{
    static const char *const names[UNITS] = {"nusd", "tokens", "cpu_ns", "calls"};
    return (unsigned)u < UNITS ? names[u] : "unknown";
}

void amounts_print(const struct amounts *a, struct json *into, const char *key)
{
    struct json *o = json_object();
    for (int u = 0; u < UNITS; u++)
        if (a->n[u] && a->n[u] != AMOUNT_UNLIMITED)
            json_put_int(o, unit_name(u), a->n[u]);
    json_put(into, key, o);
}

void caps_print(const struct amounts *a, struct json *into, const char *key)
{
    struct json *o = json_object();
    for (int u = 0; u < UNITS; u++)
        if (a->n[u] != AMOUNT_UNLIMITED)
            json_put_int(o, unit_name(u), a->n[u]);
    json_put(into, key, o);
}

struct amounts amounts_from_json(const struct json *v, int64_t missing)
{
    struct amounts a;
    for (int u = 0; u < UNITS; u++) {
        a.n[u] = json_int(json_get(v, unit_name(u)), missing);
        if (a.n[u] < 0)
            a.n[u] = 0;
    }
    return a;
}

struct amounts amounts_add(struct amounts a, struct amounts b)
{
    for (int u = 0; u < UNITS; u++)
        if (__builtin_add_overflow(a.n[u], b.n[u], &a.n[u]))
            a.n[u] = INT64_MAX;
    return a;
}

bool account_ancestor(struct slice account, size_t i, struct slice *ret)
{
    size_t end = 0;
    for (size_t k = 0; end <= account.n && account.n; k++) {
        size_t next = slice_index(slice_sub(account, end, account.n), '/') + end;
        if (k == i) {
            *ret = slice_sub(account, 0, next);
            return true;
        }
        end = next + 1;
    }
    return false;
}

bool account_ok(struct slice account)
{
    size_t names = 0;
    for (size_t from = 0; from <= account.n; names++) {
        struct slice name = slice_sub(account, from, slice_index(slice_sub(account, from, account.n), '/'));
        if (name.n == 0 || name.n > 64)
            return false;
        for (size_t i = 0; i < name.n; i++) {
            char c = name.p[i];
            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-'))
                return false;
        }
        from += name.n + 1;
    }
    return names <= LEDGER_DEPTH_MAX;
}

bool ledger_clamp(const struct amounts *want, const struct amounts *floor, const struct amounts *left,
                  struct amounts *ret, enum unit *ret_short)
{
    struct amounts got;
    for (int u = 0; u < UNITS; u++) {
        int64_t room = left->n[u] > 0 ? left->n[u] : 0;
        got.n[u] = want->n[u] < room ? want->n[u] : room;
        if (got.n[u] < floor->n[u]) {
            *ret_short = u;
            return false;
        }
    }
    *ret = got;
    return true;
}

/* A decimal number with up to nine digits behind the point, times 10^9. */
static bool parse_nano(struct slice s, int64_t *ret)
{
    size_t point = slice_index(s, '.');
    int64_t whole = 0, part = 0, scale = NUSD;
    struct slice after = slice_sub(s, point + 1, s.n);
    if (s.n && s.p[0] == '-')
        return false;
    if (point && !slice_int(slice_sub(s, 0, point), &whole))
        return false;
    if (point < s.n && (after.n == 0 || after.n > 9 || after.p[0] == '-' || !slice_int(after, &part)))
        return false;
    if (s.n == 0 || whole > INT64_MAX / NUSD - 1)
        return false;
    for (size_t i = 0; i < after.n; i++)
        scale /= 10;
    *ret = whole * NUSD + part * scale;
    return true;
}

static bool parse_one(struct slice word, enum unit *ret_unit, int64_t *ret)
{
    static const struct { struct slice suffix; enum unit unit; } units[] = {
        {SLICE_INIT("tok"), UNIT_TOKENS}, {SLICE_INIT("cpu-s"), UNIT_CPU_NS}, {SLICE_INIT("calls"), UNIT_CALLS}};
    if (word.n > 1 && word.p[0] == '0' && word.p[1] >= '0' && word.p[1] <= '9')
        return false; /* the rest of "1,000tok" */
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!slice_ends(word, units[i].suffix))
            continue;
        struct slice number = slice_sub(word, 0, word.n - units[i].suffix.n);
        *ret_unit = units[i].unit;
        return *ret_unit == UNIT_CPU_NS ? parse_nano(number, ret) : slice_int(number, ret) && *ret >= 0;
    }
    if (slice_starts(word, SLICE("$")))
        word = slice_sub(word, 1, word.n);
    *ret_unit = UNIT_NUSD;
    return parse_nano(word, ret);
}

static bool is_gap(char c)
{
    return c == ' ' || c == ',' || c == '\t';
}

enum err budget_parse(struct slice text, struct amounts *ret, struct error *e)
{
    struct amounts got = *ret;
    bool named[UNITS] = {false};
    size_t words = 0;
    for (size_t i = 0, n = 0; i < text.n; i += n ? n : 1) {
        for (n = 0; i + n < text.n && !is_gap(text.p[i + n]);)
            n++;
        if (n == 0)
            continue;
        struct slice word = slice_sub(text, i, n);
        char clean[61];
        enum unit unit;
        int64_t v;
        one_line(clean, sizeof clean, word);
        if (!parse_one(word, &unit, &v))
            return error_set(e, ERR_USAGE, "'%s' is not a budget; write 5 (dollars), 200000tok, 90cpu-s or 30calls", clean);
        if (named[unit]) /* "5,50" would be fifty dollars */
            return error_set(e, ERR_USAGE, "'%s' is the second amount of its unit in the budget; a fraction is written 5.50",
                             clean);
        named[unit] = true;
        got.n[unit] = v;
        words++;
    }
    if (!words)
        return error_set(e, ERR_USAGE, "an empty budget; write 5 (dollars), 200000tok, 90cpu-s or 30calls");
    *ret = got;
    return OK;
}

static void add_grouped(struct buf *out, int64_t n)
{
    char digits[24];
    int len = 0;
    for (uint64_t v = (uint64_t)n; v || len == 0; v /= 10)
        digits[len++] = (char)('0' + v % 10);
    while (len--) {
        buf_add_char(out, digits[len]);
        if (len && len % 3 == 0)
            buf_add_char(out, ',');
    }
}

void amount_print(enum unit u, int64_t n, struct buf *out)
{
    switch (u) {
    case UNIT_NUSD:
        buf_addf(out, "$%" PRId64 ".%04" PRId64, n / NUSD, n % NUSD / (NUSD / 10000));
        return;
    case UNIT_CPU_NS:
        buf_addf(out, "%" PRId64 ".%" PRId64 " CPU seconds", n / SECOND_NS, n % SECOND_NS / (SECOND_NS / 10));
        return;
    case UNIT_TOKENS:
        add_grouped(out, n);
        buf_add_text(out, n == 1 ? " token" : " tokens");
        return;
    default:
        add_grouped(out, n);
        buf_add_text(out, n == 1 ? " call" : " calls");
    }
}
