#include "door/retry.h"

#include <string.h>
#include <strings.h>
#include <time.h>

static bool is_name(struct slice s, const char *name)
{
    return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

static int64_t clamp(int64_t ms)
{
    return ms < 0 ? 0 : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

/* Decimal digits, and a fraction that some servers write ("0.5"); -1 for anything else. */
static int64_t read_number(struct slice s, int64_t unit_ms)
{
    size_t dot = slice_index(s, '.');
    int64_t whole, ms = 0;
    struct slice rest = slice_sub(s, dot + 1, s.n);
    if (!dot || s.p[0] == '-' || dot > 12 || !slice_int(slice_sub(s, 0, dot), &whole))
        return -1;
    for (size_t i = 0, worth = (size_t)unit_ms / 10; i < rest.n; i++, worth /= 10) {
        if (rest.p[i] < '0' || rest.p[i] > '9')
            return -1;
        ms += (int64_t)worth * (rest.p[i] - '0');
    }
    return clamp(whole > RETRY_MAX_MS ? RETRY_MAX_MS : whole * unit_ms + ms);
}

static int64_t read_date(struct slice s, int64_t now_ms)
{
    char text[64];
    struct tm t = {0};
    if (!s.n || s.n >= sizeof text)
        return -1;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S", &t);
    if (!end || (strcmp(end, " GMT") != 0 && strcmp(end, " UTC") != 0))
        return -1;
    time_t at = timegm(&t);
    if (at < 0 || at > 100000000000)
        return -1;
    return clamp((int64_t)at * 1000 - now_ms);
}

int64_t retry_read(struct slice line, int64_t now_ms, bool *ret_exact)
{
    size_t colon = slice_index(line, ':');
    struct slice name = slice_sub(line, 0, colon), value = slice_trim(slice_sub(line, colon + 1, line.n));
    *ret_exact = is_name(name, "retry-after-ms");
    if (*ret_exact)
        return read_number(value, 1);
    if (!is_name(name, "retry-after"))
        return -1;
    int64_t ms = read_number(value, 1000);
    return ms >= 0 ? ms : read_date(value, now_ms);
}
