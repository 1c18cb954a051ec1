/* crannog answer: settles what a run asks. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/session.h"
#include "engine/talk_text.h"

static int answer_run(struct cli *c, int argc, char **argv);

const struct command cmd_answer = {
    .name = "answer",
    .usage = "QUESTION|RUN retry|skip|keep|replace|apply|\"WORDS\"",
    .summary = "answer what a run asks",
    .help =
        "`crannog show` lists open questions with their names (r7.12). With the name of a run (r7), all its open questions\n"
        "that take the word are answered by it.\n\n"
        "  retry    try what failed again          skip     leave it out and go on\n"
        "  keep     a file that you changed stays  replace  put the run's version there; what you had is kept in the\n"
        "                                                    journal, and `crannog show` says how to get it\n"
        "  apply    what it changed may be put into the folder (`crannog apply` says so and does it at once)\n\n"
        "  \"WORDS\"  what an agent asked, in your words\n\n"
        "A run of a plan that is not running takes the answer down; the same `crannog run` goes on with it. About the changes\n"
        "of a command, a fork or an undo the answer is carried out at once.\n\n"
        "examples:\n  crannog answer r7.12 keep\n  crannog answer r7 retry\n  crannog answer r8 \"the second one\"\n",
    .run = answer_run,
};

static bool word_ok(const char *answer)
{
    static const char *const words[] = {"retry", "skip", "keep", "replace", "apply"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(answer, words[i]) == 0)
            return true;
    return false;
}

/* Words of one's own are for an agent that asks. */
static bool fits(const struct line *l, const char *answer)
{
    return question_takes(l, slice_of(answer)) && (word_ok(answer) || l->question == QUESTION_ASK);
}

/* With no process on the run, this one takes the lease and writes the event itself (the request would wait for ever). */
static enum err answer_now(struct store *s, uint64_t run, struct run_state *r, struct arena *a, struct json *answer, struct error *e)
{
    BUF_CLEANUP struct buf payload = BUF_INIT(EVENT_PAYLOAD_MAX);
    const struct line *l;
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
        l = run_question(r, (uint32_t)json_int(json_get(answer, "question"), 0), NULL);
        if (l && l->question == QUESTION_ASK)
            err = talk_put_answer(s, l->talk, answer, e);
        json_print(answer, &payload);
        if (!err)
            err = buf_check(&payload, "an answer", e);
        if (!err)
            err = journal_append(s, &lease, r, EVENT_ANSWERED, &key, buf_slice(&payload), e);
        if (!err)
            err = store_commit(s, e);
        else
            store_rollback(s);
    }
    lease_release(s, &lease);
    return err;
}

/* The questions to answer: the one named, or all that take the word. */
static enum err choose(const struct run_state *r, uint32_t question, const char *word, uint32_t *ret, size_t max, size_t *ret_n,
                       struct error *e)
{
    size_t open = 0;
    *ret_n = 0;
    const struct line *l = question ? run_question(r, question, NULL) : NULL;
    if (question && !l)
        return error_set(e, ERR_MISSING, "r%llu asks no question %u; `crannog show r%llu` lists what it asks", (unsigned long long)r->id,
                         question, (unsigned long long)r->id);
    if (l && !fits(l, word) && !word_ok(word))
        return error_set(e, ERR_USAGE, "'%.40s' is no answer; r%llu.%u takes %s", word, (unsigned long long)r->id, question, question_words(l));
    if (l && !fits(l, word))
        return error_set(e, ERR_USAGE, "r%llu.%u takes %s", (unsigned long long)r->id, question, question_words(l));
    for (size_t i = 0; i < r->nitems; i++)
        for (size_t k = 0; k <= r->items[i].npieces; k++) {
            l = k < r->items[i].npieces ? &r->items[i].pieces[k] : &r->items[i].head;
            if (l->stage != STAGE_STUCK || (question && l->question_step != question))
                continue;
            open++;
            if (fits(l, word) && *ret_n < max)
                ret[(*ret_n)++] = l->question_step;
        }
    if (*ret_n)
        return OK;
    if (!word_ok(word))
        return error_set(e, ERR_USAGE, "'%.40s' is no answer; `crannog show r%llu` lists what is asked", word, (unsigned long long)r->id);
    return error_set(e, open ? ERR_USAGE : ERR_MISSING, open ? "no open question of r%llu takes %s; `crannog show r%llu` lists them"
                                                             : "r%llu asks nothing (so it needs no %s); see `crannog show r%llu`",
                     (unsigned long long)r->id, word, (unsigned long long)r->id);
}

