#include "cli/hunks.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/diff.h"
#include "cli/hunks_ask.h"
#include "cli/tty.h"
#include "engine/chosen.h"
#include "engine/say.h"

enum { ARENA_BYTES = 512 << 20, TEXT_ARENA = 256 << 20, SHOWN_BYTES = 16 << 20 };

struct choosing {
    struct session s;
    struct run_state of; /* as it waits; nobody is kept from it while a person thinks */
    struct arena arena, of_arena;
    struct diffing d;    /* shows what has no hunks */
    struct manifest flat;
    struct part *parts;
    struct chosen_file *files;
    struct slice only;
    bool color, quit;
    enum hunks_word later; /* ALL or NONE: the answer to what is still to come of this path */
    size_t asked, taken;
};

static bool is_wanted(struct slice path, struct slice only)
{
    bool wanted = only.n == 0;
    for (struct slice line; !wanted && slice_line(&only, &line);) {
        while (line.n && line.p[line.n - 1] == '/')
            line.n--;
        wanted = slice_eq(path, line) || slice_below(path, line);
    }
    return wanted;
}

/* ---- the two texts ---- */

static bool is_text(struct slice s)
{
    return slice_index(s, '\0') == s.n;
}

static bool holds(const struct buf *b, const struct stamp *s)
{
    struct hash h = hash_of(buf_slice(b));
    return b->n == s->size && hash_eq(&h, &s->hash);
}

/* Whether a change may have hunks: one text becomes another, and both are short enough to be compared here. */
static bool may_part(const struct change *c)
{
    return c->before.type == STAMP_FILE && c->after.type == STAMP_FILE && !c->moved && c->before.size <= DIFF_FILE_MAX &&
           c->after.size <= DIFF_FILE_MAX && !hash_eq(&c->before.hash, &c->after.hash);
}

/* ---- asking ---- */

/* The answer to one question about a path; what was said of the rest of it, or of all, is not asked again. */
static bool take(struct choosing *k, struct slice path, const struct hunks_asked *about)
{
    if (k->quit || k->later == HUNKS_NONE)
        return false;
    if (k->later == HUNKS_ALL)
        return true;
    enum hunks_word word = hunks_ask(path, about, k->color);
    k->quit = word == HUNKS_QUIT;
    if (word == HUNKS_ALL || word == HUNKS_NONE)
        k->later = word;
    return word == HUNKS_YES || word == HUNKS_ALL;
}

static bool is_settled(const struct choosing *k)
{
    return k->quit || k->later == HUNKS_ALL || k->later == HUNKS_NONE;
}

/* A change that is taken whole: with everything that goes with it (G2), as a diff shows it. */
static enum err ask_whole(struct choosing *k, size_t i, struct error *e)
{
    const struct change *c = &k->flat.v[i];
    BUF_CLEANUP struct buf out = BUF_INIT(2 * SHOWN_BYTES), safe = BUF_INIT(8 * (size_t)SHOWN_BYTES);
    size_t n = 1;
    while (i + n < k->flat.n && k->parts[i + n].unit == i)
        n++;
    k->d.manifest = (struct manifest){k->flat.v + i, n};
    enum err err = diff_compare(&k->d, &out, e);
    if (err)
        return err;
    hunks_print_meta(c);
    diff_make_safe(buf_slice(&out), k->color, &safe);
    fwrite(safe.p, 1, safe.n, stdout);
    k->parts[i].taken = take(k, c->path, &(struct hunks_asked){hunks_kind(c), 1, 1}) ? PART_ALL : PART_NOT;
    return OK;
}

/* The file of which some is taken. What has the old text has the old time too. */
static enum err make_part(struct choosing *k, size_t i, const struct hunks *h, const bool *taken, bool mode, struct error *e)
{
    const struct change *c = &k->flat.v[i];
    BUF_CLEANUP struct buf text = BUF_INIT(2 * DIFF_FILE_MAX);
    hunks_join(h, taken, &text);
    enum err err = buf_check(&text, "a part of a file", e);
    struct slice kept = err ? SLICE_NONE : arena_copy(&k->arena, buf_slice(&text));
    if (!err && !kept.p)
        err = error_set(e, ERR_MEMORY, "what you chose does not fit into memory");
    if (err)
        return err;
    k->parts[i].taken = PART_SOME;
    k->files[i] = (struct chosen_file){.text = kept, .mode = mode ? c->after.mode : c->before.mode,
                                       .mtime_ns = holds(&text, &c->before) ? c->before.mtime_ns : 0};
    return OK;
}

