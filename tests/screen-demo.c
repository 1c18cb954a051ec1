/*
 * An agent that is made up, on the real talking terminal: what it "thinks", "says" and "does" is a script. Driven by
 * tests/cli/test_screen.sh; by hand it shows what the terminal looks like: build/tests/screen-demo [--fast].
 *
 * Anything said plays the script; /pick, /ask, /bell, /error, /long, /hostile and /quit do what they say.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/pick.h"
#include "cli/screen.h"

enum step_kind { THINK, SAY, ACT, NOTE, END, DONE };

static const struct step {
    enum step_kind kind;
    int ms; /* from the last one */
    uint64_t id;
    enum screen_act how;
    const char *a, *b;
} script[] = {
    {THINK, 200, 0, 0, "The test fails only sometimes, so it is a race.\n", NULL},
    {THINK, 300, 0, 0, "Where is the cart locked? Look at checkout.c first.", NULL},
    {ACT, 500, 1, 0, "read", "src/checkout.c"},
    {END, 200, 1, SCREEN_OK, "214 lines · 0.1 s", ""},
    {ACT, 50, 2, 0, "bash", "make test TEST=checkout REPEAT=20"},
    {NOTE, 300, 2, 0, "ok 7 checkout", NULL},
    {NOTE, 300, 2, 0, "ok 13 checkout", NULL},
    {END, 500, 2, SCREEN_FAILED, "exit 1 · 1.1 s", "ok 1 checkout\nok 2 checkout\nok 3 checkout\nok 4 checkout\nok 5 checkout\n"
     "not ok 14 checkout: cart is empty\n  expected 3 items, got 0\n  at checkout.c:88\n1 of 20 failed\n"},
    {SAY, 100, 0, 0, "The **race** is in `cart_add()`: it reads the cart *before* it takes the lock, so two requests at once lose "
     "one of the items. There are two ways out:\n\n", NULL},
    {SAY, 100, 0, 0, "1. take the lock first, which is two lines;\n2. make the cart a list that is only appended to, as "
     "[the notes](https://example.org/notes#carts) propose.\n\n| way | lines | risk |\n|---|--:|---|\n| lock first | 2 | none that I see |\n"
     "| list | 140 | every reader of the cart changes |\n\nI take the first.\n", NULL},
    {ACT, 300, 3, 0, "edit", "src/checkout.c"},
    {END, 200, 3, SCREEN_OK, "+2 -1 · 0.1 s", "@@ -84,6 +84,7 @@ int cart_add(struct cart *c, struct item it)\n {\n"
     "-    size_t n = c->n;\n+    pthread_mutex_lock(&c->lock);\n+    size_t n = c->n;\n     if (n == c->max)\n"},
    {ACT, 50, 4, 0, "bash", "make test TEST=checkout REPEAT=20"},
    {END, 800, 4, SCREEN_OK, "0.8 s", "ok 1 checkout\nok 2 checkout\nok 3 checkout\nok 4 checkout\nok 5 checkout\n20 of 20 passed\n"},
    {SAY, 100, 0, 0, "All twenty pass. The whole change:\n\n```c\npthread_mutex_lock(&c->lock); // before anything is read\n"
     "size_t n = c->n;\n```\n\n- [x] race found\n- [x] test repeated\n- [ ] the same in `cart_remove()`? It reads first as well.\n", NULL},
    {DONE, 200, 0, 0, NULL, NULL},
};
enum { STEPS = sizeof script / sizeof *script, QUEUE = 8 };

struct demo {
    struct screen *s;
    bool busy;
    int speed; /* ms are divided by it */
    size_t step, said; /* of a SAY: bytes so far */
    int64_t next_ms, since_ms;
    char *queue[QUEUE];
    size_t nqueue;
    int64_t used_nusd;
    char model[40];
};

static volatile sig_atomic_t resized;

static void on_winch(int sig)
{
    (void)sig;
    resized = 1;
}

static void on_term(int sig)
{
    screen_restore();
    _exit(128 + sig);
}

