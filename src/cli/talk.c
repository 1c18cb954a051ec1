#include "cli/talk.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/goal.h"
#include "context/tools.h"
#include "engine/talk_text.h"
#include "tools/work.h"

enum { ASKED_MS = 1000 };
static const int64_t BELL_AFTER_MS = 8000;
static volatile sig_atomic_t resized;

static void on_resize(int sig)
{
    (void)sig;
    resized = 1;
}

/* ---- what is going on ---- */

bool talk_is_busy(struct talking *t)
{
    struct run *r = talk_run(t);
    struct decision d;
    if (!r || r->broken)
        return false;
    if (r->state.nopen || r->stop)
        return true;
    run_decide(&r->state, sys->now_ms(), &d);
    return d.what == DECIDE_INTEND || d.what == DECIDE_WAIT || d.what == DECIDE_DONE;
}

void talk_fail(struct talking *t, const struct error *e)
{
    screen_error(t->screen, slice_of(e->text));
}

static const char *state_words(const struct run_state *r)
{
    static const char *const words[STAGES] = {[STAGE_SURVEY] = "looking around", [STAGE_INSTRUCT] = "reading the instructions",
        [STAGE_THINK] = "thinking", [STAGE_CALL] = "working", [STAGE_COMPACT] = "making the talk shorter",
        [STAGE_APPLY] = "putting changes into the folder", [STAGE_SQUASH] = "tidying up", [STAGE_VERIFY] = "checking"};
    const struct line *l = run_line_const(r, 0, HEAD);
    if (r->status == RUN_BLOCKED)
        return "out of budget";
    if (l->stage == STAGE_STUCK)
        return l->question == QUESTION_ASK ? "asks you" : "needs you";
    if (!l->open && l->wake_ms > sys->now_ms())
        return "waiting to try again";
    return words[l->stage] ? words[l->stage] : "";
}

static void show_status(struct talking *t)
{
    struct run *r = talk_run(t);
    bool busy = talk_is_busy(t);
    struct screen_status st = {.busy = busy, .model = t->job.model.ref, .used_nusd = -1, .cap_nusd = -1, .context_window = t->job.model.window};
    if (busy && !t->was_busy)
        t->busy_since_ms = sys->now_ms();
    if (r) {
        const struct talk *talk = run_talk(&r->state);
        const char *word = state_words(&r->state);
        st.used_nusd = agent_is_priced(&r->state) ? r->state.used.n[UNIT_NUSD] : -1;
        st.cap_nusd = r->state.budget.n[UNIT_NUSD] == AMOUNT_UNLIMITED ? -1 : r->state.budget.n[UNIT_NUSD];
        st.tokens = r->state.used.n[UNIT_TOKENS];
        st.context_used = (int64_t)(talk->context + talk->fresh / TALK_BYTES_A_TOKEN);
        st.context_window = (int64_t)r->state.window;
        st.state = busy || r->state.status == RUN_BLOCKED || run_line(&r->state, 0, HEAD)->stage == STAGE_STUCK ? slice_of(word) : SLICE_NONE;
        st.waiting = !busy && st.state.n > 0;
        st.since_ms = busy ? t->busy_since_ms : 0;
    }
    screen_status(t->screen, &st);
    t->was_busy = busy;
}

/* What was said while it worked and is not yet taken. */
static void show_waiting(struct talking *t)
{
    struct run *r = talk_run(t);
    const struct talk *talk = r ? run_talk(&r->state) : NULL;
    BUF_CLEANUP struct buf all = BUF_INIT(64 * 1024);
    size_t ends[TALK_QUEUE_SHOWN], n = 0;
    if (!talk || (talk->ninbox == 0 && t->nwaiting == 0))
        return;
    for (; n < talk->ninbox && n < TALK_QUEUE_SHOWN; n++) {
        talk_turn_text(t->s.store, &talk->inbox[n].turn, 200, &all);
        ends[n] = all.n;
    }
    for (size_t i = 0; i < n; i++)
        t->waiting[i] = slice_sub(buf_slice(&all), i ? ends[i - 1] : 0, ends[i] - (i ? ends[i - 1] : 0));
    screen_queue(t->screen, t->waiting, n);
    t->nwaiting = n;
}