/* A new mode comes before the hunks. */
static enum err ask_hunks(struct choosing *k, size_t i, const struct hunks *h, bool *taken, struct error *e)
{
    const struct change *c = &k->flat.v[i];
    bool has_mode = ((c->before.mode ^ c->after.mode) & 0777) != 0, mode = false;
    if (has_mode) {
        hunks_print_meta(c);
        mode = take(k, c->path, &(struct hunks_asked){"the new mode of ", 1, 1});
    }
    size_t n = mode;
    for (size_t t = 0; t < h->n; t++) {
        enum err err = is_settled(k) ? OK : hunks_print(h, t, k->color, e);
        if (err)
            return err;
        taken[t] = take(k, c->path, &(struct hunks_asked){h->n > 1 ? "hunk " : "the hunk of ", t + 1, h->n});
        n += taken[t];
    }
    if (n && n < h->n + has_mode)
        return make_part(k, i, h, taken, mode, e);
    k->parts[i].taken = n ? PART_ALL : PART_NOT;
    return OK;
}

/* A file that is another text now. One that somebody changed meanwhile cannot land, and would keep all else from it. */
static enum err ask_text(struct choosing *k, size_t i, struct error *e)
{
    const struct change *c = &k->flat.v[i];
    ARENA_CLEANUP struct arena a = ARENA_INIT(TEXT_ARENA);
    BUF_CLEANUP struct buf before = BUF_INIT(DIFF_FILE_MAX), after = BUF_INIT(DIFF_FILE_MAX);
    struct hunks h;
    enum err err = diff_read(&k->d, c->path, -1, &before, e);
    if (!err)
        err = diff_read(&k->d, c->path, c->layer, &after, e);
    if (err)
        return err;
    if (!holds(&before, &c->before)) {
        puts("It was changed by somebody else meanwhile, so it waits on; `crannog apply --replace` would put it over that.");
        return OK;
    }
    if (!holds(&after, &c->after))
        return error_set(e, ERR_CORRUPT, "the layer does not hold the %.*s that its manifest names", SLICE_ARG(slice_sub(c->path, 0, 200)));
    if (!is_text(buf_slice(&before)) || !is_text(buf_slice(&after)))
        return ask_whole(k, i, e);
    err = hunks_find(buf_slice(&before), buf_slice(&after), &a, &h, e);
    bool *taken = err ? NULL : arena_array(&a, h.n + 1, sizeof *taken);
    if (err)
        return err;
    return taken ? ask_hunks(k, i, &h, taken, e) : error_set(e, ERR_MEMORY, "the hunks of a file do not fit into memory");
}

static enum err ask_all(struct choosing *k, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && !k->quit && i < k->flat.n; i++) {
        const struct change *c = &k->flat.v[i];
        if (!k->parts[i].asked || !is_wanted(c->path, k->only))
            continue;
        k->asked++;
        k->later = (enum hunks_word)0;
        hunks_print_head(c, k->color);
        err = may_part(c) ? ask_text(k, i, e) : ask_whole(k, i, e);
        k->taken += k->parts[i].taken != PART_NOT;
    }
    if (!err && !k->asked)
        err = error_set(e, ERR_MISSING, "none of the changes is at or below the paths that were named");
    return err;
}

/* ---- before and after ---- */

static enum err cut_short(uint64_t run, struct error *e)
{
    return error_set(e, ERR_USAGE, "r%llu was stopped while its changes were put into the folder; `crannog apply r%llu` without --hunks "
                     "goes on with that", (unsigned long long)run, (unsigned long long)run);
}

static bool is_asking(const struct line *l)
{
    return l && l->stage == STAGE_STUCK && !l->landing;
}

