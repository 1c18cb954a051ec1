#include "tools/terms.h"

#include <stdio.h>
#include <string.h>

#include "layers/stamp.h"

enum kind { BYTES, TIME, COUNT };

static const struct {
    const char *name;
    enum kind kind;
    uint64_t least, most;
} limits[LIMITS] = {
    [LIMIT_MEMORY] = {"memory", BYTES, 16 << 20, 1LL << 50},
    [LIMIT_CPU] = {"cpu", TIME, 1000, 7LL * 86400 * 1000},
    [LIMIT_TIME] = {"time", TIME, 1000, 7LL * 86400 * 1000},
    [LIMIT_PROCESSES] = {"processes", COUNT, 1, 1 << 20},
    [LIMIT_OPEN_FILES] = {"open-files", COUNT, 16, 1 << 20},
    [LIMIT_FILE_SIZE] = {"file-size", BYTES, 1 << 10, 1LL << 50},
    [LIMIT_FILES] = {"files", COUNT, 100, 1000000000},
    [LIMIT_DISK] = {"disk", BYTES, 1 << 20, 1LL << 50},
    [LIMIT_TMP] = {"tmp", BYTES, 1 << 20, 1LL << 50},
    [LIMIT_OUTPUT] = {"output", BYTES, 1 << 10, JAIL_OUTPUT_MAX},
};

static const struct {
    char letter;
    enum kind kind;
    uint64_t times;
} units[] = {{'K', BYTES, 1 << 10}, {'M', BYTES, 1 << 20}, {'G', BYTES, 1 << 30}, {'T', BYTES, 1LL << 40},
             {'s', TIME, 1000}, {'m', TIME, 60000}, {'h', TIME, 3600000}, {'d', TIME, 86400000}};

const char *limit_name(enum limit l)
{
    return limits[l].name;
}

void limit_print(enum limit l, uint64_t value, struct buf *out)
{
    size_t best = sizeof units / sizeof *units;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == limits[l].kind && value && value % units[i].times == 0)
            best = i;
    if (best < sizeof units / sizeof *units)
        buf_addf(out, "%llu%c", (unsigned long long)(value / units[best].times), units[best].letter);
    else
        buf_addf(out, limits[l].kind == TIME ? "%llu ms" : "%llu", (unsigned long long)value);
}

static bool read_value(enum kind kind, struct slice text, uint64_t *ret)
{
    int64_t v;
    uint64_t times = kind == TIME ? 1000 : 1;
    if (text.n > 1 && kind == BYTES && (text.p[text.n - 1] == 'B' || text.p[text.n - 1] == 'b')) /* 8GB, 8GiB */
        text.n--;
    if (text.n > 1 && kind == BYTES && text.p[text.n - 1] == 'i')
        text.n--;
    for (size_t i = 0; text.n && i < sizeof units / sizeof *units; i++) {
        char c = text.p[text.n - 1];
        bool is = c == units[i].letter || (kind == BYTES && c == (units[i].letter | 0x20));
        if (units[i].kind == kind && is) {
            times = units[i].times;
            text.n--;
            break;
        }
    }
    return slice_int(text, &v) && v > 0 && !__builtin_mul_overflow((uint64_t)v, times, ret);
}

enum err terms_set_limit(struct terms *t, struct slice name, struct slice value, struct error *e)
{
    BUF_CLEANUP struct buf words = BUF_INIT(1024);
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t v = 0;
        if (!slice_is(name, limits[i].name)) {
            buf_addf(&words, "%s%s", words.n ? ", " : "", limits[i].name);
            continue;
        }
        if (!read_value(limits[i].kind, value, &v))
            return error_set(e, ERR_USAGE, "the limit %s wants %s, not '%.*s'", limits[i].name,
                             limits[i].kind == BYTES  ? "a size like 8G or 512M"
                             : limits[i].kind == TIME ? "a time like 90s, 30m or 2h"
                                                      : "a number",
                             SLICE_ARG(slice_sub(value, 0, 40)));
        if (v < limits[i].least || v > limits[i].most) {
            buf_reset(&words);
            limit_print((enum limit)i, limits[i].least, &words);
            buf_add_text(&words, " to ");
            limit_print((enum limit)i, limits[i].most, &words);
            return error_set(e, ERR_USAGE, "the limit %s may be %s", limits[i].name, buf_str(&words));
        }
        t->limits[i] = v;
        return OK;
    }
    return error_set(e, ERR_USAGE, "there is no limit '%.*s'; there are %s", SLICE_ARG(slice_sub(name, 0, 40)), buf_str(&words));
}

enum err terms_add_show(struct terms *t, struct slice path, struct error *e)
{
    for (size_t i = 0; i < t->nshow; i++)
        if (slice_eq(t->show[i], path))
            return OK;
    if (t->nshow == TERMS_SHOW_MAX)
        return error_set(e, ERR_USAGE, "more than %d folders cannot be shown; name one that holds them", TERMS_SHOW_MAX);
    t->show[t->nshow++] = path;
    return OK;
}

enum err terms_merge(struct terms *t, const struct terms *over, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; i < LIMITS; i++)
        if (over->limits[i])
            t->limits[i] = over->limits[i];
    t->browser |= over->browser;
    for (size_t i = 0; !err && i < over->nshow; i++)
        err = terms_add_show(t, over->show[i], e);
    return err;
}

struct json *terms_print(const struct terms *t)
{
    struct json *v = json_object(), *l = json_object(), *show = json_array();
    bool any = t->nshow > 0 || t->browser;
    for (size_t i = 0; i < LIMITS; i++) {
        any |= t->limits[i] != 0;
        if (t->limits[i])
            json_put_int(l, limits[i].name, (int64_t)t->limits[i]);
    }
    for (size_t i = 0; i < t->nshow; i++)
        json_push(show, json_new_text(t->show[i]));
    json_put(v, "limits", l);
    json_put(v, "show", show);
    if (t->browser)
        json_put_bool(v, "browser", true);
    if (any)
        return v;
    json_free(v);
    return NULL;
}

enum err terms_read(const struct json *v, struct arena *a, struct terms *ret, struct error *e)
{
    const struct json *l = json_get(v, "limits"), *show = json_get(v, "show");
    *ret = (struct terms){.browser = json_bool(json_get(v, "browser"), false)};
    for (size_t i = 0; i < LIMITS; i++) {
        int64_t n = json_int(json_get(l, limits[i].name), 0);
        if (n < 0 || (uint64_t)n > limits[i].most || (n && (uint64_t)n < limits[i].least))
            return error_set(e, ERR_CORRUPT, "the run's limit %s is out of bounds", limits[i].name);
        ret->limits[i] = (uint64_t)n;
    }
    for (size_t i = 0; i < json_count(show); i++) {
        struct slice path = arena_copy(a, json_text(json_at(show, i)));
        if (!path.p)
            return error_set(e, ERR_MEMORY, "no memory for a run's terms");
        if (path.n < 2 || (*path.p != '/' && stamp_check_path(path, NULL)) || terms_add_show(ret, path, NULL))
            return error_set(e, ERR_CORRUPT, "what the run shows is not a list of paths");
    }
    return OK;
}

bool terms_names(const struct terms *t, struct slice below)
{
    for (size_t i = 0; i < t->nshow; i++)
        if (slice_within(below, t->show[i]))
            return true;
    return false;
}

uint64_t terms_limit(const struct terms *t, enum limit l, uint64_t otherwise)
{
    return t && t->limits[l] ? t->limits[l] : otherwise;
}
