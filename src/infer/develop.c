#include "infer/develop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "infer/cut.h"
#include "infer/session.h"

static const char help[] =
    "crannog-infer runs a language model for crannog. It is started by crannog and spoken to over descriptor 3.\n"
    "By hand, for those who work on it:\n"
    "  crannog-infer --prompt MODEL.gguf \"text\" [--system \"text\"]   answer a question\n"
    "  crannog-infer --call MODEL.gguf \"text\" TOOLS.json          the same with tools; --choice auto|any|none\n"
    "  crannog-infer --tokens MODEL.gguf TEXTFILE                  the token ids of a text, one a line\n"
    "  crannog-infer --parts MODEL.gguf TEXTFILE WINDOW            where a text would be cut, and tokens of each part\n"
    "  crannog-infer --logits MODEL.gguf TEXTFILE                  the 32 likeliest tokens after a text, with logits\n"
    "  crannog-infer --bench MODEL.gguf PROMPT ANSWER              time PROMPT tokens in and ANSWER tokens out\n"
    "Options: --max N (tokens of an answer, 128)  --threads N (2)  --context N  --seed N  --temperature X (0)\n"
    "         --top-p X (1)  --repeat X (1)\n"
    "Environment: CRANNOG_KERNEL=scalar uses the reference arithmetic.\n";

struct options {
    unsigned threads;
    size_t context;
    struct request request;
    const char *system, *choice;
    const char *words[4]; /* command, model, and up to two more */
    size_t nwords;
};

static bool option(struct options *o, const char *name, const char *value)
{
    double x = strtod(value, NULL);
    if (!strcmp(name, "--max"))
        o->request.max_tokens = (uint64_t)x;
    else if (!strcmp(name, "--threads"))
        o->threads = (unsigned)x;
    else if (!strcmp(name, "--context"))
        o->context = (size_t)x;
    else if (!strcmp(name, "--seed"))
        o->request.sample.seed = (uint64_t)x;
    else if (!strcmp(name, "--temperature"))
        o->request.sample.temperature = (float)x;
    else if (!strcmp(name, "--top-p"))
        o->request.sample.top_p = (float)x;
    else if (!strcmp(name, "--repeat"))
        o->request.sample.repeat = (float)x;
    else if (!strcmp(name, "--system"))
        o->system = value;
    else if (!strcmp(name, "--choice"))
        o->choice = value;
    else
        return false;
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.threads = 2, .request = {.max_tokens = 128, .sample = {.top_p = 1, .repeat = 1}}};
    for (int i = 1; i < argc; i++) {
        if (i > 1 && argv[i][0] == '-' && argv[i][1] == '-' && i + 1 < argc && option(o, argv[i], argv[i + 1]))
            i++;
        else if (o->nwords < 4)
            o->words[o->nwords++] = argv[i];
        else
            return false;
    }
    return o->nwords >= 3;
}

static enum err read_text(const char *path, struct buf *to, struct error *e)
{
    return sys_read_file(AT_FDCWD, path, to, e);
}

static void print_token(const struct vocab *v, int32_t id)
{
    BUF_CLEANUP struct buf text = BUF_INIT(1024);
    vocab_decode(v, id, &text);
    for (size_t i = 0; i < text.n; i++)
        printf(text.p[i] >= ' ' && text.p[i] <= '~' ? "%c" : "\\x%02x", (unsigned char)text.p[i]);
}