/* What was said while it worked is drawn when it is heard. */
static void show_said(struct talking *t)
{
    struct run *r = talk_run(t);
    const struct talk *talk = r ? run_talk(&r->state) : NULL;
    if (talk && t->seen > talk->nturns) /* taken back */
        t->seen = talk->nturns;
    for (; talk && t->seen < talk->nturns; t->seen++) {
        BUF_CLEANUP struct buf text = BUF_INIT(TALK_TEXT_MAX);
        if (talk->turns[t->seen].kind != TALK_SAID)
            continue;
        if (t->echoed) {
            t->echoed--;
            continue;
        }
        talk_turn_text(t->s.store, &talk->turns[t->seen], TALK_TEXT_MAX, &text);
        screen_said(t->screen, buf_slice(&text));
    }
}

/* ---- what the agent does, on the screen ---- */

static void on_text(void *ctx, struct slice s) { screen_text(((struct talking *)ctx)->screen, s); }
static void on_text_end(void *ctx) { screen_text_end(((struct talking *)ctx)->screen); }
static void on_reasoning(void *ctx, struct slice s) { screen_reasoning(((struct talking *)ctx)->screen, s); }
static void on_note(void *ctx, struct slice s) { screen_note(((struct talking *)ctx)->screen, s); }
static void on_trouble(void *ctx, struct slice s) { screen_error(((struct talking *)ctx)->screen, s); }

static void on_begin(void *ctx, uint64_t id, struct slice tool, struct slice title)
{
    screen_act_begin(((struct talking *)ctx)->screen, id, tool, title);
}

static void on_end(void *ctx, uint64_t id, enum agent_end how, struct slice summary, struct slice detail)
{
    static const enum screen_act of[] = {[AGENT_OK] = SCREEN_OK, [AGENT_FAILED] = SCREEN_FAILED, [AGENT_STOPPED] = SCREEN_STOPPED};
    screen_act_end(((struct talking *)ctx)->screen, id, of[how], summary, detail);
}

/* ---- what it asks ---- */

/* What an agent asks, with what there is to choose from. */
static void show_question(struct talking *t, const struct line *l)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(8 << 20);
    BUF_CLEANUP struct buf text = BUF_INIT(64 * 1024);
    struct transcript_part part;
    struct tool_call c = {0};
    buf_addf(&text, "**%s**\n", l->why);
    if (talk_call(t->s.store, l->talk, l->talk->next, &a, &part, NULL) == OK &&
        tool_call_parse(part.name, part.text, &a, &c, NULL) == OK)
        for (size_t i = 0; i < c.noptions; i++)
            buf_addf(&text, "- %.*s\n", SLICE_ARG(c.options[i]));
    screen_markdown(t->screen, buf_slice(&text));
}

static bool waits_to_land(struct talking *t)
{
    const struct line *l = talk_run(t) ? run_line(&talk_run(t)->state, 0, HEAD) : NULL;
    return l && l->stage == STAGE_STUCK && l->resume == STAGE_APPLY;
}

/* What was asked before and nobody has answered: without it a talk that was gone on with would stand still and not say why. */
static void ask_again(struct talking *t)
{
    const struct line *l = run_line(&talk_run(t)->state, 0, HEAD);
    if (waits_to_land(t)) {
        screen_note(t->screen, slice_of(l->why));
        talk_ask_landing(t);
    } else if (l->stage == STAGE_STUCK && l->question == QUESTION_ASK) {
        show_question(t, l);
    }
}

/* ---- what the person does ---- */

static enum err begin_run(struct talking *t, struct slice goal, struct error *e)
{
    t->job.goal = slice_sub(goal, 0, 2000);
    return agent_start(&t->s, &t->job, e);
}