static void show(struct demo *d)
{
    static const char *const states[] = {"thinking", "writing", "working", "working", "working", "writing"};
    struct slice waiting[QUEUE];
    struct screen_status st = {.busy = d->busy, .since_ms = d->busy ? d->since_ms : 0, .model = slice_of(d->model), .used_nusd = d->used_nusd,
        .cap_nusd = 5000000000, .tokens = 12400 + d->used_nusd / 100000, .context_used = 46000, .context_window = 200000};
    st.state = d->busy ? slice_of(states[script[d->step].kind]) : SLICE_NONE;
    screen_status(d->s, &st);
    for (size_t i = 0; i < d->nqueue; i++)
        waiting[i] = slice_of(d->queue[i]);
    screen_queue(d->s, waiting, d->nqueue);
}

static void begin(struct demo *d, struct slice text)
{
    screen_said(d->s, text);
    d->busy = true;
    d->step = d->said = 0;
    d->since_ms = sys->now_ms();
    d->next_ms = d->since_ms + script[0].ms / d->speed;
    show(d);
}

/* A word at a time, as models write. */
static bool say(struct demo *d, const struct step *st)
{
    struct slice all = slice_of(st->a), rest = slice_sub(all, d->said, all.n);
    size_t n = slice_index(rest, ' ') + 1;
    screen_text(d->s, slice_sub(rest, 0, n));
    d->said += n;
    d->next_ms = sys->now_ms() + 20 / d->speed;
    d->used_nusd += 400000;
    return d->said >= all.n;
}

static void end(struct demo *d)
{
    d->busy = false;
    screen_text_end(d->s);
    if (d->nqueue) {
        char *text = d->queue[0];
        memmove(d->queue, d->queue + 1, --d->nqueue * sizeof *d->queue);
        begin(d, slice_of(text));
        free(text);
    }
    show(d);
}

static void play(struct demo *d)
{
    const struct step *st = &script[d->step];
    if (!d->busy || sys->now_ms() < d->next_ms)
        return;
    bool over = true;
    switch (st->kind) {
    case THINK: screen_reasoning(d->s, slice_of(st->a)); break;
    case SAY: over = say(d, st); break;
    case ACT: screen_act_begin(d->s, st->id, slice_of(st->a), slice_of(st->b)); break;
    case NOTE: screen_act_note(d->s, st->id, slice_of(st->a)); break;
    case END: screen_act_end(d->s, st->id, st->how, slice_of(st->a), slice_of(st->b)); break;
    default: end(d); return;
    }
    if (over) {
        d->said = 0;
        d->next_ms = sys->now_ms() + script[++d->step].ms / d->speed;
    }
    show(d);
}

static void stop(struct demo *d)
{
    for (uint64_t id = 1; id < 5; id++)
        if (d->step && script[d->step].id == id && script[d->step].kind != ACT)
            screen_act_end(d->s, id, SCREEN_STOPPED, SLICE("stopped"), SLICE_NONE);
    screen_note(d->s, SLICE("stopped"));
    d->busy = false;
    show(d);
}

static void queue(struct demo *d, struct slice text)
{
    if (d->nqueue < QUEUE)
        d->queue[d->nqueue++] = strndup(text.p, text.n);
    show(d);
}

static void choose_model(struct demo *d)
{
    static const struct pick_item models[] = {
        {SLICE_INIT("qwen3:8b"), SLICE_INIT("Ollama on this machine · free")},
        {SLICE_INIT("claude-sonnet-4-6"), SLICE_INIT("$ANTHROPIC_API_KEY · pay per use")},
        {SLICE_INIT("gpt-5-mini"), SLICE_INIT("ChatGPT plan · signed in")},
        {SLICE_INIT("kimi-k2"), SLICE_INIT("OpenRouter · pay per use")}};
    long k;
    screen_pick(d->s, SLICE("Which model?"), models, 4, &k);
    if (k >= 0)
        snprintf(d->model, sizeof d->model, "%.*s", SLICE_ARG(models[k].label));
    show(d);
}

static void ask(struct demo *d)
{
    static const struct slice choices[] = {SLICE_INIT("yes"), SLICE_INIT("no"), SLICE_INIT("always in this folder")};
    long k;
    screen_ask(d->s, SLICE("Fetch https://example.org?"), choices, 3, &k);
    screen_note(d->s, k < 0 ? SLICE("no answer") : choices[k]);
}

static void long_answer(struct demo *d)
{
    for (int i = 0; i < 200000; i++)
        screen_text(d->s, SLICE("A line of some **fifty** bytes, and `code` in it, again.\n"));
    screen_text_end(d->s);
    screen_note(d->s, SLICE("that was long"));
}

