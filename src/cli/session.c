#include "cli/session.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/sys.h"

static volatile int interrupts;

/* Only what is safe in a handler: the second signal ends at once, and the journal makes that harmless. */
static void on_signal(int sig)
{
    static const char note[] = "\nstopping after what is under way; Ctrl-C again ends at once (nothing is lost)\n";
    if (++interrupts > 1)
        _exit(128 + sig);
    if (write(STDERR_FILENO, note, sizeof note - 1) < 0)
        return;
}

static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
}

enum err session_open(struct session *s, struct cli *c, const char *model_file, struct error *e)
{
    struct act_table acts;
    *s = (struct session){.cli = c, .meters = BUF_INIT(4096)};
    buf_addf(&s->meters, "%s/.crannog/meters", buf_str(&c->crannog));
    enum err err = cli_open(c, true, false, &s->store, e);
    if (!err)
        err = machine_open(&s->machine, model_file, buf_str(&s->meters), &acts, e);
    if (!err)
        err = engine_open(&s->engine, s->store, &acts, e);
    s->open = !err;
    if (err)
        store_close(s->store);
    return err;
}

static void watch(void *ctx, struct engine *g)
{
    struct session *s = ctx;
    if (!s->quiet)
        bar_update(&s->bar, g, s->run);
}

enum err session_work(struct session *s, struct error *e)
{
    catch_signals();
    if (!s->quiet)
        bar_begin(&s->bar, &s->run->state);
    s->engine.watch = watch;
    s->engine.watch_ctx = s;
    s->engine.stop_wanted = &interrupts;
    enum err err = engine_run(&s->engine, e);
    if (!s->quiet)
        bar_end(&s->bar);
    if (!err && s->engine.full)
        err = error_set(e, ERR_NO_SPACE, "the disk is full; what was under way was finished and nothing is lost: free some space "
                                         "and run it again");
    return err;
}

void session_close(struct session *s)
{
    if (!s->open)
        return;
    engine_close(&s->engine);
    machine_close(&s->machine);
    store_close(s->store);
    buf_release(&s->meters);
}

int session_exit(const struct run_state *r)
{
    switch (r->status) {
    case RUN_DONE: return EXIT_DONE;
    case RUN_BLOCKED: return EXIT_REFUSED;
    case RUN_WAITING: return EXIT_WAITING;
    default: return EXIT_FAILED;
    }
}
