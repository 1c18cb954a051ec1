/* crannog login: gives crannog a model or a server of models; says what there is. A key is asked for, never an argument. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/ask_key.h"
#include "cli/choose.h"
#include "door/client.h"

static int login_run(struct cli *c, int argc, char **argv);

const struct command cmd_login = {
    .name = "login",
    .usage = "[--base URL [--like anthropic]] [--list | --forget | --use] [NAME]",
    .summary = "give it a model or a server of models; says what was found",
    .help =
        "Without a name it looks for models: keys in the environment, servers on this machine (Ollama, LM Studio, llama.cpp,\n"
        "vLLM, LiteLLM), model files, and says which one it takes. With the name of a provider (anthropic, openai, openrouter,\n"
        "deepseek, moonshot, mistral, groq, xai) it asks for the key without showing it, tries it, and keeps it in the crannog's\n"
        "vault. Without a terminal the key is read from standard input; it is never an argument.\n\n"
        "  --base URL       a server of your own, under a NAME of your own; a key if it wants one\n"
        "  --like anthropic it speaks like Anthropic's; without this like OpenAI's\n"
        "  --list [NAME]    where models are, and which keys there are; with a name the models there\n"
        "  --forget NAME    its key goes from the vault, and a server of that name\n"
        "  --use NAME/MODEL the model that is taken from now on\n\n"
        "examples:\n  crannog login\n  crannog login anthropic\n  pass show mistral | crannog login mistral\n"
        "  crannog login --base http://10.0.0.7:8000/v1 box\n  crannog login --use ollama/qwen3:8b\n",
    .run = login_run,
};

enum { CHECK_MS = 15000, ARENA = 16 << 20 };

struct login {
    struct cli *c;
    struct arena a;
    struct choose_with with;
    const char *base, *like;
};

/* ---- what there is ---- */

static struct json *choice_json(const struct choice *ch)
{
    struct json *o = json_object();
    json_put_text(o, "model", ch->ref);
    json_put_text(o, "provider", ch->place.provider);
    json_put_text(o, "base", ch->place.base);
    if (ch->context)
        json_put_int(o, "context", ch->context);
    if (ch->price) {
        json_put_int(o, "input_nusd", ch->price->rates.input);
        json_put_int(o, "output_nusd", ch->price->rates.output);
    }
    return o;
}

static void print_found_json(const struct choose_found *f, const struct choice *taken)
{
    JSON_CLEANUP struct json *v = json_object();
    struct json *models = json_array(), *notes = json_array();
    for (size_t i = 0; i < f->n; i++)
        json_push(models, choice_json(&f->v[i]));
    for (size_t i = 0; i < f->n_notes; i++)
        json_push(notes, json_new_text(f->notes[i]));
    json_put(v, "models", models);
    json_put(v, "notes", notes);
    if (taken)
        json_put_text(v, "takes", taken->ref);
    cli_print_json(v);
}

/* crannog login: looks, tells, and makes nothing. */
static enum err say_found(struct login *l, struct error *e)
{
    BUF_CLEANUP struct buf told = BUF_INIT(64 * 1024);
    struct choose_found f;
    struct choice taken;
    enum err err = choose_find(&l->with, &l->a, &f, e);
    if (err)
        return err;
    err = choose_pick(&l->with, &f, NULL, &l->a, &taken, e);
    if (l->c->json) {
        print_found_json(&f, err ? NULL : &taken);
        return OK;
    }
    choose_tell(&f, err ? NULL : &taken, &told);
    fputs(buf_str(&told), stdout);
    return err && f.n ? err : OK; /* the one that was chosen cannot be used any more: say so too */
}

/* ---- places ---- */

static enum err find_places(struct login *l, struct model_place **ret, size_t *ret_n, struct error *e)
{
    struct config_server *own;
    size_t n;
    *ret = arena_array(&l->a, CHOOSE_PLACES_MAX, sizeof **ret);
    enum err err = choose_servers(&l->with, &l->a, &own, &n, e);
    if (err || !*ret)
        return err ? err : error_set(e, ERR_MEMORY, "no memory for the places of models");
    *ret_n = choose_places(own, n, l->with.names, l->with.n_names, *ret);
    return OK;
}

static enum err find_place(struct login *l, const char *name, struct model_place *ret, struct error *e)
{
    struct model_place *v;
    size_t n;
    enum err err = find_places(l, &v, &n, e);
    const struct model_place *p = err ? NULL : choose_place(v, n, slice_of(name));
    if (!err && !p)
        return error_set(e, ERR_USAGE, "there is no provider '%.40s' (anthropic, openai, openrouter, deepseek, moonshot, mistral, groq, "
                         "xai are known); a server of your own: crannog login --base URL %.40s", name, name);
    if (!err)
        *ret = *p;
    return err;
}

