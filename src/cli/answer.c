/* crannog answer: settles what a run asks. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/cli.h"

static int answer_run(struct cli *c, int argc, char **argv);

const struct command cmd_answer = {
    .name = "answer",
    .usage = "QUESTION retry|skip|keep|replace",
    .summary = "answer what a run asks",
    .help =
        "`crannog show` lists open questions with their names (r7.12).\n\n"
        "  retry    try what failed again          skip     leave it out and go on\n"
        "  keep     a file that you changed stays  replace  put the run's version there (yours is kept in the journal)\n\n"
        "A run that is not running takes the answer at once; go on with the same `crannog run`.\n\n"
        "example:\n  crannog answer r7.12 keep\n",
    .run = answer_run,
};

static bool fits(const struct line *l, const char *answer)
{
    bool conflict = l->question == QUESTION_CONFLICT;
    return conflict ? strcmp(answer, "keep") == 0 || strcmp(answer, "replace") == 0
                    : strcmp(answer, "retry") == 0 || strcmp(answer, "skip") == 0;
}

/* With no process on the run, this one takes the lease and writes the event itself (the request would wait for ever). */
static enum err answer_now(struct store *s, uint64_t run, struct run_state *r, struct arena *a, struct slice payload, struct error *e)
{
    struct lease lease;
    enum err err = lease_take(s, run, &lease, e);
    if (err)
        return err;
    arena_release(a);
    run_init(r, run, a);
    err = journal_fold(s, run, r, a, e);
    if (!err)
        err = store_begin(s, e);
    if (!err) {
        struct step_key key = {.run = run, .branch = r->branch};
        err = journal_append(s, &lease, r, EVENT_ANSWERED, &key, payload, e);
        if (!err)
            err = store_commit(s, e);
        else
            store_rollback(s);
    }
    lease_release(s, &lease);
    return err;
}

static enum err answer(struct store *s, uint64_t run, uint32_t question, const char *answer_text, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    run_init(&r, run, &a);
    enum err err = journal_fold(s, run, &r, &a, e);
    if (err)
        return err;
    const struct line *l = run_question(&r, question, NULL);
    if (!l)
        return error_set(e, ERR_MISSING, "r%llu asks no question %u; `crannog show r%llu` lists what it asks", (unsigned long long)run,
                         question, (unsigned long long)run);
    if (!fits(l, answer_text))
        return error_set(e, ERR_USAGE, "this question takes %s", l->question == QUESTION_CONFLICT ? "keep or replace" : "retry or skip");
    BUF_CLEANUP struct buf text = BUF_INIT(256);
    buf_addf(&text, "{\"v\":0,\"question\":%u,\"answer\":\"%s\",\"by\":\"terminal\"}", question, answer_text);
    if (lease_holder(s, run))
        return request_put(s, run, "answer", buf_slice(&text), e);
    return answer_now(s, run, &r, &a, buf_slice(&text), e);
}

static int answer_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    struct store *s;
    struct error e;
    uint64_t run;
    uint32_t question;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_answer, o, &status) || status >= 0)
            return status;
    if (argc - optind != 2)
        return cli_usage(&cmd_answer, "say which question and the answer");
    if (!cli_run_id(argv[optind], &run, &question) || !question)
        return cli_usage(&cmd_answer, "'%.40s' is not a question; they look like r7.12 (`crannog show` lists them)", argv[optind]);
    if (cli_open(c, false, false, &s, &e))
        return cli_fail(&e);
    enum err err = answer(s, run, question, argv[optind + 1], &e);
    store_close(s);
    return err ? cli_fail(&e) : EXIT_DONE;
}
