#include "cli/story_print.h"

#include <inttypes.h>
#include <time.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "cli/markdown.h"
#include "view/view.h"

enum { ARGUMENTS_MAX = 32 << 20, DETAIL_MAX = 32 << 20, CALL_ARENA = 64 << 20, TITLE_MAX = 200 };

/* ---- pieces of lines ---- */

static void line_end(const struct story_look *k, struct buf *line, struct buf *out)
{
    cli_fit(line, k->width);
    buf_add(out, buf_slice(line));
    buf_add_char(out, '\n');
    buf_reset(line);
}

/* A line of somebody else's: safe, tabs as blanks. */
static void add_safe(struct slice s, struct buf *out)
{
    while (s.n) {
        size_t n = slice_index(s, '\t');
        cli_print_safe(slice_sub(s, 0, n), out);
        buf_add_text(out, n < s.n ? "    " : "");
        s = slice_sub(s, n + 1, s.n);
    }
}

/* Lines behind a margin; of many only the first few, unless all are wanted. */
static void add_lines(struct story_look *k, const char *margin, struct slice text, bool is_diff, struct buf *out)
{
    BUF_CLEANUP struct buf line = BUF_INIT(8 * (size_t)DETAIL_MAX);
    struct slice one, rest = text;
    size_t n = 0, left = 0;
    while (slice_line(&rest, &one)) {
        if (!k->all && n++ >= STORY_LINES) {
            left++;
            continue;
        }
        style_put(&line, &k->look, STYLE_GREY, margin);
        style_add(&line, &k->look, is_diff ? diff_style(one) : 0);
        add_safe(one, &line);
        style_add(&line, &k->look, 0);
        line_end(k, &line, out);
    }
    if (left) {
        buf_addf(&line, "%s%s %zu more line%s", margin, sign(&k->look, "…", "..."), left, left == 1 ? "" : "s");
        style_add(out, &k->look, STYLE_GREY);
        line_end(k, &line, out);
        style_add(out, &k->look, 0);
        k->cut = true;
    }
}

/* What was said, whole. */
static void add_said(struct story_look *k, struct slice text, bool markdown, struct buf *out)
{
    BUF_CLEANUP struct buf drawn = BUF_INIT(8 * (size_t)DETAIL_MAX);
    struct slice rest = text, line;
    bool draws = k->markdown && markdown;
    if (draws) {
        struct markdown m;
        markdown_init(&m, &k->look, k->width > 24 ? k->width - 2 : k->width);
        markdown_feed(&m, text, &drawn);
        markdown_end(&m, &drawn);
        markdown_release(&m);
        rest = buf_slice(&drawn);
    }
    while (slice_line(&rest, &line)) {
        buf_add_text(out, line.n ? "  " : "");
        if (draws)
            buf_add(out, line); /* it went through the filter of cli/glyph.h */
        else
            add_safe(line, out);
        buf_add_char(out, '\n');
    }
}

static void add_amounts(const struct json *v, struct buf *out)
{
    bool any = false;
    for (int u = 0; u < UNITS; u++)
        if (json_get(v, unit_name(u))) {
            buf_add_text(out, any ? ", " : "");
            any = true;
            amount_print(u, json_int(json_get(v, unit_name(u)), 0), out);
        }
}

/* " · " between the parts of a summary. */
static void part(const struct story_look *k, struct buf *out)
{
    buf_add_text(out, out->n ? sign(&k->look, " · ", ", ") : "");
}

static void add_took(const struct story_look *k, const struct json *e, struct buf *out)
{
    int64_t ms = json_int(json_get(e, "took_ms"), 0);
    if (ms < 100)
        return;
    part(k, out);
    buf_addf(out, "%.1f s", (double)ms / 1000);
}

/* The time in front of what somebody says, and of what happens to the run. */
static void add_time(struct story_look *k, const struct json *e, struct buf *line)
{
    time_t then = (time_t)(json_int(json_get(e, "time_ms"), 0) / 1000);
    struct tm tm = {0};
    char text[32] = "";
    if (localtime_r(&then, &tm))
        strftime(text, sizeof text, tm.tm_yday + 366 * tm.tm_year != k->day ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm);
    k->day = tm.tm_yday + 366 * tm.tm_year;
    style_put(line, &k->look, STYLE_GREY, text);
    buf_add_text(line, "  ");
}

