/* Talks that were: which of this folder, and what was said in one. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/pick.h"
#include "cli/talk.h"
#include "context/tools.h"
#include "view/turn.h"
#include "view/view.h"

enum { TALKS_MAX = 500, REPLAY_TURNS = 40, ENTRIES_MAX = 5000 };

void talk_turn_text(struct store *s, const struct talk_turn *turn, size_t max, struct buf *out)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn t;
    size_t from = out->n;
    if (turn_read(s, &turn->blob, &a, &t, NULL))
        return;
    for (size_t i = 0; i < t.n && out->n - from < max; i++)
        if (t.parts[i].kind == PART_TEXT)
            buf_add(out, slice_sub(t.parts[i].text, 0, max - (out->n - from)));
        else if (t.parts[i].kind == PART_IMAGE)
            buf_add_text(out, "[picture] ");
}

/* ---- which one ---- */

struct talks {
    struct arena *a;
    const struct talking *t;
    struct pick_item items[TALKS_MAX];
    uint64_t ids[TALKS_MAX];
    int64_t updated[TALKS_MAX];
    size_t n;
};

static void put(struct talks *k, size_t at, const struct run_row *r)
{
    BUF_CLEANUP struct buf detail = BUF_INIT(400);
    buf_addf(&detail, "r%llu, ", (unsigned long long)r->id);
    time_print(sys->now_ms() - r->updated_ms, &detail);
    buf_addf(&detail, " ago, %s", r->status == RUN_STOPPED ? "stopped" : r->status == RUN_ACTIVE ? "interrupted" : view_status_words(r->status, false, false));
    k->ids[at] = r->id;
    k->updated[at] = r->updated_ms;
    k->items[at] = (struct pick_item){arena_copy(k->a, slice_sub(r->goal, 0, 200)), arena_copy(k->a, buf_slice(&detail))};
}

/* Newest first; of very many the oldest are left out. */
static void take_row(void *ctx, const struct run_row *r)
{
    struct talks *k = ctx;
    bool here = r->work_dev == (uint64_t)k->t->job.st.st_dev && r->work_ino == (uint64_t)k->t->job.st.st_ino;
    size_t at = 0;
    if (!here || !slice_is(r->plan_path, AGENT_PLAN_PATH))
        return;
    while (at < k->n && k->updated[at] >= r->updated_ms)
        at++;
    if (at == TALKS_MAX)
        return;
    size_t moved = (k->n < TALKS_MAX ? k->n : TALKS_MAX - 1) - at;
    memmove(k->items + at + 1, k->items + at, moved * sizeof *k->items);
    memmove(k->ids + at + 1, k->ids + at, moved * sizeof *k->ids);
    memmove(k->updated + at + 1, k->updated + at, moved * sizeof *k->updated);
    put(k, at, r);
    k->n += k->n < TALKS_MAX;
}

enum err talk_find(struct talking *t, bool pick, uint64_t *ret, struct error *e)
{
    static struct talks k; /* large */
    long which = 0;
    k = (struct talks){.a = &t->arena, .t = t};
    *ret = 0;
    enum err err = run_each(t->s.store, take_row, &k, e);
    if (err || !k.n)
        return err;
    if (pick)
        pick_run(STDIN_FILENO, STDOUT_FILENO, NULL, SLICE("Go on with which talk?"), k.items, k.n, &which);
    if (which < 0)
        return error_set(e, ERR_CANCELLED, "nothing was chosen");
    *ret = k.ids[which];
    return OK;
}

/* ---- what was said ---- */

static void replay_call(struct talking *t, const struct transcript_part *p, uint64_t id, enum screen_act how)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    struct tool_call c;
    bool known = !p->malformed && tool_call_parse(p->name, p->text, &a, &c, NULL) == OK;
    struct slice about = !known ? SLICE_NONE : c.tool == TOOL_BASH ? c.command : c.tool == TOOL_ASK ? c.question : c.tool == TOOL_SERVE ? c.name : c.path;
    screen_act_begin(t->screen, id, p->name, slice_sub(about, 0, slice_index(about, '\n')));
    screen_act_end(t->screen, id, how, SLICE_NONE, SLICE_NONE);
}