static bool command(struct demo *d, struct slice text)
{
    if (slice_is(text, "/quit"))
        exit((screen_free(d->s), 0));
    if (slice_is(text, "/pick"))
        choose_model(d);
    else if (slice_is(text, "/ask"))
        ask(d);
    else if (slice_is(text, "/bell"))
        screen_bell(d->s, "crannog waits for you");
    else if (slice_is(text, "/error"))
        screen_error(d->s, SLICE("the model's server says: overloaded (529); tried 3 times"));
    else if (slice_is(text, "/long"))
        long_answer(d);
    else if (slice_is(text, "/hostile"))
        screen_markdown(d->s, SLICE("clear\033[2J title\033]0;owned\a c1 \302\2332J bidi \342\200\256 bad \377 nul\0.\n"));
    else
        return false;
    return true;
}

static void on_event(struct demo *d, const struct screen_event *e)
{
    static const struct screen_event nothing;
    (void)nothing;
    switch (e->kind) {
    case SCREEN_SUBMIT:
        for (size_t i = 0; i < e->nattachments; i++)
            screen_note(d->s, e->attachments[i]);
        if (!command(d, slice_trim(e->text))) {
            if (d->busy)
                screen_said(d->s, e->text); /* steers */
            else
                begin(d, e->text);
        }
        break;
    case SCREEN_QUEUE:
        if (d->busy)
            queue(d, e->text);
        else
            begin(d, e->text);
        break;
    case SCREEN_STOP: stop(d); break;
    case SCREEN_UNDO: screen_note(d->s, SLICE("the last turn is undone: 1 file as it was")); break;
    case SCREEN_TAKE_BACK:
        if (d->nqueue) {
            screen_edit(d->s, slice_of(d->queue[--d->nqueue]), true);
            free(d->queue[d->nqueue]);
            show(d);
        }
        break;
    case SCREEN_EDITOR: screen_edit(d->s, SLICE("written in an editor"), false); break;
    case SCREEN_PICK_MODEL: choose_model(d); break;
    case SCREEN_SUSPEND:
        screen_suspend(d->s);
        raise(SIGSTOP);
        screen_resume(d->s);
        break;
    case SCREEN_EXIT:
        screen_free(d->s);
        exit(0);
    }
}

static void files(void *arg, struct slice prefix, struct complete_list *ret)
{
    static const char *const names[] = {"src/", "src/checkout.c", "src/cart.c", "src/cart.h", "README.md", "tests/"};
    (void)arg;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (pick_score(slice_of(names[i]), prefix))
            complete_add(ret, slice_of(names[i]), NULL);
}

int main(int argc, char **argv)
{
    static const struct complete_command commands[] = {
        {"ask", "a question"}, {"bell", "ring"}, {"error", "an error"}, {"long", "10 MB of answer"}, {"pick", "choose a model"}, {"quit", "leave"}};
    struct screen_options o = {.history = getenv("DEMO_HISTORY"), .color = screen_color_wanted(1), .utf8 = screen_utf8_wanted(),
        .bell = true, .commands = commands, .ncommands = 6, .files = files};
    struct demo d = {.s = screen_new(0, 1, &o), .speed = argc > 1 && strcmp(argv[1], "--fast") == 0 ? 10 : 1, .model = "claude-sonnet-4-6"};
    if (!d.s)
        return 1;
    signal(SIGWINCH, on_winch);
    signal(SIGTERM, on_term);
    screen_note(d.s, SLICE("crannog 0.1 · ~/src/shop · git main, 2 files changed"));
    show(&d);
    for (;;) {
        struct screen_event e;
        struct pollfd p = {.fd = screen_fd(d.s), .events = POLLIN};
        int wait = screen_wait_ms(d.s), mine = d.busy ? (int)(d.next_ms - sys->now_ms()) : -1;
        wait = mine < 0 && !d.busy ? wait : wait < 0 || mine < wait ? (mine < 0 ? 0 : mine) : wait;
        sys->poll(&p, 1, wait);
        if (resized) {
            resized = 0;
            screen_resize(d.s);
        }
        while (screen_next(d.s, &e))
            on_event(&d, &e);
        play(&d);
    }
}