static void headline(struct story_look *k, const struct json *e, unsigned style, const char *who, struct slice rest, struct buf *out)
{
    BUF_CLEANUP struct buf line = BUF_INIT(64 * 1024);
    buf_add_char(out, '\n');
    add_time(k, e, &line);
    style_put(&line, &k->look, style, who);
    if (rest.n) {
        buf_add_text(&line, "  ");
        style_add(&line, &k->look, STYLE_GREY);
        add_safe(slice_sub(rest, 0, slice_index(rest, '\n')), &line);
        style_add(&line, &k->look, 0);
    }
    line_end(k, &line, out);
}

/* "· bash make test  (2 lines · 0.4 s)" */
static void act_line(struct story_look *k, enum agent_end how, const char *name, struct slice title, struct slice summary, struct buf *out)
{
    static const unsigned styles[] = {[AGENT_OK] = STYLE_GREEN, [AGENT_FAILED] = STYLE_RED, [AGENT_STOPPED] = STYLE_YELLOW};
    BUF_CLEANUP struct buf line = BUF_INIT(64 * 1024), tail = BUF_INIT(1024);
    const char *mark = how == AGENT_OK ? sign(&k->look, "·", ".") : how == AGENT_FAILED ? "!" : "-";
    if (summary.n)
        buf_addf(&tail, "  (%.*s)", SLICE_ARG(summary));
    buf_add_text(&line, "  ");
    style_put(&line, &k->look, styles[how], mark);
    buf_add_char(&line, ' ');
    style_add(&line, &k->look, STYLE_BOLD);
    add_safe(slice_of(name), &line);
    style_add(&line, &k->look, 0);
    buf_add_text(&line, title.n ? " " : "");
    add_safe(slice_sub(title, 0, TITLE_MAX), &line);
    size_t room = glyph_columns(buf_slice(&tail), &k->look);
    cli_fit(&line, k->width == SIZE_MAX || k->width < room + 20 ? k->width : k->width - room);
    style_put(&line, &k->look, STYLE_GREY, buf_str(&tail));
    buf_add(out, buf_slice(&line));
    buf_add_char(out, '\n');
}

/* ---- why it was allowed ---- */

static void add_allowed(struct story_look *k, const struct json *e, struct buf *out)
{
    const struct json *a = json_get(e, "allowed");
    BUF_CLEANUP struct buf line = BUF_INIT(4096);
    if (!a || !json_count(json_get(a, "reserved")))
        return;
    style_add(&line, &k->look, STYLE_GREY);
    buf_add_text(&line, k->all ? "    allowed: " : "  allowed: ");
    add_amounts(json_get(a, "reserved"), &line);
    if (json_count(json_get(a, "left"))) {
        buf_add_text(&line, " of ");
        add_amounts(json_get(a, "left"), &line);
        buf_add_text(&line, " left");
    }
    if (k->all) {
        buf_addf(&line, "; grant %" PRId64 ", ", json_int(json_get(a, "grant"), 0));
        add_safe(json_text(json_get(a, "account")), &line);
    }
    style_add(&line, &k->look, 0);
    line_end(k, &line, out);
}

/* ---- kinds ---- */

static bool is(const struct json *e, const char *key, const char *value) { return slice_is(json_text(json_get(e, key)), value); }

static enum agent_end how_of(const struct json *e)
{
    return is(e, "outcome", "cancelled") || is(e, "outcome", "lost") || json_bool(json_get(e, "open"), false) ? AGENT_STOPPED
           : is(e, "outcome", "ok") && json_bool(json_get(e, "ok"), true)                                    ? AGENT_OK
                                                                                                             : AGENT_FAILED;
}