/* A picture that was pasted, as a part; false: it cannot be had, and that was said. */
static bool picture(struct talking *t, struct slice path, struct transcript_part *ret)
{
    static const struct { const char *end, *media; } kinds[] = {{".png", "image/png"}, {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"},
                                                                {".gif", "image/gif"}, {".webp", "image/webp"}};
    struct error e = {0};
    struct buf bytes = BUF_INIT(WORK_IMAGE_MAX);
    char *name = arena_str(&t->arena, path);
    const char *media = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_ends(path, slice_of(kinds[i].end)))
            media = kinds[i].media;
    if (!name || !media || cli_read_file(name, "the picture", WORK_IMAGE_MAX, &bytes, &e)) {
        if (media)
            talk_fail(t, &e);
        buf_release(&bytes);
        return false;
    }
    *ret = (struct transcript_part){.kind = PART_IMAGE, .name = slice_of(media), .text = arena_copy(&t->arena, buf_slice(&bytes))};
    buf_release(&bytes);
    return ret->text.p != NULL;
}

static enum err say_turn(struct talking *t, const struct screen_event *ev, bool later, struct error *e)
{
    struct transcript_part parts[SCREEN_ATTACHMENTS_MAX + 1];
    struct transcript_turn turn = {TURN_USER, parts, 0};
    for (size_t i = 0; i < ev->nattachments; i++)
        turn.n += picture(t, ev->attachments[i], &parts[turn.n]);
    parts[turn.n++] = (struct transcript_part){.kind = PART_TEXT, .text = ev->text};
    return engine_say(&t->s.engine, t->s.run, &turn, later, e);
}

enum err talk_say(struct talking *t, const struct screen_event *ev, bool later, struct error *e)
{
    enum err err = t->s.run ? OK : begin_run(t, ev->text, e);
    if (err)
        return err;
    struct run *r = t->s.run;
    const struct line *l = run_line(&r->state, 0, HEAD);
    if (l->stage == STAGE_STUCK && l->question == QUESTION_ASK)
        return engine_answer_ask(&t->s.engine, r, ev->text, e);
    bool more = true, command = slice_starts(ev->text, SLICE("!")) && ev->text.n > 1;
    while (!err && command && talk_is_busy(t)) /* the first word of a talk: its folder is looked at before */
        err = engine_turn(&t->s.engine, &more, e);
    if (err)
        return err;
    if (command)
        return engine_say_command(&t->s.engine, r, slice_sub(ev->text, 1, ev->text.n), e);
    return say_turn(t, ev, later, e);
}

static void submit(struct talking *t, const struct screen_event *ev, bool later)
{
    struct error e = {0};
    bool busy = talk_is_busy(t);
    if (slice_trim(ev->text).n == 0 && !ev->nattachments)
        return;
    if (slice_starts(ev->text, SLICE("/")) && talk_command(t, ev->text))
        return;
    if (slice_starts(ev->text, SLICE("!")) && busy) {
        screen_note(t->screen, SLICE("a command of yours runs when the agent has stopped: Esc, then again"));
        screen_edit(t->screen, ev->text, true);
        return;
    }
    bool asked = talk_run(t) && run_line(&talk_run(t)->state, 0, HEAD)->question == QUESTION_ASK, command = slice_starts(ev->text, SLICE("!"));
    if (!busy)
        screen_said(t->screen, ev->text);
    if (!busy && !asked && !command)
        t->echoed++;
    if (talk_say(t, ev, later, &e))
        talk_fail(t, &e);
    else if (waits_to_land(t))
        ask_again(t);
}

enum err talk_halt(struct talking *t, struct error *e)
{
    bool more = true;
    enum err err = OK;
    struct run *r = talk_run(t);
    if (!r || !talk_is_busy(t))
        return OK;
    r->stop = true;
    while (!err && (r->state.nopen || r->stop))
        err = engine_turn(&t->s.engine, &more, e);
    return err;
}

