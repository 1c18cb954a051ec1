/* "/model", "/undo" and the others, and Esc Esc. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/choose.h"
#include "cli/pick.h"
#include "cli/talk.h"
#include "cli/undo.h"
#include "engine/service.h"
#include "view/view.h"

enum { PLACES_MAX = 200, MODELS_SHOWN = 256 };

const struct complete_command talk_commands[] = {
    {"help", "keys and commands"},
    {"model", "another model from here on"},
    {"undo", "take back files, talk, or both"},
    {"diff", "what was changed"},
    {"compact", "make the talk shorter"},
    {"fork", "go on in a copy of this talk"},
    {"spend", "what it cost"},
    {"services", "what runs beside: all, NAME for its output, open NAME, stop NAME"},
    {"new", "begin a new talk"},
    {"quit", "leave; `crannog -c` goes on"},
};
const size_t talk_ncommands = sizeof talk_commands / sizeof *talk_commands;

/* ---- taking back ---- */

#define FILES_BACK "(I took the files back to how they were earlier in this talk. Look again before you change them.)"

struct place_back {
    size_t turns;   /* that stay */
    int64_t after;  /* steps after it are taken back */
};

/* The step that came first after a turn: everything from it on is after it. */
static int64_t last_step_before(const struct run_state *r, const struct talk *t, size_t turn)
{
    for (size_t i = turn; i < t->nturns; i++)
        if (t->turns[i].step)
            return (int64_t)t->turns[i].step - 1;
    return (int64_t)r->next_step - 1;
}

static size_t places_of(struct talking *t, struct arena *a, struct pick_item *items, struct place_back *places)
{
    const struct run_state *r = &t->s.run->state;
    const struct talk *talk = run_talk(r);
    size_t n = 0;
    for (size_t i = talk->nturns; i > 0 && n < PLACES_MAX; i--) {
        BUF_CLEANUP struct buf text = BUF_INIT(2048), detail = BUF_INIT(200);
        int64_t after = last_step_before(r, talk, i - 1);
        size_t landed = 0;
        if (talk->turns[i - 1].kind != TALK_SAID)
            continue;
        talk_turn_text(t->s.store, &talk->turns[i - 1], 200, &text);
        if (slice_is(buf_slice(&text), FILES_BACK))
            continue;
        for (size_t k = 0; k < r->nundos; k++)
            landed += r->undos[k].step > after ? r->undos[k].changes : 0;
        buf_addf(&detail, "%zu change%s since", landed, landed == 1 ? "" : "s");
        items[n] = (struct pick_item){arena_copy(a, buf_slice(&text)), arena_copy(a, buf_slice(&detail))};
        places[n++] = (struct place_back){i - 1, after};
    }
    return n;
}

/* Files back to before a step, by a run of its own in this engine. */
static enum err files_back(struct talking *t, uint32_t after, bool *ret_any, struct error *e)
{
    struct run *undo = NULL;
    enum err err = undo_in(&t->s, &t->s.run->state, after, &undo, ret_any, e);
    if (err || !*ret_any)
        return err;
    bool more = true;
    while (!err && undo->state.status == RUN_ACTIVE)
        err = engine_turn(&t->s.engine, &more, e);
    if (!err && undo->state.status != RUN_DONE)
        err = error_set(e, ERR_CONFLICT, "something is in the way of taking the files back: %.180s; `crannog show r%llu` says what", undo->state.nitems ? undo->state.items[0].head.why : "",
                        (unsigned long long)undo->state.id);
    if (undo->state.nopen == 0)
        engine_let_go(&t->s.engine, undo);
    return err;
}

/* The model must know that the files are others now, but it hears of that with the person's next word: who takes something back
   wants to look, and nobody asked for an answer. */
static enum err tell_later(struct talking *t, struct error *e)
{
    enum err err = engine_say_text(&t->s.engine, t->s.run, SLICE(FILES_BACK), false, e);
    if (!err)
        err = talk_halt(t, e);
    t->echoed += !err;
    return err;
}

static void take_back(struct talking *t, const struct place_back *p, bool files, bool talk, struct slice said)
{
    struct error e = {0};
    bool any = false;
    const struct talk *now = run_talk(&t->s.run->state);
    enum err err = files ? files_back(t, (uint32_t)p->after, &any, &e) : OK;
    if (!err)
        err = engine_rewind(&t->s.engine, t->s.run, talk ? p->turns : now->nturns, files ? p->after : -1, &e);
    if (!err && files && !talk && any)
        err = tell_later(t, &e);
    if (err) {
        talk_fail(t, &e);
        return;
    }
    screen_note(t->screen, files && any && talk ? SLICE("files and talk are as they were then; what it cost is not taken back")
                           : files && any      ? SLICE("the files are as they were then; the talk stays")
                           : files && !talk    ? SLICE("no file was changed since then")
                                               : SLICE("the talk is as it was then"));
    if (talk)
        screen_edit(t->screen, said, true);
}