/* What the secret of a place is called: as the variable of its provider, or as the place. */
static struct slice secret_name(const struct model_place *p)
{
    const struct door_variable *v;
    for (size_t i = 0; slice_eq(p->name, p->provider) && (v = door_variable_at(i)); i++)
        if (slice_is(p->provider, v->provider))
            return slice_of(v->name);
    return p->name;
}

static enum err ask_models(struct login *l, const struct model_place *p, struct slice secret, struct door_look *ret, struct error *e)
{
    *ret = (struct door_look){.provider = p->provider, .base = p->base, .secret = secret};
    return door_look_at(&l->with.door, ret, 1, CHECK_MS, &l->a, e);
}

static enum err list_models(struct login *l, const char *name, struct error *e)
{
    struct model_place p;
    struct door_look look;
    JSON_CLEANUP struct json *all = json_array();
    enum err err = find_place(l, name, &p, e);
    if (!err && !choose_usable(&p))
        return error_set(e, ERR_MISSING, "there is no key for %.40s yet; `crannog login %.40s` asks for it", name, name);
    if (!err)
        err = ask_models(l, &p, p.secret, &look, e);
    if (!err && !look.answered)
        return error_set(e, ERR_IO, "%.40s does not say which models it has: %s", name, look.why);
    for (size_t i = 0; !err && i < look.n; i++) {
        struct choice ch;
        BUF_CLEANUP struct buf price = BUF_INIT(256);
        if (!choose_talks(look.models[i]) || (err = choose_make(&p, look.models[i], &l->a, &ch, e)))
            continue;
        choose_price_words(&ch, &price);
        if (l->c->json)
            json_push(all, choice_json(&ch));
        else
            printf("%-44.*s  %s\n", SLICE_ARG(ch.ref), buf_str(&price));
    }
    if (!err && l->c->json)
        cli_print_json(all);
    return err;
}

static const char *key_words(const struct model_place *p)
{
    return p->in_environment ? "key in the environment" : p->secret.n ? "key in the vault" : "no key";
}

/* Where models are; providers without a key are left out. */
static enum err list_places(struct login *l, struct error *e)
{
    JSON_CLEANUP struct json *all = json_array();
    struct model_place *v;
    size_t n, shown = 0;
    enum err err = find_places(l, &v, &n, e);
    for (size_t i = 0; !err && i < n; i++) {
        if (v[i].from == CHOOSE_KEY && !v[i].secret.n)
            continue;
        shown += v[i].from != CHOOSE_LOCAL;
        struct json *o = json_object();
        json_put_text(o, "name", v[i].name);
        json_put_text(o, "base", v[i].base);
        json_put_text(o, "key", slice_of(v[i].in_environment ? "environment" : v[i].secret.n ? "vault" : "none"));
        json_push(all, o);
        if (!l->c->json && v[i].from == CHOOSE_LOCAL && !v[i].secret.n)
            printf("%-14.*s  %-36.*s  found when it runs\n", SLICE_ARG(v[i].name), SLICE_ARG(v[i].base));
        else if (!l->c->json)
            printf("%-14.*s  %-36.*s  %s\n", SLICE_ARG(v[i].name), SLICE_ARG(v[i].base), key_words(&v[i]));
    }
    if (!err && l->c->json)
        cli_print_json(all);
    else if (!err && !shown)
        puts("no keys yet; `crannog login anthropic` asks for one");
    return err;
}

/* ---- giving a key ---- */

/* A key is tried under a name of its own, so that one that is refused replaces none that works. */
static enum err try_key(struct login *l, const struct model_place *p, struct slice key, struct door_look *ret, struct error *e)
{
    char name[128];
    snprintf(name, sizeof name, "%.*s.new", SLICE_ARG(secret_name(p)));
    enum err err = door_store(&l->with.door, slice_of(name), key, p->base, e);
    if (err)
        return err;
    err = ask_models(l, p, slice_of(name), ret, e);
    struct error later;
    enum err forgot = door_forget(&l->with.door, slice_of(name), err ? &later : e);
    return err ? err : forgot;
}

/* The model to take of what a place has: the known default, else the largest, else the first. */
static bool best_of(struct login *l, const struct model_place *p, const struct door_look *look, struct choice *ret)
{
    struct slice model = choose_default(p->provider, look->models, look->n);
    struct choice ch;
    bool found = false;
    if (model.n)
        return choose_make(p, model, &l->a, ret, NULL) == OK;
    for (size_t i = 0; i < look->n; i++) {
        if (!choose_talks(look->models[i]) || choose_make(p, look->models[i], &l->a, &ch, NULL) || (found && ch.size <= ret->size))
            continue;
        *ret = ch;
        found = true;
    }
    return found && (p->from != CHOOSE_KEY || look->n == 1);
}