/* The person's own setting is words for a shell ("code --wait"), as git and all others take it. */
static bool run_editor(const char *editor, char *path)
{
    BUF_CLEANUP struct buf command = BUF_INIT(4096);
    char sh[] = "/bin/sh", dash_c[] = "-c", name[] = "sh";
    pid_t pid;
    int status = -1;
    buf_addf(&command, "exec %s \"$1\"", editor);
    if (!buf_ok(&command))
        return false;
    char *argv[] = {sh, dash_c, command.p, name, path, NULL};
    if (posix_spawn(&pid, sh, NULL, NULL, argv, environ) != 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0;
}

/* $EDITOR on the draft, in a file of our own. */
static void edit(struct talking *t, struct slice draft)
{
    const char *editor = getenv("VISUAL") ? getenv("VISUAL") : getenv("EDITOR") ? getenv("EDITOR") : "vi";
    char path[] = "/tmp/crannog-XXXXXX";
    struct error e = {0};
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    FD_CLEANUP int fd = mkstemp(path);
    if (fd < 0 || sys_write_all(fd, draft, path, &e)) {
        screen_error(t->screen, SLICE("cannot make a file for the editor in /tmp"));
        return;
    }
    screen_suspend(t->screen);
    bool well = run_editor(editor, path);
    screen_resume(t->screen);
    if (well && cli_read_file(path, "the draft", 1 << 20, &text, &e) == OK)
        screen_edit(t->screen, slice_trim(buf_slice(&text)), false);
    unlink(path);
}

/* Alt-Up. What waits is in the journal already, so it does not come back into the box; what does take it back is said. */
static void take_back(struct talking *t)
{
    if (t->nwaiting)
        screen_note(t->screen, SLICE("it was said already; Esc stops, Esc Esc takes it back"));
}

static void handle(struct talking *t, const struct screen_event *ev)
{
    switch (ev->kind) {
    case SCREEN_SUBMIT: submit(t, ev, false); break;
    case SCREEN_QUEUE: submit(t, ev, true); break;
    case SCREEN_STOP:
        if (talk_run(t) && talk_is_busy(t))
            t->stopping = talk_run(t)->stop = true;
        break;
    case SCREEN_UNDO: talk_undo(t); break;
    case SCREEN_TAKE_BACK: take_back(t); break;
    case SCREEN_EDITOR: edit(t, ev->text); break;
    case SCREEN_PICK_MODEL: talk_pick_model(t); break;
    case SCREEN_SUSPEND:
        screen_suspend(t->screen);
        raise(SIGSTOP);
        screen_resume(t->screen);
        break;
    case SCREEN_EXIT: t->over = true; break;
    }
}

/* ---- the loop ---- */

static void after_turn(struct talking *t, bool was_busy)
{
    struct run *r = talk_run(t);
    const struct line *l = r ? run_line(&r->state, 0, HEAD) : NULL;
    if (!was_busy || talk_is_busy(t))
        return;
    if (t->stopping && l->talk && l->talk->hold)
        screen_note(t->screen, SLICE("it was stopped here; say how to go on"));
    t->stopping = false;
    if (r->broken)
        screen_error(t->screen, slice_of(r->state.why));
    else if (l->stage == STAGE_STUCK && l->question == QUESTION_ASK)
        show_question(t, l);
    else if (waits_to_land(t))
        talk_ask_landing(t);
    if (sys->now_ms() - t->busy_since_ms > BELL_AFTER_MS)
        screen_bell(t->screen, l->stage == STAGE_STUCK ? "crannog needs you" : "crannog waits for you");
}

/* Another terminal answers, or stops it. */
static bool is_asked(struct talking *t)
{
    struct run *r = talk_run(t);
    return r && !r->broken && request_waiting(t->s.store, r->state.id);
}

static enum err wait_for_person(struct talking *t, struct error *e)
{
    struct pollfd p = {.fd = screen_fd(t->screen), .events = POLLIN};
    int ms = screen_wait_ms(t->screen);
    if (talk_run(t) && (ms < 0 || ms > ASKED_MS)) /* what other terminals want is looked for this often */
        ms = ASKED_MS;
    if (sys->poll(&p, 1, ms) < 0 && errno != EINTR)
        return error_errno(e, errno, "cannot wait for the keyboard");
    return OK;
}

static enum err loop(struct talking *t, struct error *e)
{
    enum err err = OK;
    while (!err && !t->over && !session_interrupted()) {
        struct screen_event ev;
        bool busy = talk_is_busy(t) || is_asked(t), more;
        show_status(t);
        show_waiting(t);
        t->s.engine.also = screen_fd(t->screen);
        t->s.engine.also_ms = screen_wait_ms(t->screen);
        err = busy ? engine_turn(&t->s.engine, &more, e) : wait_for_person(t, e);
        if (resized) {
            resized = 0;
            screen_resize(t->screen);
        }
        if (!err) {
            show_said(t);
            after_turn(t, busy);
        }
        while (!err && !t->over && screen_next(t->screen, &ev))
            handle(t, &ev);
    }
    return err;
}

/* ---- its beginning and end ---- */

static void welcome(struct talking *t)
{
    BUF_CLEANUP struct buf text = BUF_INIT(PATH_MAX + 1024);
    buf_addf(&text, "%.*s · %s · changes can be taken back: Esc Esc · /help", SLICE_ARG(t->job.model.ref), t->job.work);
    screen_note(t->screen, buf_slice(&text));
}

static void find_history(struct talking *t)
{
    snprintf(t->history, sizeof t->history, "%.4000s/.crannog/history", buf_str(&t->cli->crannog));
}

/* Names of the person's own folder, for the edit box alone: what is in a file nobody opens here. */
static void complete_files(void *arg, struct slice prefix, struct complete_list *ret)
{
    struct talking *t = arg;
    talk_complete_files(t->job.work, prefix, ret);
}

/* A run that has ended stays as it is; what is said now begins where it stands. */
static enum err go_on_from(struct talking *t, struct error *e)
{
    struct run *ended = t->s.run;
    enum err err = agent_fork(&t->s, &t->job, &ended->state, e);
    engine_let_go(&t->s.engine, ended);
    t->seen = err ? 0 : run_talk(&t->s.run->state)->nturns;
    return err;
}

static enum err resume(struct talking *t, uint64_t id, struct error *e)
{
    enum err err = engine_resume_run(&t->s.engine, id, &t->s.run, e);
    if (err)
        return err;
    const struct run_state *r = &t->s.run->state;
    if (!r->is_agent)
        return error_set(e, ERR_USAGE, "r%llu is no talk", (unsigned long long)id);
    t->job.model = (struct agent_model){.ref = r->model, .provider = r->server.provider, .model = r->server.model, .base = r->server.base,
                                        .secret = r->server.secret, .window = (int64_t)r->window,
                                        .max_output = run_talk(r)->max_output};
    talk_replay(t);
    return r->status == RUN_DONE || r->status == RUN_FAILED ? go_on_from(t, e) : OK;
}

static enum err open_all(struct talking *t, const struct talk_options *o, struct error *e)
{
    uint64_t id = 0;
    struct peer door = PEER_INIT;
    enum err err = cli_work_folder(o->in ? o->in : ".", t->job.work, &t->job.st, e);
    if (!err)
        err = agent_check_folder(t->cli, t->job.work, e);
    t->job.attended = true;
    t->job.land = LAND_STEP;
    t->job.budget = amounts_unlimited();
    if (!err && o->budget)
        err = budget_parse(slice_of(o->budget), &t->job.budget, e);
    if (!err && (!(o->last || o->pick) || o->model))
        err = agent_choose(t->cli, o->model, &t->arena, &t->job.model, &door, e);
    if (!err)
        err = session_open(&t->s, t->cli, t->job.model.file, e);
    if (err) {
        peer_kill(&door);
        return err;
    }
    machine_take_door(&t->s.machine, &door);
    t->open = true;
    t->s.quiet = true;
    t->s.machine.home = getenv("HOME");
    if (o->run)
        err = cli_has_run(t->s.store, id = o->run, e);
    else if (o->last || o->pick)
        err = talk_find(t, o->pick, &id, e);
    if (!err && (o->last || o->pick) && !id)
        err = error_set(e, ERR_MISSING, "there is no talk of this folder to go on with; `crannog` begins one");
    if (err)
        return err;
    find_history(t);
    struct screen_options so = {.history = t->history, .color = screen_color_wanted(STDOUT_FILENO), .utf8 = screen_utf8_wanted(), .bell = true,
                                .commands = talk_commands, .ncommands = talk_ncommands, .files = complete_files, .files_arg = t};
    t->screen = screen_new(STDIN_FILENO, STDOUT_FILENO, &so);
    if (!t->screen)
        return error_set(e, ERR_MEMORY, "no memory for the screen");
    t->watch = (struct agent_watch){.ctx = t, .text = on_text, .text_end = on_text_end, .reasoning = on_reasoning, .begin = on_begin,
                                    .end = on_end, .note = on_note, .trouble = on_trouble};
    agent_watch(&t->watch, &t->s.engine);
    if (id)
        err = resume(t, id, e);
    else
        welcome(t);
    return err;
}

/* A talk that was gone on with: which one, and what it waits for. */
static void say_where_it_stands(struct talking *t)
{
    BUF_CLEANUP struct buf text = BUF_INIT(PATH_MAX + 1024);
    const struct run_state *r = &t->s.run->state;
    if (talk_is_busy(t))
        return;
    buf_addf(&text, "r%llu · %.*s · %s · it goes on with your next word", (unsigned long long)r->id, SLICE_ARG(t->job.model.ref), t->job.work);
    if (run_line_const(r, 0, HEAD)->stage == STAGE_STUCK)
        ask_again(t);
    else
        screen_note(t->screen, buf_slice(&text));
}

/* Leaving is no crash: what is under way is stopped, and the talk waits. */
static void farewell(struct talking *t)
{
    struct error e = {0};
    struct run *r = talk_run(t);
    if (!r)
        return;
    if (talk_halt(t, &e))
        talk_fail(t, &e);
    BUF_CLEANUP struct buf text = BUF_INIT(400);
    buf_addf(&text, "r%llu", (unsigned long long)r->state.id);
    if (r->state.used.n[UNIT_NUSD]) {
        buf_add_text(&text, " · ");
        amount_print(UNIT_NUSD, r->state.used.n[UNIT_NUSD], &text);
    }
    buf_add_text(&text, " · `crannog -c` goes on here");
    screen_note(t->screen, buf_slice(&text));
}

static int talk_start(struct cli *c, const struct talk_options *o)
{
    static struct talking t; /* large */
    struct error e = {0};
    struct sigaction a = {.sa_handler = on_resize};
    t = (struct talking){.cli = c, .arena = ARENA_INIT(256 << 20)};
    sigaction(SIGWINCH, &a, NULL);
    enum err err = open_all(&t, o, &e);
    if (!err)
        session_catch_signals();
    struct screen_event first = {.kind = SCREEN_SUBMIT, .text = slice_of(o->goal)};
    if (!err && o->goal)
        submit(&t, &first, false);
    else if (!err && t.s.run)
        say_where_it_stands(&t);
    if (!err)
        err = loop(&t, &e);
    if (!err)
        farewell(&t);
    screen_free(t.screen);
    int status = err ? cli_fail(&e) : EXIT_DONE;
    if (t.open)
        session_close(&t.s);
    arena_release(&t.arena);
    return status;
}

int talk_main(struct cli *c, const struct talk_options *o)
{
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        return talk_start(c, o);
    struct goal_options g = {.goal = o->goal ? o->goal : "", .in = o->in, .budget = o->budget, .model = o->model, .yes = true};
    return goal_run(c, &g);
}