void talk_undo(struct talking *t)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(4 << 20);
    static const struct slice what[] = {SLICE_INIT("files and talk"), SLICE_INIT("files only"), SLICE_INIT("talk only")};
    struct pick_item items[PLACES_MAX];
    struct place_back places[PLACES_MAX];
    struct error e = {0};
    long which, how;
    if (!t->s.run || run_talk(&t->s.run->state)->nturns == 0) {
        screen_note(t->screen, SLICE("nothing was said yet"));
        return;
    }
    if (talk_halt(t, &e)) {
        talk_fail(t, &e);
        return;
    }
    size_t n = places_of(t, &a, items, places);
    screen_pick(t->screen, SLICE("Back to before which message?"), items, n, &which);
    if (which < 0 || (size_t)which >= n)
        return;
    screen_ask(t->screen, SLICE("What is taken back?"), what, 3, &how);
    if (how >= 0)
        take_back(t, &places[which], how != 2, how != 1, items[which].label);
}

/* ---- landings ---- */

void talk_ask_landing(struct talking *t)
{
    static const struct slice conflict[] = {SLICE_INIT("try again (I moved mine away)"), SLICE_INIT("replace mine"), SLICE_INIT("leave mine, drop the agent's")},
                              guarded[] = {SLICE_INIT("put it there"), SLICE_INIT("drop it")};
    static const char *const conflict_words[] = {"retry", "replace", "skip"}, *const guarded_words[] = {"apply", "skip"};
    const struct line *l = run_line(&t->s.run->state, 0, HEAD);
    bool is_conflict = l->question == QUESTION_CONFLICT;
    struct error e = {0};
    long which;
    screen_ask(t->screen, SLICE("Its changes are not in the folder."), is_conflict ? conflict : guarded, is_conflict ? 3 : 2, &which);
    if (which < 0) {
        screen_note(t->screen, SLICE("it waits for this answer, and hears nothing before; say anything and you are asked again"));
        return;
    }
    const char *word = is_conflict ? conflict_words[which] : l->question == QUESTION_APPLY ? guarded_words[which] : which ? "skip" : "retry";
    if (engine_answer(&t->s.engine, t->s.run, answer_word(l->question_step, slice_of(word)), &e))
        talk_fail(t, &e);
}

/* ---- models ---- */

static enum err take_model(struct talking *t, struct slice ref, bool *ret_halted, struct error *e)
{
    struct agent_model m;
    char *wanted = arena_str(&t->arena, ref);
    enum err err = wanted ? agent_choose(t->cli, wanted, &t->arena, &m, NULL, e) : error_set(e, ERR_MEMORY, "no memory for a model's name");
    *ret_halted = !err && talk_is_busy(t);
    if (!err && t->s.run)
        err = talk_halt(t, e);
    if (!err && t->s.run)
        err = agent_change_model(&t->s, &m, e);
    if (!err)
        t->job.model = m;
    return err;
}

/* The model from here on, and says so. */
static void change_model(struct talking *t, struct slice ref)
{
    BUF_CLEANUP struct buf text = BUF_INIT(1024);
    struct error e = {0};
    bool halted = false;
    if (take_model(t, ref, &halted, &e)) {
        talk_fail(t, &e);
        return;
    }
    buf_addf(&text, "%.*s from here on%s", SLICE_ARG(t->job.model.ref), halted ? "; what was under way is stopped, say how to go on" : "");
    screen_note(t->screen, buf_slice(&text));
}

void talk_pick_model(struct talking *t)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(16 << 20);
    struct choose_with w;
    struct choose_found f;
    struct pick_item items[MODELS_SHOWN];
    struct error e = {0};
    size_t n = 0;
    long which = -1;
    enum err err = choose_open(t->cli, true, &a, &w, &e);
    if (err) {
        talk_fail(t, &e);
        return;
    }
    err = choose_find(&w, &a, &f, &e);
    for (; !err && n < f.n && n < MODELS_SHOWN; n++) {
        BUF_CLEANUP struct buf words = BUF_INIT(400);
        choose_price_words(&f.v[n], &words);
        items[n] = (struct pick_item){f.v[n].ref, arena_copy(&a, buf_slice(&words))};
    }
    choose_close(&w);
    if (!err && n)
        screen_pick(t->screen, SLICE("Which model?"), items, n, &which);
    else if (!err)
        screen_note(t->screen, SLICE("no model was found; `crannog login` gives it one"));
    if (err)
        talk_fail(t, &e);
    if (which >= 0)
        change_model(t, items[which].label);
}

/* ---- the others ---- */