static void print_reply(const struct session *s, const struct reply *reply)
{
    printf("%.*s\n", SLICE_ARG(buf_slice(&reply->text)));
    for (size_t i = 0; i < reply->ncalls; i++)
        printf("%.*s %.*s\n", SLICE_ARG(reply->calls[i].name), SLICE_ARG(reply->calls[i].arguments));
    fprintf(stderr, "%s: %llu in at %.0f a second, %llu out at %.0f a second, CPU %.2f s, stop %d", s->ops->name,
            (unsigned long long)reply->in, 1e9 * (double)reply->in / (double)reply->prefill_ns,
            (unsigned long long)reply->out, 1e9 * (double)reply->out / (double)reply->decode_ns,
            1e-9 * (double)reply->cpu_ns, (int)reply->stop);
    if (reply->mask_ns)
        fprintf(stderr, ", masks %.1f us a token%s", 1e-3 * (double)reply->mask_ns / (double)reply->out, reply->shortened ? ", shortened" : "");
    fprintf(stderr, "\n");
}

static enum err run_prompt(struct session *s, struct options *o, struct error *e)
{
    struct turn turns[2] = {{SLICE("system"), slice_of(o->system)}, {SLICE("user"), slice_of(o->words[2])}};
    o->request.turns = o->system ? turns : turns + 1;
    o->request.nturns = o->system ? 2 : 1;
    struct reply reply;
    enum err err = session_answer(s, &o->request, &reply, e);
    if (err)
        return err;
    print_reply(s, &reply);
    reply_release(&reply);
    return OK;
}

static enum err run_call(struct session *s, struct options *o, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(TOOLS_BYTES_MAX);
    struct tools tools = {0};
    if (o->nwords < 4)
        return error_set(e, ERR_USAGE, "--call takes a text and a file of tools");
    enum err err = read_text(o->words[3], &text, e);
    if (!err)
        err = tools_read(buf_slice(&text), &tools, e);
    o->request.tools = &tools;
    o->request.choice = !o->choice || !strcmp(o->choice, "any") ? CHOICE_ANY : !strcmp(o->choice, "none") ? CHOICE_NONE : CHOICE_AUTO;
    if (!err)
        err = run_prompt(s, o, e);
    tools_release(&tools);
    return err;
}

static enum err run_tokens(struct session *s, struct options *o, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(VOCAB_TEXT_MAX);
    TOKENS_CLEANUP struct tokens t = {0};
    enum err err = read_text(o->words[2], &text, e);
    if (err)
        return err;
    vocab_encode(s->vocab, buf_slice(&text), &t);
    for (size_t i = 0; i < t.n; i++) {
        printf("%d\t", t.id[i]);
        print_token(s->vocab, t.id[i]);
        printf("\n");
    }
    return OK;
}

static enum err run_parts(struct session *s, struct options *o, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(VOCAB_TEXT_MAX);
    enum err err = read_text(o->words[2], &text, e);
    size_t window = o->nwords > 3 ? strtoul(o->words[3], NULL, 10) : 2048;
    if (!err && window < CUT_WINDOW_MIN)
        err = error_set(e, ERR_USAGE, "a window of %zu tokens is too small", window);
    if (err)
        return err;
    struct slice rest = buf_slice(&text);
    uint64_t start = session_wall_ns();
    printf("%zu tokens in %zu bytes\n", vocab_count(s->vocab, rest), rest.n);
    fprintf(stderr, "counted in %.1f ms\n", 1e-6 * (double)(session_wall_ns() - start));
    while (rest.n) {
        size_t n = cut_next(s->vocab, rest, window);
        printf("%zu\t%zu tokens\n", text.n - rest.n + n, vocab_count(s->vocab, slice_sub(rest, 0, n)));
        rest = slice_sub(rest, n, rest.n);
    }
    return OK;
}

static void feed_all(struct model *m, const struct tokens *t)
{
    for (size_t at = 0; at < t->n; at += MODEL_BATCH) {
        size_t n = t->n - at < MODEL_BATCH ? t->n - at : MODEL_BATCH;
        model_feed(m, t->id + at, n, at, at + n == t->n);
    }
}

