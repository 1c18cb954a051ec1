#include "cli/show.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "cli/screen.h"
#include "cli/story_print.h"
#include "cli/term.h"
#include "view/story.h"
#include "view/view.h"

enum { PAGE_MAX = 256 << 20, FOLLOW_MS = 300 };

/* ---- head and foot ---- */

static bool is_over(enum run_status s) { return s == RUN_DONE || s == RUN_FAILED; }

/* The one line that waits for a person, or NULL. */
static const struct json *stuck_line(const struct json *run)
{
    const struct json *items = json_get(run, "items");
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json *head = json_get(json_at(items, i), "head");
        if (slice_is(json_text(json_get(head, "stage")), "stuck"))
            return head;
    }
    return NULL;
}

static const char *result_words(const struct json *run)
{
    struct slice land = json_text(json_get(run, "land"));
    return json_bool(json_get(run, "attended"), false) ? "a talk; changes go into the folder as they are made"
           : slice_is(land, "step")                    ? "goes into the folder step by step"
           : slice_is(land, "end")                     ? "goes into the folder at the end"
                                                       : "waits for your word before it goes into the folder";
}

void story_head(struct story_look *k, const struct json *run, struct buf *out)
{
    enum run_status status = run_status_from(json_text(json_get(run, "status")));
    int64_t holder = json_int(json_get(run, "holder"), 0);
    BUF_CLEANUP struct buf line = BUF_INIT(4096), took = BUF_INIT(100);
    buf_add(&line, json_text(json_get(run, "id")));
    buf_add_text(&line, "  ");
    style_put(&line, &k->look, STYLE_BOLD, view_status_words(status, holder > 0, false));
    time_print(json_int(json_get(run, "updated_ms"), 0) - json_int(json_get(run, "started_ms"), 0), &took);
    buf_addf(&line, ", in %s", buf_str(&took));
    if (holder)
        buf_addf(&line, " (process %" PRId64 ")", holder);
    buf_add_char(&line, '\n');
    buf_add(out, buf_slice(&line));
    show_field("why", json_text(json_get(run, "why")), out);
    show_field("goal", json_text(json_get(run, "goal")), out);
    show_field("in", json_text(json_get(run, "work")), out);
    show_field("model", json_text(json_get(run, "model")), out);
    show_field("check", json_text(json_get(run, "verify")), out);
    show_field("result", slice_of(result_words(run)), out);
    show_amounts("used", json_get(run, "used"), out);
    show_amounts("assumed", json_get(run, "assumed"), out);
    show_amounts("budget", json_get(run, "budget"), out);
    show_walls(run, out);
    show_field("account", json_text(json_get(run, "account")), out);
    show_field("allowed", SLICE("by the grant of its beginning (version 0), within the budgets on its account"), out);
}

static void add_answer(const struct json *line, struct slice run, struct buf *out)
{
    struct slice kind = json_text(json_get(line, "kind"));
    bool apply = slice_is(json_text(json_get(line, "resume")), stage_name(STAGE_APPLY));
    buf_add_text(out, slice_is(kind, "ask") ? "it asks: " : "it waits: ");
    cli_print_safe(json_text(json_get(line, "why")), out);
    buf_add_char(out, '\n');
    if (apply)
        buf_addf(out, "  crannog diff %.*s    crannog apply %.*s\n", SLICE_ARG(run), SLICE_ARG(run));
    if (slice_is(kind, "ask"))
        buf_addf(out, "  crannog answer %.*s \"your words\"\n", SLICE_ARG(run));
    else
        buf_addf(out, "  crannog answer %.*s %.*s\n", SLICE_ARG(run), SLICE_ARG(json_text(json_get(line, "answers"))));
}

void story_foot(struct story_look *k, const struct json *run, struct buf *out)
{
    const struct json *line = stuck_line(run);
    struct slice id = json_text(json_get(run, "id"));
    enum run_status status = run_status_from(json_text(json_get(run, "status")));
    bool attended = json_bool(json_get(run, "attended"), false), held = json_int(json_get(run, "holder"), 0) > 0;
    buf_add_char(out, '\n');
    if (line)
        add_answer(line, id, out);
    else if (attended && !held && !is_over(status))
        buf_addf(out, "crannog -c %.*s goes on with this talk\n", SLICE_ARG(id));
    else if (!held && status == RUN_BLOCKED)
        buf_addf(out, "`crannog spend set` gives it more; then the same `crannog run` goes on\n");
    else if (!held && !is_over(status))
        buf_add_text(out, "the same `crannog run` goes on with it\n");
    const struct json *back = json_get(run, "taken_back");
    for (size_t i = 0; i < json_count(back); i++)
        buf_addf(out, "%.*s takes changes of it back: %s\n", SLICE_ARG(json_text(json_get(json_at(back, i), "run"))),
                 view_status_words(run_status_from(json_text(json_get(json_at(back, i), "status"))), false, true));
    if (json_count(json_get(run, "undos")) && !json_count(back))
        buf_addf(out, "crannog undo %.*s takes its changes back\n", SLICE_ARG(id));
    if (k->cut)
        buf_addf(out, "crannog show %.*s --all shows whole outputs and why each step was allowed\n", SLICE_ARG(id));
}

