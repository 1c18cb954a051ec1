/*
 * Landing: what an item wrote becomes a file of the person's. Its class is `redo`: the same intent is carried out again
 * and each path says by its stamp what is left to do (layers/landing.h L3).
 */
#include "context/document.h"
#include "engine/machine.h"
#include "layers/stamp.h"

/* What a line answered, as it may stand in a document. */
static enum err answer_of(struct engine *g, const struct line *l, struct arena *a, struct slice *ret, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(DOCUMENT_BYTES_MAX), source = BUF_INIT(DOCUMENT_BYTES_MAX),
                           clean = BUF_INIT(DOCUMENT_BYTES_MAX);
    enum err err = l->answer.bytes ? blob_get(g->store, &l->answer.blob, &text, e) : OK;
    if (!err && l->text.bytes)
        err = blob_get(g->store, &l->text.blob, &source, e);
    if (err)
        return err;
    document_without_invented_links(buf_slice(&text), buf_slice(&source), &clean);
    *ret = arena_copy(a, buf_slice(&clean));
    return ret->p ? buf_check(&clean, "an answer", e) : error_set(e, ERR_MEMORY, "the answers do not fit in memory");
}

static enum err compose(struct engine *g, struct run *r, const struct want *w, struct buf *out, struct error *e)
{
    const struct item_state *it = &r->state.items[w->item];
    const struct line *l = run_line(&r->state, w->item, w->piece);
    ARENA_CLEANUP struct arena a = ARENA_INIT(2 * (size_t)DOCUMENT_BYTES_MAX);
    enum err err = OK;
    if (w->piece != HEAD) {
        struct slice answer;
        err = answer_of(g, l, &a, &answer, e);
        if (!err)
            document_note(answer, l, out);
        return err;
    }
    struct slice *answers = arena_array(&a, it->npieces, sizeof *answers);
    if (!answers)
        return error_set(e, ERR_MEMORY, "the answers do not fit in memory");
    for (size_t i = 0; !err && i < it->npieces; i++)
        if (it->pieces[i].stage == STAGE_DONE)
            err = answer_of(g, &it->pieces[i], &a, &answers[i], e);
    if (!err && it->npieces == 1 && !it->pieces[0].source.n)
        document_note(answers[0], &it->pieces[0], out);
    else if (!err)
        document_gathered(&r->state, w->item, answers, out);
    return err;
}

static enum err landing_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct line *l = run_line(&r->state, w->item, w->piece);
    BUF_CLEANUP struct buf text = BUF_INIT(DOCUMENT_BYTES_MAX);
    struct hash content;
    enum err err = compose(g, r, w, &text, e);
    if (!err)
        err = buf_check(&text, "what the item writes", e);
    if (!err)
        err = blob_put(g->store, buf_slice(&text), &content, e);
    if (err)
        return err;
    ret->args = json_object();
    json_put_text(ret->args, "root", SLICE("work"));
    json_put_text(ret->args, "path", l->target);
    json_put_text(ret->args, "base", l->base);
    json_put_hash(ret->args, "content", &content);
    ret->worst.n[UNIT_CPU_NS] = 5000000000;
    ret->floor.n[UNIT_CPU_NS] = 100000000;
    ret->clamp = tool_clamp;
    return OK;
}

const struct act_row act_landing = {landing_prepare, tool_start, tool_cancel, tool_recover};
