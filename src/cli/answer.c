/* crannog answer: settles what a run asks. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "cli/goal.h"

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
        "What an agent asks is answered in words. Where nobody works on its run, this goes on with it until it rests again; a talk\n"
        "goes on with `crannog -c`.\n\n"
        "A run of a plan that is not running takes the answer down; the same `crannog run` goes on with it. About the changes\n"
        "of a command, a fork or an undo the answer is carried out at once.\n\n"
        "examples:\n  crannog answer r7.12 keep\n  crannog answer r7 retry\n  crannog answer r9 \"yes, the second one\"\n",
    .run = answer_run,
};

static bool fits(const struct line *l, const char *answer)
{
    return question_takes(l, slice_of(answer));
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

static bool word_ok(const char *answer)
{
    static const char *const words[] = {"retry", "skip", "keep", "replace", "apply"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(answer, words[i]) == 0)
            return true;
    return false;
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
    return error_set(e, open ? ERR_USAGE : ERR_MISSING, open ? "no open question of r%llu takes %s; `crannog show r%llu` lists them"
                                                             : "r%llu asks nothing (so it needs no %s); see `crannog show r%llu`",
                     (unsigned long long)r->id, word, (unsigned long long)r->id);
}

static enum err answer_one(struct store *s, struct run_state *r, uint32_t question, const char *word, struct arena *a, int64_t holder,
                           struct error *e)
{
    JSON_CLEANUP struct json *p = answer_word(question, slice_of(word));
    BUF_CLEANUP struct buf text = BUF_INIT(256);
    json_print(p, &text);
    if (holder)
        return request_put(s, r->id, "answer", buf_slice(&text), e);
    return answer_now(s, r->id, r, a, buf_slice(&text), e);
}

/* What is to be done beyond writing the answer down. */
enum now { NOW_NOTHING, NOW_LAND /* the changes that wait are taken by this process */, NOW_WORK /* it goes on with the agent */ };

static enum now what_now(const struct run_state *r, int64_t holder)
{
    const struct line *l = r->is_agent ? &r->items[0].head : NULL;
    if (holder)
        return NOW_NOTHING;
    if (line_that_takes(r) && (!r->plan_path.n || r->is_agent))
        return NOW_LAND;
    return l && !l->talk->attended ? NOW_WORK : NOW_NOTHING;
}

static void tell_holder(uint64_t run, int64_t holder)
{
    printf("process %lld works on r%llu and takes it up\n", (long long)holder, (unsigned long long)run);
}

static void tell_taken(const struct run_state *r, const char *word, int64_t holder)
{
    unsigned long long run = r->id;
    if (holder)
        tell_holder(run, holder);
    else if (r->is_agent)
        printf("crannog -c r%llu goes on with it\n", run);
    else
        puts("go on with the same `crannog run`");
    if (strcmp(word, "replace") == 0)
        printf("what you have there is kept; afterwards `crannog show r%llu` says how to get it back\n", run);
}

static enum err answer(struct store *s, uint64_t run, uint32_t question, const char *word, enum now *ret_now, struct error *e)
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
    *ret_now = err ? NOW_NOTHING : what_now(&r, holder);
    if (err || *ret_now)
        return err;
    for (size_t i = 0; !err && i < n; i++) {
        err = answer_one(s, &r, chosen[i], word, &a, holder, e);
        if (!err)
            printf("r%llu.%u: %s\n", (unsigned long long)run, chosen[i], word);
    }
    if (!err)
        tell_taken(&r, word, holder);
    return err;
}

/* ---- what an agent asks ---- */

/* The number of the question that an agent asks in words, if it is the one that is meant (0: whichever it asks); 0: it is not. */
static uint32_t asked_in_words(struct store *s, uint64_t run, uint32_t question)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    run_init(&r, run, &a);
    const struct line *l = journal_fold(s, run, &r, &a, NULL) == OK && r.is_agent ? &r.items[0].head : NULL;
    bool asks = l && l->stage == STAGE_STUCK && l->question == QUESTION_ASK && (!question || l->question_step == question);
    return asks ? l->question_step : 0;
}

/* A request is short, so it names the blob with the words. */
static enum err ask_holder(struct store *s, uint64_t run, uint32_t question, struct slice words, struct error *e)
{
    struct hash h;
    JSON_CLEANUP struct json *p = answer_word(question, SLICE("words"));
    BUF_CLEANUP struct buf text = BUF_INIT(256);
    enum err err = blob_put(s, words, &h, e);
    if (err)
        return err;
    json_put_hash(p, "words", &h);
    json_print(p, &text);
    return request_put(s, run, "answer", buf_slice(&text), e);
}

/* The run is this process's from here on. An agent that failed is told to try again; what it asks is answered. */
static enum err answer_agent(struct session *s, uint64_t run, uint32_t question, const char *words, struct error *e)
{
    enum err err = engine_resume_run(&s->engine, run, &s->run, e);
    if (err)
        return err;
    const struct line *l = &s->run->state.items[0].head;
    if (l->stage != STAGE_STUCK || (question && l->question_step != question))
        return error_set(e, ERR_MISSING, "r%llu does not ask that any more", (unsigned long long)run);
    if (l->question == QUESTION_ASK)
        return engine_answer_ask(&s->engine, s->run, slice_of(words), e);
    return engine_answer(&s->engine, s->run, answer_word(l->question_step, slice_of(words)), e);
}

/* With nobody on the run: answers, and goes on with the work of an agent that nobody attends. */
static int work_on(struct cli *c, uint64_t run, uint32_t question, const char *words)
{
    struct session s;
    struct error e = {0};
    enum err err = session_open(&s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    err = answer_agent(&s, run, question, words, &e);
    int status = EXIT_DONE;
    if (err)
        status = cli_fail(&e);
    else if (run_talk(&s.run->state)->attended)
        printf("r%llu: answered; crannog -c r%llu goes on with it\n", (unsigned long long)run, (unsigned long long)run);
    else
        status = goal_go_on(c, &s);
    session_close(&s);
    return status;
}

static int answer_words(struct cli *c, struct store *s, uint64_t run, uint32_t question, const char *words)
{
    struct error e = {0};
    int64_t holder = lease_holder(s, run);
    enum err err = OK;
    if (slice_trim(slice_of(words)).n == 0)
        err = error_set(&e, ERR_USAGE, "an answer wants some words");
    if (!err && !holder) {
        store_close(s);
        return work_on(c, run, question, words);
    }
    if (!err)
        err = ask_holder(s, run, question, slice_of(words), &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    tell_holder(run, holder);
    return EXIT_DONE;
}

/* ---- the command ---- */

static int answer_question(struct cli *c, uint64_t run, uint32_t question, const char *words)
{
    struct store *s;
    struct error e;
    char name[32];
    enum now now = NOW_NOTHING;
    if (cli_open(c, false, false, &s, &e))
        return cli_fail(&e);
    uint32_t asked = asked_in_words(s, run, question);
    if (asked)
        return answer_words(c, s, run, asked, words);
    enum err err = word_ok(words) ? answer(s, run, question, words, &now, &e) : OK;
    store_close(s);
    if (!word_ok(words))
        return cli_usage(&cmd_answer, "'%.40s' is no answer", words);
    snprintf(name, sizeof name, "r%llu", (unsigned long long)run);
    if (now == NOW_LAND)
        return session_say(c, name, words, SLICE_NONE);
    if (now == NOW_WORK)
        return work_on(c, run, question, words);
    return err ? cli_fail(&e) : EXIT_DONE;
}

static int answer_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
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
    return answer_question(c, run, question, argv[optind + 1]);
}