static enum err run_logits(struct session *s, struct options *o, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(VOCAB_TEXT_MAX);
    TOKENS_CLEANUP struct tokens t = {0};
    enum err err = read_text(o->words[2], &text, e);
    if (err)
        return err;
    vocab_encode(s->vocab, buf_slice(&text), &t);
    if (!t.n || t.n > model_shape(s->model)->context)
        return error_set(e, ERR_USAGE, "the text has %zu tokens", t.n);
    feed_all(s->model, &t);
    float *logits = model_logits(s->model);
    for (int i = 0; i < 32; i++) {
        size_t best = 0;
        for (size_t j = 1; j < model_shape(s->model)->vocab; j++)
            if (logits[j] > logits[best])
                best = j;
        printf("%zu\t%.5f\t", best, (double)logits[best]);
        print_token(s->vocab, (int32_t)best);
        printf("\n");
        logits[best] = -1e30f;
    }
    return OK;
}

/* One line a repeat, so that a script can put another engine's runs in between: start again, or read line by line. */
static enum err run_bench(struct session *s, struct options *o, struct error *e)
{
    size_t in = strtoul(o->words[2], NULL, 10), out = o->nwords > 3 ? strtoul(o->words[3], NULL, 10) : 0;
    size_t context = model_shape(s->model)->context, vocab = model_shape(s->model)->vocab;
    TOKENS_CLEANUP struct tokens t = {0};
    if (in > context || out > context)
        return error_set(e, ERR_USAGE, "the model's context holds %zu tokens", context);
    for (size_t i = 0; i < (in > out ? in : out); i++)
        tokens_add(&t, (int32_t)(i * 2654435761u % vocab));
    if (t.failed || !t.n)
        return error_set(e, ERR_USAGE, "nothing to do");
    model_feed(s->model, t.id, 1, 0, true); /* pages in the output matrix */
    t.n = in;
    uint64_t start = session_wall_ns(), cpu = session_cpu_ns();
    feed_all(s->model, &t);
    uint64_t middle = session_wall_ns(), cpu_middle = session_cpu_ns();
    for (size_t i = 0; i < out; i++)
        model_feed(s->model, t.id + i, 1, i, true);
    uint64_t end = session_wall_ns();
    printf("%s pp%zu=%.1f tg%zu=%.1f cpu_ms=%.1f/%.1f\n", s->ops->name, in, 1e9 * (double)in / (double)(middle - start),
           out, 1e9 * (double)out / (double)(end - middle), 1e-6 * (double)(cpu_middle - cpu),
           1e-6 * (double)(session_cpu_ns() - cpu_middle));
    return OK;
}

static enum err run(struct options *o, struct error *e)
{
    static const struct {
        const char *name;
        enum err (*run)(struct session *s, struct options *o, struct error *e);
    } commands[] = {
        {"--prompt", run_prompt}, {"--call", run_call}, {"--tokens", run_tokens}, {"--parts", run_parts},
        {"--logits", run_logits}, {"--bench", run_bench},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, o->words[0]))
            continue;
        FD_CLEANUP int fd = sys->openat(AT_FDCWD, o->words[1], O_RDONLY, 0);
        if (fd < 0)
            return error_errno(e, errno, "cannot open %s", o->words[1]);
        struct session s = {0};
        enum err err = session_open(fd, o->threads, o->context, getenv("CRANNOG_KERNEL"), &s, e);
        if (!err)
            err = commands[i].run(&s, o, e);
        session_close(&s);
        return err;
    }
    return error_set(e, ERR_USAGE, "there is no '%s'; see --help", o->words[0]);
}

int develop_main(int argc, char **argv)
{
    struct options o;
    struct error e;
    if (argc < 2 || !strcmp(argv[1], "--help")) {
        fputs(help, stdout);
        return argc < 2 ? 2 : 0;
    }
    if (!parse(argc, argv, &o)) {
        fputs(help, stderr);
        return 2;
    }
    enum err err = run(&o, &e);
    if (err)
        fprintf(stderr, "crannog-infer: %s\n", e.text);
    return err == OK ? 0 : err == ERR_USAGE ? 2 : 1;
}