/* What went wrong, and what comes of it. */
static void add_why(struct story_look *k, const struct json *e, struct buf *out)
{
    BUF_CLEANUP struct buf line = BUF_INIT(8192);
    struct slice why = json_text(json_get(e, "why"));
    if (is(e, "outcome", "ok") || (!why.n && json_bool(json_get(e, "open"), false)))
        return;
    buf_add_text(&line, "    ");
    style_add(&line, &k->look, is(e, "outcome", "cancelled") ? STYLE_YELLOW : STYLE_RED);
    add_safe(json_text(json_get(e, "outcome")), &line);
    buf_add_text(&line, why.n ? ": " : "");
    add_safe(why, &line);
    if (json_bool(json_get(e, "final"), false))
        buf_add_text(&line, "; not tried again by itself");
    else if (json_get(e, "after_ms"))
        buf_addf(&line, "; the server asks to wait %.1f s", (double)json_int(json_get(e, "after_ms"), 0) / 1000);
    else if (is(e, "outcome", "lost"))
        buf_add_text(&line, "; done again");
    style_add(&line, &k->look, 0);
    line_end(k, &line, out);
}

static void add_money(const struct story_look *k, const struct json *e, struct buf *out)
{
    const struct json *used = json_get(e, "used");
    int64_t nusd = json_int(json_get(used, "nusd"), 0);
    bool assumed = is(e, "how", "assumed");
    if (nusd > 0) {
        part(k, out);
        amount_print(UNIT_NUSD, nusd, out);
    }
    if (assumed && json_count(used)) {
        part(k, out);
        amount_print(UNIT_TOKENS, json_int(json_get(used, "tokens"), 0), out);
        buf_add_text(out, " assumed");
    }
}

/* "1,200 tokens in (800 cached) · 50 out · $0.0031 · 2.1 s" */
static void model_summary(const struct story_look *k, const struct json *e, struct buf *out)
{
    int64_t in = json_int(json_get(e, "in"), 0), cached = json_int(json_get(e, "cache_read"), 0), made = json_int(json_get(e, "out"), 0);
    if (in || made) {
        amount_print(UNIT_TOKENS, in, out);
        buf_add_text(out, " in");
        if (cached)
            buf_addf(out, " (%" PRId64 " cached)", cached);
        buf_addf(out, "%s%" PRId64 " out", sign(&k->look, " · ", ", "), made);
    }
    add_money(k, e, out);
    add_took(k, e, out);
}

static void print_model(struct story_look *k, const struct json *e, struct buf *out)
{
    BUF_CLEANUP struct buf summary = BUF_INIT(4096);
    model_summary(k, e, &summary);
    if (json_bool(json_get(e, "open"), false))
        buf_add_text(&summary, "is asked now");
    headline(k, e, STYLE_BOLD | STYLE_MAGENTA, "model", buf_slice(&summary), out);
    add_allowed(k, e, out);
    if (k->all && json_get(e, "thought"))
        add_lines(k, sign(&k->look, "  ~ ", "  ~ "), json_text(json_get(e, "thought")), false, out);
    add_said(k, json_text(json_get(e, "text")), true, out);
    add_why(k, e, out);
    const struct json *calls = json_get(e, "calls");
    for (size_t i = 0; i < json_count(calls); i++) {
        struct slice q = json_text(json_get(json_at(calls, i), "question"));
        if (q.n)
            act_line(k, AGENT_STOPPED, "asks", q, SLICE_NONE, out);
    }
}

static void act_summary(const struct story_look *k, const struct json *e, struct buf *out)
{
    int64_t added = json_int(json_get(e, "added"), -1), removed = json_int(json_get(e, "removed"), -1), lines = json_int(json_get(e, "lines"), -1),
            changes = json_int(json_get(e, "changes"), 0), status = json_int(json_get(e, "status"), 0);
    if (added >= 0 && removed >= 0)
        buf_addf(out, "+%" PRId64 " -%" PRId64, added, removed);
    else if (changes > 0)
        buf_addf(out, "%" PRId64 " change%s", changes, changes == 1 ? "" : "s");
    else if (lines >= 0)
        buf_addf(out, "%" PRId64 " line%s", lines, lines == 1 ? "" : "s");
    if (status) {
        part(k, out);
        buf_addf(out, "status %" PRId64, status);
    }
    if (json_bool(json_get(e, "open"), false)) {
        part(k, out);
        buf_add_text(out, "under way");
    }
    add_took(k, e, out);
}