/* ---- the whole ---- */

static struct story_look look_of(const struct show_options *o)
{
    bool terminal = isatty(STDOUT_FILENO);
    return (struct story_look){.look = {screen_color_wanted(STDOUT_FILENO), screen_utf8_wanted()}, .width = cli_columns(STDOUT_FILENO),
                               .markdown = terminal, .all = o->all};
}

static int print_whole(struct cli *c, struct store *s, uint64_t run, const struct show_options *o)
{
    JSON_CLEANUP struct json *v = NULL;
    BUF_CLEANUP struct buf out = BUF_INIT(PAGE_MAX);
    struct error e = {0};
    struct story_look k = look_of(o);
    enum err err = view_story(s, run, &v, &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    if (c->json) {
        cli_print_json(v);
        return EXIT_DONE;
    }
    story_head(&k, v, &out);
    for (size_t i = 0; i < json_count(json_get(v, "entries")); i++)
        story_entry(&k, json_at(json_get(v, "entries"), i), &out);
    story_foot(&k, v, &out);
    err = buf_check(&out, "the story of the run", &e);
    if (err)
        return cli_fail(&e);
    if (!isatty(STDOUT_FILENO) || !cli_paged(buf_slice(&out)))
        fwrite(out.p, 1, out.n, stdout);
    return EXIT_DONE;
}

/* ---- as it comes ---- */

/* Prints what is new; an entry a line where JSON is wanted. */
static enum err print_new(struct cli *c, struct story *t, struct story_look *k, struct error *e)
{
    JSON_CLEANUP struct json *entries = json_array();
    enum err err = story_tell(t, entries, e);
    for (size_t i = 0; !err && i < json_count(entries); i++) {
        BUF_CLEANUP struct buf out = BUF_INIT(PAGE_MAX);
        if (c->json)
            cli_print_json(json_at(entries, i));
        else
            story_entry(k, json_at(entries, i), &out);
        fwrite(buf_str(&out), 1, out.n, stdout);
    }
    fflush(stdout);
    return err;
}

/* Whether anything comes without a person: it is worked on and not at rest. */
static bool goes_on(const struct json *run)
{
    enum run_status s = run_status_from(json_text(json_get(run, "status")));
    return json_int(json_get(run, "holder"), 0) > 0 && (s == RUN_ACTIVE || s == RUN_STOPPED);
}

static int follow(struct cli *c, struct store *s, uint64_t run, const struct show_options *o)
{
    struct error e = {0};
    struct story t;
    struct story_look k = look_of(o);
    bool first = true, more = true;
    enum err err = OK;
    story_init(&t, s, run);
    while (!err && more) {
        JSON_CLEANUP struct json *v = NULL;
        BUF_CLEANUP struct buf out = BUF_INIT(1 << 20);
        err = view_run(s, run, &v, &e); /* before the entries: what comes between the two is not missed */
        more = !err && goes_on(v);
        if (!err && first && !c->json)
            story_head(&k, v, &out);
        fwrite(buf_str(&out), 1, out.n, stdout);
        first = false;
        if (!err)
            err = print_new(c, &t, &k, &e);
        buf_reset(&out);
        if (!err && !more && !c->json)
            story_foot(&k, v, &out);
        fwrite(buf_str(&out), 1, out.n, stdout);
        if (!err && more && (ferror(stdout) || sys->poll(NULL, 0, FOLLOW_MS) < 0))
            more = !ferror(stdout);
    }
    story_release(&t);
    store_close(s);
    return err ? cli_fail(&e) : EXIT_DONE;
}

int show_story(struct cli *c, struct store *s, uint64_t run, const struct show_options *o)
{
    return o->follow ? follow(c, s, run, o) : print_whole(c, s, run, o);
}