static enum err answer_one(struct store *s, struct run_state *r, uint32_t question, const char *word, struct arena *a, int64_t holder,
                           struct error *e)
{
    JSON_CLEANUP struct json *answer = json_object();
    BUF_CLEANUP struct buf text = BUF_INIT(64 * 1024);
    json_put_int(answer, "v", 0);
    json_put_int(answer, "question", question);
    json_put_text(answer, "answer", slice_of(word));
    json_put_text(answer, "by", SLICE("terminal"));
    if (!holder)
        return answer_now(s, r->id, r, a, answer, e);
    json_print(answer, &text);
    enum err err = buf_check(&text, "an answer", e);
    return err ? err : request_put(s, r->id, "answer", buf_slice(&text), e);
}

/* *ret_now: nobody else will come to carry it out, so the caller does. */
static enum err answer(struct store *s, uint64_t run, uint32_t question, const char *word, bool *ret_now, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    static uint32_t chosen[RUN_PIECES_MAX];
    struct run_state r;
    size_t n = 0;
    run_init(&r, run, &a);
    enum err err = journal_fold(s, run, &r, &a, e);
    if (!err)
        err = choose(&r, question, word, chosen, RUN_PIECES_MAX, &n, e);
    int64_t holder = err ? 0 : lease_holder(s, run);
    *ret_now = !err && !holder && !r.plan_path.n && line_that_takes(&r);
    for (size_t i = 0; !err && !*ret_now && i < n; i++) {
        err = answer_one(s, &r, chosen[i], word, &a, holder, e);
        if (!err)
            printf("r%llu.%u: %s\n", (unsigned long long)run, chosen[i], word_ok(word) ? word : "your words");
    }
    if (err || *ret_now)
        return err;
    if (holder)
        printf("process %lld works on r%llu and takes it up\n", (long long)holder, (unsigned long long)run);
    else
        puts("go on with the same `crannog run`");
    if (strcmp(word, "replace") == 0)
        printf("what you have there is kept; afterwards `crannog show r%llu` says how to get it back\n", (unsigned long long)run);
    return OK;
}

static int answer_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    struct store *s;
    struct error e;
    uint64_t run;
    uint32_t question = 0;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_answer, o, &status) || status >= 0)
            return status;
    if (argc - optind != 2)
        return cli_usage(&cmd_answer, "say which question and the answer");
    if (!cli_run_id(argv[optind], &run, &question))
        return cli_usage(&cmd_answer, "'%.40s' is not a question; they look like r7.12 (`crannog show` lists them)", argv[optind]);
    if (!slice_is_utf8(slice_of(argv[optind + 1])) || slice_trim(slice_of(argv[optind + 1])).n == 0)
        return cli_usage(&cmd_answer, "the answer is empty, or no UTF-8");
    if (cli_open(c, false, false, &s, &e))
        return cli_fail(&e);
    bool now = false;
    char name[32];
    enum err err = answer(s, run, question, argv[optind + 1], &now, &e);
    store_close(s);
    snprintf(name, sizeof name, "r%llu", (unsigned long long)run);
    if (now)
        return session_say(c, name, argv[optind + 1], SLICE_NONE);
    return err ? cli_fail(&e) : EXIT_DONE;
}