static void call_words(const struct json *e, struct buf *title, struct buf *detail)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    BUF_CLEANUP struct buf args = BUF_INIT(ARGUMENTS_MAX);
    struct tool_call c;
    struct slice text = json_text(json_get(e, "text"));
    if (json_type(json_get(e, "arguments")) == JSON_OBJECT)
        json_print(json_get(e, "arguments"), &args);
    bool known = args.n && tool_call_parse(json_text(json_get(e, "tool")), buf_slice(&args), &a, &c, NULL) == OK;
    if (known)
        agent_title(&c, title);
    if (known && how_of(e) == AGENT_OK)
        agent_detail(&c, text, detail);
    else
        buf_add(detail, text);
}

static void print_call(struct story_look *k, const struct json *e, struct buf *out)
{
    BUF_CLEANUP struct buf title = BUF_INIT(4096), detail = BUF_INIT(DETAIL_MAX), summary = BUF_INIT(4096), tool = BUF_INIT(4096);
    call_words(e, &title, &detail);
    act_summary(k, e, &summary);
    buf_add(&tool, json_text(json_get(e, "tool")));
    act_line(k, how_of(e), buf_str(&tool), buf_slice(&title), buf_slice(&summary), out);
    if (k->all)
        add_allowed(k, e, out);
    add_why(k, e, out);
    add_lines(k, sign(&k->look, "    │ ", "    | "), buf_slice(&detail), is(e, "tool", "edit") || is(e, "tool", "write"), out);
    if (k->all && json_get(e, "output")) {
        BUF_CLEANUP struct buf line = BUF_INIT(4096);
        buf_addf(&line, "    (cut for the model; whole: crannog show --blob %.*s)", SLICE_ARG(json_text(json_get(e, "output"))));
        buf_add_char(&line, '\n');
        buf_add(out, buf_slice(&line));
    }
}

/* A check, a commit, a landing, a compaction: a line, and why where it went wrong. */
static void print_act(struct story_look *k, const struct json *e, const char *name, struct slice title, struct buf *out)
{
    BUF_CLEANUP struct buf summary = BUF_INIT(4096);
    act_summary(k, e, &summary);
    if (json_get(e, "in"))
        model_summary(k, e, &summary);
    act_line(k, how_of(e), name, title, buf_slice(&summary), out);
    if (k->all)
        add_allowed(k, e, out);
    add_why(k, e, out);
}

static void print_check(struct story_look *k, const struct json *e, struct buf *out)
{
    print_act(k, e, "check", json_text(json_get(e, "command")), out);
    if (how_of(e) == AGENT_FAILED)
        add_lines(k, sign(&k->look, "    │ ", "    | "), json_text(json_get(e, "text")), false, out);
}

static void print_landing(struct story_look *k, const struct json *e, struct buf *out)
{
    BUF_CLEANUP struct buf title = BUF_INIT(4096);
    int64_t n = json_int(json_get(e, "landed"), 0);
    if (is(e, "outcome", "ok"))
        buf_addf(&title, "%" PRId64 " path%s, now in the folder", n, n == 1 ? "" : "s");
    print_act(k, e, "landing", buf_slice(&title), out);
    const struct json *left = json_get(e, "left");
    for (size_t i = 0; i < json_count(left); i++) {
        const struct json *one = json_at(left, i);
        BUF_CLEANUP struct buf line = BUF_INIT(16384);
        buf_add_text(&line, "    left: ");
        add_safe(json_type(one) == JSON_TEXT ? json_text(one) : json_text(json_get(one, "path")), &line);
        buf_add_text(&line, json_get(one, "why") ? "  " : "");
        add_safe(json_text(json_get(one, "why")), &line);
        line_end(k, &line, out);
    }
}

static void print_quiet(struct story_look *k, const struct json *e, struct buf *out)
{
    if (k->all || !is(e, "outcome", "ok")) {
        BUF_CLEANUP struct buf name = BUF_INIT(200);
        buf_add(&name, json_text(json_get(e, "kind")));
        print_act(k, e, buf_str(&name), SLICE_NONE, out);
    }
}