static void show_help(struct talking *t)
{
    screen_markdown(t->screen, SLICE(
        "**Enter** says it; while it works, it is heard after the step under way. **Alt-Enter** says it when it is done. "
        "**Ctrl-J** or `\\` Enter: a new line.\n\n"
        "**Esc** stops what it does. **Esc Esc** takes back: files, talk or both, exactly. **Ctrl-O** shows all of the last output. "
        "**Ctrl-G** writes in $EDITOR. **Ctrl-L** another model. **Ctrl-R** searches what you said. **Ctrl-D** leaves.\n\n"
        "`@` completes a file, `!command` runs a command of yours in the same jail, `/` has these:\n"));
    BUF_CLEANUP struct buf list = BUF_INIT(4096);
    for (size_t i = 0; i < talk_ncommands; i++)
        buf_addf(&list, "  /%-8s %s\n", talk_commands[i].name, talk_commands[i].help);
    screen_note(t->screen, buf_slice(&list));
}

static void show_spend(struct talking *t)
{
    BUF_CLEANUP struct buf text = BUF_INIT(1024);
    struct amounts left = amounts_unlimited();
    if (!t->s.run) {
        screen_note(t->screen, SLICE("nothing yet"));
        return;
    }
    const struct run_state *r = &t->s.run->state;
    if (agent_is_priced(r))
        amount_print(UNIT_NUSD, r->used.n[UNIT_NUSD], &text);
    else
        buf_add_text(&text, "nobody knows what it costs in money");
    buf_add_text(&text, ", ");
    amount_print(UNIT_TOKENS, r->used.n[UNIT_TOKENS], &text);
    buf_addf(&text, ", %lld calls", (long long)r->used.n[UNIT_CALLS]);
    if (r->assumed.n[UNIT_NUSD]) {
        buf_add_text(&text, "; of it assumed: ");
        amount_print(UNIT_NUSD, r->assumed.n[UNIT_NUSD], &text);
    }
    if (ledger_left(t->s.store, r->account, &left, NULL) == OK && left.n[UNIT_NUSD] != AMOUNT_UNLIMITED) {
        buf_add_text(&text, "; left: ");
        amount_print(UNIT_NUSD, left.n[UNIT_NUSD], &text);
    }
    screen_note(t->screen, buf_slice(&text));
}

/* The other commands of the program, as they are, in the place of the screen. */
static void run_beside(struct talking *t, const struct command *cmd)
{
    char name[32];
    if (!t->s.run) {
        screen_note(t->screen, SLICE("nothing was done yet"));
        return;
    }
    snprintf(name, sizeof name, "r%llu", (unsigned long long)t->s.run->state.id);
    char *argv[] = {(char *)(uintptr_t)cmd->name, name, NULL};
    screen_suspend(t->screen);
    cli_run(t->cli, cmd, 2, argv);
    fflush(stdout);
    screen_resume(t->screen);
}

/* A copy of the talk as it is now; this one stays where it is. */
static void fork_talk(struct talking *t)
{
    struct error e = {0};
    BUF_CLEANUP struct buf text = BUF_INIT(200);
    if (!t->s.run || talk_halt(t, &e)) {
        screen_note(t->screen, SLICE("there is nothing to copy yet"));
        return;
    }
    struct run *from = t->s.run;
    if (agent_fork(&t->s, &t->job, &from->state, &e)) {
        t->s.run = from;
        talk_fail(t, &e);
        return;
    }
    engine_let_go(&t->s.engine, from);
    buf_addf(&text, "this is r%llu now, a copy; r%llu stays as it was", (unsigned long long)t->s.run->state.id,
             (unsigned long long)t->s.run->state.origin_run);
    screen_note(t->screen, buf_slice(&text));
}

static void new_talk(struct talking *t)
{
    struct error e = {0};
    if (talk_halt(t, &e)) {
        talk_fail(t, &e);
        return;
    }
    if (t->s.run)
        engine_let_go(&t->s.engine, t->s.run);
    t->s.run = NULL;
    t->seen = t->echoed = 0;
    screen_note(t->screen, SLICE("a new talk; the old one: crannog -r"));
}

static void compact(struct talking *t)
{
    struct error e = {0};
    if (!t->s.run)
        screen_note(t->screen, SLICE("nothing was said yet"));
    else if (talk_is_busy(t))
        screen_note(t->screen, SLICE("when it has stopped: Esc, then again"));
    else if (engine_want_compact(&t->s.engine, t->s.run, &e))
        talk_fail(t, &e);
}