/* How a call of the turn before `from` ended. One without a result was stopped; the one that is next is still to be done. */
static bool call_ended(struct talking *t, struct slice call_id, size_t from, enum screen_act *ret)
{
    const struct talk *talk = run_talk(&t->s.run->state);
    *ret = SCREEN_STOPPED;
    for (size_t i = from; i < talk->nturns && (talk->turns[i].kind == TALK_RESULT || talk->turns[i].kind == TALK_NOTE); i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
        struct transcript_turn tr;
        if (turn_read(t->s.store, &talk->turns[i].blob, &a, &tr, NULL))
            continue;
        for (size_t k = 0; k < tr.n; k++)
            if (tr.parts[k].kind == PART_RESULT && slice_eq(tr.parts[k].id, call_id)) {
                *ret = tr.parts[k].is_error ? SCREEN_FAILED : SCREEN_OK;
                return true;
            }
    }
    return from < talk->nturns || talk->next >= talk->ncalls;
}

static void replay_turn(struct talking *t, const struct talk_turn *turn, size_t index)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn tr;
    if (turn->kind == TALK_RESULT || turn->kind == TALK_NOTE || turn_read(t->s.store, &turn->blob, &a, &tr, NULL))
        return;
    for (size_t i = 0; i < tr.n; i++) {
        const struct transcript_part *p = &tr.parts[i];
        enum screen_act how;
        if (p->kind == PART_CALL && call_ended(t, p->id, index + 1, &how))
            replay_call(t, p, (uint64_t)index * TRANSCRIPT_PARTS_MAX + i + 1, how);
        else if (p->kind == PART_CALL)
            continue;
        else if (p->kind == PART_TEXT && turn->kind == TALK_SAID)
            screen_said(t->screen, p->text);
        else if (p->kind == PART_TEXT)
            screen_markdown(t->screen, p->text);
    }
}

void talk_replay(struct talking *t)
{
    const struct talk *talk = run_talk(&t->s.run->state);
    size_t from = talk->nturns > REPLAY_TURNS ? talk->nturns - REPLAY_TURNS : 0;
    if (from) {
        BUF_CLEANUP struct buf text = BUF_INIT(200);
        buf_addf(&text, "(%zu turns before; crannog show r%llu has all)", from, (unsigned long long)t->s.run->state.id);
        screen_note(t->screen, buf_slice(&text));
    }
    for (size_t i = from; i < talk->nturns; i++)
        replay_turn(t, &talk->turns[i], i);
    t->seen = talk->nturns;
}

/* ---- files for the edit box ---- */

void talk_complete_files(const char *work, struct slice prefix, struct complete_list *ret)
{
    BUF_CLEANUP struct buf path = BUF_INIT(PATH_MAX), name = BUF_INIT(PATH_MAX);
    size_t cut = slice_last_part(prefix), seen = 0;
    struct slice folder = slice_sub(prefix, 0, cut), part = slice_sub(prefix, cut, prefix.n);
    buf_addf(&path, "%s/%.*s", slice_starts(folder, SLICE("/")) ? "" : work, SLICE_ARG(folder));
    DIR *d = buf_ok(&path) ? opendir(buf_str(&path)) : NULL;
    for (struct dirent *f; d && ret->n < COMPLETE_MAX && (f = readdir(d)) && seen++ < ENTRIES_MAX;) {
        bool hidden = f->d_name[0] == '.' && !slice_starts(part, SLICE("."));
        if (hidden || !slice_starts(slice_of(f->d_name), part) || strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
            continue;
        buf_reset(&name);
        buf_addf(&name, "%.*s%s%s", SLICE_ARG(folder), f->d_name, f->d_type == DT_DIR ? "/" : "");
        complete_add(ret, buf_slice(&name), NULL);
    }
    if (d)
        closedir(d);
}