static void print_instructions(struct story_look *k, const struct json *e, struct buf *out)
{
    BUF_CLEANUP struct buf title = BUF_INIT(4096);
    const struct json *files = json_get(e, "files");
    for (size_t i = 0; i < json_count(files) && title.n < 1000; i++) {
        buf_add_text(&title, i ? ", " : "");
        buf_add(&title, json_text(json_at(files, i)));
    }
    int64_t skills = json_int(json_get(e, "skills"), 0);
    if (skills)
        buf_addf(&title, "%s%" PRId64 " skill%s", title.n ? ", " : "", skills, skills == 1 ? "" : "s");
    if (k->all || title.n || !is(e, "outcome", "ok"))
        print_act(k, e, "reads", title.n ? buf_slice(&title) : SLICE("no instructions"), out);
}

/* What happens to the run as a whole. */
static void print_event(struct story_look *k, const struct json *e, struct buf *out)
{
    static const struct { const char *kind, *words; unsigned style; } known[] = {
        {"continued", "gone on with", STYLE_CYAN}, {"stopped", "stopped", STYLE_YELLOW}, {"blocked", "out of budget", STYLE_RED},
        {"ended", "ended", STYLE_GREEN}, {"rewound", "taken back", STYLE_YELLOW}, {"model_changed", "another model", STYLE_CYAN},
        {"compact_wanted", "to be made shorter", STYLE_CYAN},
        {"service_ended", "service ended", STYLE_CYAN}, {"service_opened", "service opened", STYLE_CYAN}};
    BUF_CLEANUP struct buf rest = BUF_INIT(8192);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!is(e, "kind", known[i].kind))
            continue;
        buf_add(&rest, json_text(json_get(e, "why")));
        buf_add(&rest, json_text(json_get(e, "status")));
        if (is(e, "kind", "model_changed"))
            buf_add(&rest, json_text(json_get(e, json_get(e, "name") ? "name" : "model")));
        if (is(e, "kind", "service_ended"))
            buf_addf(&rest, "%.*s %.*s", SLICE_ARG(json_text(json_get(e, "name"))), SLICE_ARG(json_text(json_get(e, "how"))));
        if (is(e, "kind", "service_opened"))
            buf_addf(&rest, "%.*s at http://127.0.0.1:%" PRId64, SLICE_ARG(json_text(json_get(e, "name"))), json_int(json_get(e, "at"), 0));
        if (is(e, "kind", "rewound"))
            buf_addf(&rest, "to turn %" PRId64, json_int(json_get(e, "turns"), 0));
        headline(k, e, known[i].style, known[i].words, buf_slice(&rest), out);
    }
}

static void print_said(struct story_look *k, const struct json *e, struct buf *out)
{
    bool command = is(e, "when", "command"), later = is(e, "when", "later"), answer = is(e, "kind", "answered");
    struct slice text = json_text(json_get(e, "text"));
    int64_t images = json_int(json_get(e, "images"), 0);
    headline(k, e, STYLE_BOLD | STYLE_CYAN, answer ? "you answered" : command ? "you ran" : "you", later ? SLICE("for when it has ended its turn") : SLICE_NONE, out);
    add_said(k, text.n ? text : json_text(json_get(e, "answer")), false, out);
    if (images)
        buf_addf(out, "  (%" PRId64 " picture%s)\n", images, images == 1 ? "" : "s");
}

void story_entry(struct story_look *k, const struct json *e, struct buf *out)
{
    if (is(e, "kind", "started"))
        return; /* the head has it */
    if (is(e, "kind", "said") || is(e, "kind", "answered"))
        print_said(k, e, out);
    else if (is(e, "kind", "model"))
        print_model(k, e, out);
    else if (is(e, "kind", "call"))
        print_call(k, e, out);
    else if (is(e, "kind", "check"))
        print_check(k, e, out);
    else if (is(e, "kind", "landing"))
        print_landing(k, e, out);
    else if (is(e, "kind", "commit"))
        print_act(k, e, "commit", json_text(json_get(e, "commit")), out);
    else if (is(e, "kind", "compact"))
        print_act(k, e, "made shorter", is(e, "made", "model") ? SLICE("by the model") : SLICE("as a list of what was said"), out);
    else if (is(e, "kind", "instructions"))
        print_instructions(k, e, out);
    else if (is(e, "kind", "survey") || is(e, "kind", "squash"))
        print_quiet(k, e, out);
    else
        print_event(k, e, out);
}