static enum err say_usable(struct login *l, const struct model_place *p, const struct door_look *look, struct error *e)
{
    struct choice best;
    struct slice kept;
    BUF_CLEANUP struct buf price = BUF_INIT(256);
    printf("%.*s answers and has %zu model%s; `crannog login --list %.*s` shows them.\n", SLICE_ARG(p->name), look->n,
           look->n == 1 ? "" : "s", SLICE_ARG(p->name));
    enum err err = choose_recall(&l->with, &l->a, &kept, e);
    if (err)
        return err;
    if (!best_of(l, p, look, &best)) {
        printf("Say which one crannog is to use: crannog login --use %.*s/MODEL\n", SLICE_ARG(p->name));
        return OK;
    }
    if (kept.n && !slice_eq(kept, best.ref)) {
        printf("crannog goes on with %.*s; `crannog login --use %.*s` takes this one.\n", SLICE_ARG(kept), SLICE_ARG(best.ref));
        return OK;
    }
    choose_price_words(&best, &price);
    printf("crannog uses %.*s from now on (%s).\n", SLICE_ARG(best.ref), buf_str(&price));
    return choose_remember(&l->with, &best, e);
}

/* Tries the key, or the server without one, and keeps it unless it was refused. */
static enum err keep(struct login *l, struct model_place *p, struct slice key, struct error *e)
{
    struct door_look look;
    enum err err = key.n ? try_key(l, p, key, &look, e) : ask_models(l, p, SLICE_NONE, &look, e);
    if (!err && !look.answered && look.code == ERR_DENIED)
        return error_set(e, ERR_CORRUPT, "%.*s refuses %s: %s; nothing was kept", SLICE_ARG(p->name),
                         key.n ? "this key" : "to answer without a key", look.why);
    if (!err && key.n)
        err = door_store(&l->with.door, secret_name(p), key, p->base, e);
    if (!err && l->base)
        err = choose_keep_server(&l->with, &(struct config_server){p->name, p->provider, p->base}, e);
    if (err)
        return err;
    p->secret = key.n ? secret_name(p) : SLICE_NONE;
    if (look.answered)
        return say_usable(l, p, &look, e);
    BUF_CLEANUP struct buf why = BUF_INIT(4096);
    cli_print_safe(slice_of(look.why), &why);
    printf("%s kept, but could not be tried: %s\n`crannog login --list %.*s` tries again.\n", key.n ? "The key is" : "The server is",
           buf_str(&why), SLICE_ARG(p->name));
    return OK;
}

static enum err own_place(struct login *l, const char *name, struct model_place *ret, struct error *e)
{
    const struct provider *p = provider_find(slice_of(name));
    struct config_server s = {slice_of(name), SLICE("openai-compatible"), slice_of(l->base)};
    if (l->like && strcmp(l->like, "anthropic") == 0)
        s.provider = SLICE("anthropic-compatible");
    else if (l->like && strcmp(l->like, "openai") != 0)
        return error_set(e, ERR_USAGE, "--like wants `openai` or `anthropic`");
    if (p && !l->like)
        s.provider = p->name;
    while (slice_ends(s.base, SLICE("/")))
        s.base.n--;
    enum err err = config_server_check(&s, e);
    *ret = (struct model_place){s.name, s.provider, s.base, SLICE_NONE, CHOOSE_OWN, false};
    return err;
}

static enum err give(struct login *l, const char *name, struct error *e)
{
    ASK_KEY_CLEANUP struct ask_key key = {0};
    struct model_place p;
    char prompt[256];
    enum err err = l->base ? own_place(l, name, &p, e) : find_place(l, name, &p, e);
    if (err)
        return err;
    bool needs = p.from == CHOOSE_KEY;
    snprintf(prompt, sizeof prompt, "Key for %.*s at %.*s (it is not shown%s): ", SLICE_ARG(p.name),
             SLICE_ARG(slice_sub(p.base, 0, 120)),
             needs ? "" : "; Enter if it wants none");
    err = ask_key(prompt, &key, e);
    if (!err && !key.n && needs)
        err = error_set(e, ERR_USAGE, "no key was given; nothing was changed");
    return err ? err : keep(l, &p, (struct slice){key.p, key.n}, e);
}

/* ---- taking away, taking another ---- */

