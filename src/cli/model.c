/* crannog model: which local models are there; `model get` takes a GGUF in. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "infer/weights.h"

static int model_run(struct cli *c, int argc, char **argv);

const struct command cmd_model = {
    .name = "model",
    .usage = "[get FILE.gguf]",
    .summary = "local models: what is there, take one in",
    .help =
        "  get FILE.gguf  checks that crannog can run it and copies it into the crannog: llama architecture,\n"
        "                 weights in " WEIGHT_FORMATS "\n\n"
        "examples:\n  crannog model\n  crannog model get ~/Downloads/smollm2-135m-instruct-q4_1.gguf\n",
    .run = model_run,
};

static int list(struct cli *c)
{
    BUF_CLEANUP struct buf folder = BUF_INIT(4096);
    JSON_CLEANUP struct json *v = json_object();
    struct json *models = json_array();
    buf_addf(&folder, "%s/.crannog/models", buf_str(&c->crannog));
    FD_CLEANUP int dir = sys->openat(AT_FDCWD, buf_str(&folder), O_RDONLY | O_DIRECTORY, 0);
    DIR *d = dir < 0 ? NULL : opendir(buf_str(&folder));
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct slice file = slice_of(entry->d_name);
        struct stat st;
        if (!slice_ends(file, SLICE(".gguf")) || entry->d_name[0] == '.' || sys->fstatat(dir, entry->d_name, &st, 0) < 0)
            continue;
        struct json *o = json_object();
        json_put_text(o, "name", slice_sub(file, 0, file.n - 5));
        json_put_int(o, "bytes", st.st_size);
        json_push(models, o);
    }
    if (d)
        closedir(d);
    json_put(v, "models", models);
    if (c->json) {
        cli_print_json(v);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < json_count(models); i++) {
        BUF_CLEANUP struct buf line = BUF_INIT(1024);
        cli_print_safe(json_text(json_get(json_at(models, i), "name")), &line);
        printf("%s  %lld MB\n", buf_str(&line), (long long)json_int(json_get(json_at(models, i), "bytes"), 0) / 1000000);
    }
    if (json_count(models) == 0)
        puts("no models yet; take one in with `crannog model get FILE.gguf`");
    return EXIT_DONE;
}

static enum err copy(int from, const char *to, struct error *e)
{
    BUF_CLEANUP struct buf tmp = BUF_INIT(4096);
    buf_addf(&tmp, "%s.new", to);
    FD_CLEANUP int out = sys->openat(AT_FDCWD, buf_str(&tmp), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (out < 0)
        return error_errno(e, errno, "cannot create %s", buf_str(&tmp));
    static char chunk[1 << 20];
    enum err err = OK;
    for (off_t at = 0; !err;) {
        ssize_t n = sys->pread(from, chunk, sizeof chunk, at);
        if (n < 0)
            err = error_errno(e, errno, "cannot read the model");
        if (n <= 0)
            break;
        err = sys_write_all(out, (struct slice){chunk, (size_t)n}, buf_str(&tmp), e);
        at += n;
    }
    if (!err && (sys->fsync(out) < 0 || sys->renameat2(AT_FDCWD, buf_str(&tmp), AT_FDCWD, to, 0) < 0))
        err = error_errno(e, errno, "cannot keep %s", to);
    if (err)
        sys->unlinkat(AT_FDCWD, buf_str(&tmp), 0);
    return err;
}

static int get(struct cli *c, const char *file)
{
    struct error e;
    struct model_facts facts;
    BUF_CLEANUP struct buf to = BUF_INIT(4096), about = BUF_INIT(1024);
    const char *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    if (!slice_ends(slice_of(name), SLICE(".gguf")) || name[0] == '.')
        return cli_usage(&cmd_model, "a model is a file with a name like smollm2.gguf, not %.80s", name);
    FD_CLEANUP int fd = -1;
    enum err err = cli_open_file(file, "the model", &fd, &e);
    if (!err)
        err = cli_try_model(fd, name, &facts, &e);
    if (!err)
        err = cli_make_crannog(c, &e);
    if (err)
        return cli_fail(&e);
    buf_addf(&to, "%s/.crannog/models/%s", buf_str(&c->crannog), name);
    err = copy(fd, buf_str(&to), &e);
    if (err)
        return cli_fail(&e);
    cli_print_safe(slice_sub(slice_of(name), 0, strlen(name) - 5), &about);
    printf("%s: %s, %llu layers, %llu wide, %llu tokens in its vocabulary\n", buf_str(&about), facts.arch,
           (unsigned long long)facts.layers, (unsigned long long)facts.width, (unsigned long long)facts.vocab);
    return EXIT_DONE;
}

static int model_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_model, o, &status) || status >= 0)
            return status;
    if (optind == argc)
        return list(c);
    if (strcmp(argv[optind], "get") != 0 || argc - optind != 2)
        return cli_usage(&cmd_model, "say `model get FILE.gguf`");
    return get(c, argv[optind + 1]);
}