static void list_services(struct talking *t)
{
    BUF_CLEANUP struct buf text = BUF_INIT(16384);
    const struct run_state *r = &t->s.run->state;
    for (size_t i = 0; i < r->nservices; i++) {
        const struct service *s = &r->services[i];
        bool up = false;
        struct slice tail;
        bool runs = service_state(&t->s.machine, r->id, s->name, &up, &tail);
        buf_addf(&text, "%s%.*s: %s", text.n ? "\n" : "", SLICE_ARG(s->name), up ? "up" : runs ? "not up yet" : *s->why ? s->why : "starts when it is used");
        for (size_t k = 0; k < s->nports; k++)
            buf_addf(&text, "%s%u", k ? " " : ", port ", s->ports[k]);
        if (s->opened)
            buf_addf(&text, ", http://127.0.0.1:%u", s->opened);
    }
    screen_note(t->screen, text.n ? buf_slice(&text) : SLICE("no services; the agent makes some with `serve`, or crannog.yaml"));
}

/* Its output is asked of its jail: a turn or two brings it. */
static void show_service(struct talking *t, struct slice name)
{
    enum { TURNS = 8, SHOWN = 4000 };
    bool up, more;
    struct slice tail = SLICE_NONE;
    struct error e = {0};
    enum err err = OK;
    uint64_t run = t->s.run->state.id;
    service_look(&t->s.machine, run, name);
    for (int i = 0; !err && i < TURNS && service_state(&t->s.machine, run, name, &up, &tail) && !tail.n; i++)
        err = engine_turn(&t->s.engine, &more, &e);
    if (err) {
        talk_fail(t, &e);
        return;
    }
    tail = slice_trim(tail);
    screen_note(t->screen, tail.n ? slice_sub(tail, tail.n > SHOWN ? tail.n - SHOWN : 0, tail.n) : SLICE("it has printed nothing"));
}

static void services(struct talking *t, struct slice rest)
{
    struct slice word = slice_sub(rest, 0, slice_index(rest, ' ')), name = slice_trim(slice_sub(rest, word.n, rest.n));
    bool opens = slice_is(word, "open"), stops = slice_is(word, "stop");
    struct error e = {0};
    JSON_CLEANUP struct json *args = json_object();
    BUF_CLEANUP struct buf text = BUF_INIT(400);
    name = opens || stops ? name : word;
    if (!t->s.run || !rest.n) {
        if (t->s.run)
            list_services(t);
        else
            screen_note(t->screen, SLICE("nothing was said yet"));
        return;
    }
    if (!run_service(&t->s.run->state, name)) {
        screen_note(t->screen, SLICE("there is no such service; /services lists them"));
        return;
    }
    if (!opens && !stops) {
        show_service(t, name);
        return;
    }
    json_put_text(args, "name", name);
    json_print(args, &text);
    if (request_put(t->s.store, t->s.run->state.id, opens ? "open" : "end", buf_slice(&text), &e)) /* as from another terminal */
        talk_fail(t, &e);
}

/* The command that a word begins, as the list below the box offers it for Enter; names from elsewhere are taken for ours. */
static struct slice full_name(struct slice word)
{
    static const struct { const char *theirs, *ours; } other[] = {{"exit", "quit"}, {"clear", "new"}, {"cost", "spend"}, {"rewind", "undo"}};
    for (size_t i = 0; i < talk_ncommands; i++)
        if (slice_starts(slice_of(talk_commands[i].name), word))
            return slice_of(talk_commands[i].name);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (slice_is(word, other[i].theirs))
            return slice_of(other[i].ours);
    return word;
}

static void say_unknown(struct talking *t, struct slice word)
{
    BUF_CLEANUP struct buf note = BUF_INIT(400);
    buf_addf(&note, "there is no command /%.*s; /help lists them", SLICE_ARG(slice_cut(word, 100)));
    screen_note(t->screen, buf_slice(&note));
}

bool talk_command(struct talking *t, struct slice text)
{
    struct slice word = full_name(slice_sub(text, 1, slice_index(text, ' ') - 1)), rest = slice_trim(slice_sub(text, slice_index(text, ' '), text.n));
    if (slice_is(word, "help"))
        show_help(t);
    else if (slice_is(word, "model") && rest.n)
        change_model(t, rest);
    else if (slice_is(word, "model"))
        talk_pick_model(t);
    else if (slice_is(word, "undo"))
        talk_undo(t);
    else if (slice_is(word, "diff"))
        run_beside(t, &cmd_diff);
    else if (slice_is(word, "compact"))
        compact(t);
    else if (slice_is(word, "fork"))
        fork_talk(t);
    else if (slice_is(word, "spend"))
        show_spend(t);
    else if (slice_is(word, "services"))
        services(t, rest);
    else if (slice_is(word, "new"))
        new_talk(t);
    else if (slice_is(word, "quit"))
        t->over = true;
    else if (slice_index(word, '/') == word.n) { /* a path is a message */
        say_unknown(t, word);
        return true;
    } else
        return false;
    return true;
}