/* After a place has gone: whether its model was the one in use. */
static enum err say_orphan(struct login *l, struct slice place, struct error *e)
{
    struct slice kept;
    enum err err = choose_recall(&l->with, &l->a, &kept, e);
    if (!err && kept.n > place.n && slice_starts(kept, place) && kept.p[place.n] == '/')
        printf("crannog used %.*s; `crannog login --use PLACE/MODEL` takes another.\n", SLICE_ARG(kept));
    return err;
}

static enum err forget(struct login *l, const char *name, struct error *e)
{
    struct model_place p = {.name = slice_of(name), .provider = slice_of(name)};
    struct error why;
    bool server = false;
    if (!l->with.state.n)
        return error_set(e, ERR_MISSING, "there is no crannog yet, so nothing to forget");
    enum err err = choose_drop_server(&l->with, p.name, &server, e);
    if (err)
        return err;
    struct slice secret = secret_name(&p);
    enum err forgot = door_forget(&l->with.door, secret, &why);
    if (forgot && forgot != ERR_MISSING) {
        *e = why;
        return forgot;
    }
    if (!forgot)
        printf("The key %.*s is gone from the vault.\n", SLICE_ARG(secret));
    if (server)
        printf("The server %.40s is forgotten.\n", name);
    bool set = door_has_variable(secret.p);
    if (set)
        printf("$%.*s is set in your environment; crannog uses that one as long as it is.\n", SLICE_ARG(secret));
    if (!forgot || server)
        return say_orphan(l, p.name, e);
    return set ? OK : error_set(e, ERR_MISSING, "the vault has no key for '%.40s'; `crannog login --list` shows what it has", name);
}

static enum err use(struct login *l, const char *ref, struct error *e)
{
    struct choose_found f = {0}, *looked = NULL;
    struct choice ch;
    BUF_CLEANUP struct buf price = BUF_INIT(256);
    enum err err = OK;
    if (!strchr(ref, '/')) {
        err = choose_find(&l->with, &l->a, &f, e);
        looked = &f;
    }
    if (!err)
        err = choose_pick(&l->with, looked, ref, &l->a, &ch, e);
    if (!err)
        err = choose_remember(&l->with, &ch, e);
    if (err)
        return err;
    choose_price_words(&ch, &price);
    printf("crannog uses %.*s from now on (%s).\n", SLICE_ARG(ch.ref), buf_str(&price));
    return OK;
}

/* ---- the command ---- */

static bool has_key(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct slice word = slice_of(argv[i]);
        size_t eq = slice_index(word, '=');
        if (ask_key_looks_like_one(word) || ask_key_looks_like_one(slice_sub(word, eq + 1, word.n)))
            return true;
    }
    return false;
}

static int work(struct login *l, int what, const char *name)
{
    struct error e = {0};
    bool gives = what == 'U' || (what == 0 && name);
    enum err err = choose_open(l->c, gives, &l->a, &l->with, &e);
    if (!err)
        err = what == 'L'   ? (name ? list_models(l, name, &e) : list_places(l, &e))
              : what == 'F' ? forget(l, name, &e)
              : what == 'U' ? use(l, name, &e)
              : name        ? give(l, name, &e)
                            : say_found(l, &e);
    choose_close(&l->with);
    arena_release(&l->a);
    return err ? cli_fail(&e) : EXIT_DONE;
}

static int login_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"base", required_argument, NULL, 'B'}, {"like", required_argument, NULL, 'K'},
        {"list", no_argument, NULL, 'L'}, {"forget", no_argument, NULL, 'F'}, {"use", no_argument, NULL, 'U'}, {0}};
    struct login l = {.c = c, .a = ARENA_INIT(ARENA), .with.door = PEER_INIT};
    int status, what = 0;
    if (has_key(argc, argv))
        return cli_usage(&cmd_login, "that looks like a key. A key is never an argument: others on this machine can read it, and your shell "
                         "keeps it. Nothing was changed; make a new key, and give it when `crannog login NAME` asks");
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 'B')
            l.base = optarg;
        else if (o == 'K')
            l.like = optarg;
        else if (o == 'L' || o == 'F' || o == 'U')
            what = what && what != o ? -1 : o;
        else if (!cli_common(c, &cmd_login, o, &status) || status >= 0)
            return status;
    }
    const char *name = optind < argc ? argv[optind] : NULL;
    if (argc - optind > 1 || what == -1 || (what && l.base) || (l.like && !l.base))
        return cli_usage(&cmd_login, "one name, and one of --base, --list, --forget, --use at a time");
    if (!name && (l.base || what == 'F' || what == 'U'))
        return cli_usage(&cmd_login, "which one? %s", l.base ? "Give the server a NAME of your own" : what == 'F' ? "`crannog login --list` shows them"
                         : "NAME/MODEL; `crannog login` shows them");
    return work(&l, what, name);
}