/* What waits, as it is now. */
static enum err look(struct choosing *k, const char *named, struct error *e)
{
    uint64_t run;
    enum err err = cli_pick_run(k->s.store, named, &run, e);
    if (!err)
        err = session_look(&k->s, run, &k->of_arena, &k->of, e);
    if (!err && !is_asking(line_that_takes(&k->of)))
        err = cut_short(run, e);
    if (!err)
        err = layer_flatten(&k->s.engine, &k->of, &k->arena, &k->flat, e);
    if (!err)
        err = part_begin(&k->flat, &k->arena, &k->parts, e);
    if (err)
        return err;
    k->files = arena_array(&k->arena, k->flat.n + 1, sizeof *k->files);
    k->d.s = &k->s;
    k->d.work = k->of.work;
    k->d.arena = &k->arena;
    k->d.wish.color = k->color;
    for (size_t i = 0; i < k->of.nlayers; i++)
        k->d.names[k->d.nnames++] = k->of.layers[i].name;
    return k->files ? OK : error_set(e, ERR_MEMORY, "the changes do not fit into memory");
}

static bool same_manifest(const struct manifest *a, const struct manifest *b)
{
    BUF_CLEANUP struct buf x = BUF_INIT(MANIFEST_BYTES_MAX), y = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(a, &x);
    manifest_encode(b, &y);
    return buf_ok(&x) && buf_ok(&y) && slice_eq(buf_slice(&x), buf_slice(&y));
}

/* The answer with what was chosen; from here on it is in the journal. */
static enum err say(struct choosing *k, const struct line *l, struct error *e)
{
    struct json *chosen = NULL;
    enum err err = chosen_put(&k->s.engine, &k->s.run->state, l->question_step, &k->flat, k->parts, k->files, &chosen, e);
    if (err)
        return err;
    struct json *p = answer_word(l->question_step, l->question == QUESTION_APPLY ? SLICE("apply") : SLICE("retry"));
    json_put(p, "chosen", chosen);
    return engine_answer(&k->s.engine, k->s.run, p, e);
}

/* Takes the run up, if it still waits with the same, and lands what was chosen. */
static enum err land(struct choosing *k, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TEXT_ARENA);
    const struct line *l;
    struct manifest now;
    part_spread(&k->flat, k->parts);
    enum err err = session_take_up(&k->s, k->of.id, &l, e);
    if (!err && !is_asking(l))
        err = cut_short(k->of.id, e);
    if (!err)
        err = layer_flatten(&k->s.engine, &k->s.run->state, &a, &now, e);
    if (!err && !same_manifest(&k->flat, &now))
        err = error_set(e, ERR_CONFLICT, "what waits of r%llu was changed while you chose; nothing was taken, choose again", (unsigned long long)k->of.id);
    if (!err)
        err = say(k, l, e);
    if (!err)
        err = session_work(&k->s, e);
    if (!err)
        layer_tidy(&k->s.machine, &k->s.run->state);
    return err;
}

static int choose_and_land(struct choosing *k, const char *named)
{
    struct error e = {0};
    enum err err = look(k, named, &e);
    if (!err)
        err = ask_all(k, &e);
    if (!err && !k->taken) {
        fprintf(stderr, "nothing was chosen; all of it waits on\n");
        return EXIT_WAITING;
    }
    if (!err)
        err = land(k, &e);
    if (err)
        return cli_fail(&e);
    (void)session_tell_changes(&k->s);
    return session_exit(&k->s.run->state);
}

int hunks_apply(struct cli *c, const char *named, struct slice only)
{
    static struct choosing k; /* large */
    struct error e = {0};
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        (void)error_set(&e, ERR_USAGE, "--hunks asks about each change, so it wants a terminal; without one, name the PATHs to take");
        return cli_fail(&e);
    }
    k = (struct choosing){.arena = ARENA_INIT(ARENA_BYTES), .of_arena = ARENA_INIT(RUN_ARENA_BYTES), .only = only,
                          .color = tty_color(STDOUT_FILENO)};
    enum err err = session_open(&k.s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    k.s.quiet = true;
    int status = choose_and_land(&k, named);
    session_close(&k.s);
    arena_release(&k.arena);
    arena_release(&k.of_arena);
    return status;
}
