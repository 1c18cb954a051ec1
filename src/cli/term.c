#include "cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"

enum { REDRAW_MS = 100 };

void time_print(int64_t ms, struct buf *out)
{
    long long s = ms / 1000;
    if (s >= 3600)
        buf_addf(out, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        buf_addf(out, "%lld:%02lld", s / 60, s % 60);
}

static void erase(struct bar *b)
{
    if (b->shown)
        fputs("\r\033[K", stderr);
    b->shown = false;
}

static void say(struct bar *b, const char *color, const struct buf *text)
{
    erase(b);
    if (b->color && color)
        fprintf(stderr, "%s%s\033[0m\n", color, buf_str(text));
    else
        fprintf(stderr, "%s\n", buf_str(text));
}

static void report_line(struct bar *b, const struct run_state *r, const struct item_state *it, const struct line *l, size_t n, size_t total)
{
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    struct slice name = it->kind == ITEM_CHECK ? SLICE("check of the whole") : item_name(it);
    bool stuck = l->stage == STAGE_STUCK;
    buf_addf(&text, "%s %.*s", stuck ? "!" : l->stage == STAGE_SKIPPED ? "-" : "+", SLICE_ARG(name));
    if (total > 1 && l != &it->head)
        buf_addf(&text, " %zu/%zu", n, total);
    if (l->source.n) {
        buf_add_text(&text, "  ");
        cli_print_safe(l->source, &text);
    }
    if (l->stage == STAGE_DONE && l->target.n && it->plan && (l == &it->head || !it->plan->gathers)) {
        buf_add_text(&text, " -> ");
        cli_print_safe(l->target, &text);
    }
    if (stuck) {
        buf_addf(&text, ": ");
        cli_print_safe(slice_of(l->why), &text);
        buf_addf(&text, " [crannog answer r%llu.%u %s]", (unsigned long long)r->id, l->question_step,
                 question_words(l));
    }
    say(b, stuck ? "\033[33m" : l->stage == STAGE_DONE ? "\033[32m" : NULL, &text);
}

enum { TOLD_NOTHING = 0, TOLD_END = UINT32_MAX }; /* between: the number of the question that was told */

/* What was told of an item's lines: its pieces, then its head. NULL while its pieces are not known, or without memory. */
static uint32_t *told_of(struct bar *b, const struct item_state *it, size_t i)
{
    if (!b->told[i] && (it->npieces || it->head.stage == STAGE_STUCK || it->head.stage == STAGE_DONE)) {
        b->told[i] = sys->realloc(NULL, (it->npieces + 1) * sizeof **b->told);
        if (b->told[i])
            memset(b->told[i], 0, (it->npieces + 1) * sizeof **b->told);
        b->ntold[i] = it->npieces;
    }
    if (b->told[i] && b->ntold[i] != it->npieces) { /* a list that failed and was asked for again */
        sys->free(b->told[i]);
        b->told[i] = NULL;
        return told_of(b, it, i);
    }
    return b->told[i];
}

/* The number that says what there is to tell of a line, TOLD_NOTHING while it is under way. */
static uint32_t news(const struct item_state *it, const struct line *l)
{
    if (l->stage == STAGE_STUCK)
        return l->question_step;
    if (l->stage != STAGE_DONE && l->stage != STAGE_SKIPPED)
        return TOLD_NOTHING;
    bool silent = l == &it->head && it->plan && !it->plan->gathers; /* its pieces have said it all */
    return silent ? TOLD_NOTHING : TOLD_END;
}

/* Each end and each question is told once; with `print` false, ends before this session are only noted. */
static void report(struct bar *b, const struct run_state *r, bool print)
{
    for (size_t i = 0; i < r->nitems && i < BAR_ITEMS_MAX; i++) {
        const struct item_state *it = &r->items[i];
        uint32_t *told = told_of(b, it, i);
        for (size_t k = 0; told && k <= it->npieces; k++) {
            const struct line *l = k < it->npieces ? &it->pieces[k] : &it->head;
            uint32_t is = news(it, l);
            if (is == TOLD_NOTHING || told[k] == is || (!print && is != TOLD_END))
                continue;
            if (print)
                report_line(b, r, it, l, k + 1, it->npieces);
            told[k] = is;
        }
    }
}

void bar_begin(struct bar *b, const struct run_state *r, const struct amounts *left)
{
    size_t total;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *b = (struct bar){.live = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0), .started_ms = sys->now_ms()};
    b->color = b->live && !(no_color && *no_color);
    for (int u = 0; u < UNITS; u++)
        b->budget.n[u] = left->n[u] == AMOUNT_UNLIMITED ? AMOUNT_UNLIMITED : left->n[u] + r->used.n[u];
    run_progress(r, &b->done_at_start, &total);
    report(b, r, false);
    if (r->seq > 1)
        fprintf(stderr, "going on: %zu of %zu were finished before\n", b->done_at_start, total);
}

static const struct line *current(const struct run_state *r, struct slice *ret_item, size_t *ret_n, size_t *ret_total)
{
    for (size_t i = 0; i < r->nopen; i++) {
        const struct item_state *it = &r->items[r->open[i].item];
        *ret_item = it->plan ? it->plan->name : SLICE("check");
        *ret_n = r->open[i].piece == HEAD ? it->npieces : (size_t)r->open[i].piece + 1;
        *ret_total = it->npieces;
        return run_line_const(r, r->open[i].item, r->open[i].piece);
    }
    return NULL;
}

static void add_cells(struct buf *out, size_t done, size_t total, size_t cells, bool color)
{
    size_t full = total ? done * cells / total : 0;
    buf_add_text(out, color ? "\033[32m" : "");
    for (size_t i = 0; i < cells; i++) {
        if (i == full)
            buf_add_text(out, color ? "\033[90m" : "");
        buf_add_text(out, i < full ? "━" : color ? "━" : "┄");
    }
    buf_add_text(out, color ? "\033[0m" : "");
}

static void add_budget(struct buf *out, const struct bar *b, const struct run_state *r)
{
    int most = -1;
    double share = -1;
    for (int u = 0; u < UNITS; u++)
        if (b->budget.n[u] != AMOUNT_UNLIMITED && b->budget.n[u] > 0 && (double)r->used.n[u] / (double)b->budget.n[u] > share) {
            share = (double)r->used.n[u] / (double)b->budget.n[u];
            most = u;
        }
    if (most >= 0) {
        buf_addf(out, "  budget %.0f%%", share * 100);
    } else {
        buf_add_text(out, "  ");
        amount_print(UNIT_TOKENS, r->used.n[UNIT_TOKENS], out);
    }
}

static void add_rates(struct buf *out, const struct live *live, bool narrow)
{
    if (live->model_since_ms && live->tokens_out && !narrow)
        buf_addf(out, "  wrote %llu", (unsigned long long)live->tokens_out);
    else if (live->model_since_ms && live->tokens_in && !narrow)
        buf_addf(out, "  read %llu", (unsigned long long)live->tokens_in);
    if (live->out_per_s > 0 && narrow)
        buf_addf(out, "  %.0f tok/s", live->out_per_s);
    else if (live->out_per_s > 0) /* of the last call: reading, writing */
        buf_addf(out, "  %.0f/%.0f tok/s", live->in_per_s, live->out_per_s);
}

static void add_left(struct buf *out, const struct bar *b, size_t done, size_t total)
{
    if (done <= b->done_at_start || total <= done)
        return;
    buf_add_text(out, "  left ");
    time_print((sys->now_ms() - b->started_ms) / (int64_t)(done - b->done_at_start) * (int64_t)(total - done), out);
}

static void add_current(struct buf *out, const struct run_state *r, bool words, bool narrow)
{
    size_t n = 0, of = 0;
    struct slice item = SLICE_NONE;
    const struct line *l = current(r, &item, &n, &of);
    if (!l)
        return;
    buf_addf(out, "  %.*s", SLICE_ARG(item));
    if (of > 1)
        buf_addf(out, narrow ? " %zu/%zu" : " %zu of %zu", n, of);
    if (words)
        buf_addf(out, ": %s", cli_stage_words(slice_of(stage_name(l->stage))));
    if (l->ncuts > 1 && l->stage == STAGE_ASK)
        buf_addf(out, " part %zu/%zu", l->nparts + 1, l->ncuts);
}

/* What does not fit is left out from the least telling on: the bar itself, the stage, what was read, the budget. */
static void draw(struct bar *b, const struct engine *g, const struct run_state *r)
{
    BUF_CLEANUP struct buf out = BUF_INIT(8192);
    size_t done, total, width = cli_columns(STDERR_FILENO) - 3; /* room for the ^C that a terminal echoes */
    bool narrow = width < 58, wide = width >= 96;
    run_progress(r, &done, &total);
    if (!narrow)
        add_cells(&out, done, total, wide ? 16 : 10, b->color);
    buf_addf(&out, "%s%zu/%zu", narrow ? "" : " ", done, total);
    add_current(&out, r, wide, narrow);
    cli_fit(&out, width);
    for (int part = 0; part < 4; part++) {
        size_t before = out.n;
        switch (part) {
        case 0: buf_add_text(&out, g->stopping ? "  stopping…" : ""); break;
        case 1: add_left(&out, b, done, total); break;
        case 2: add_rates(&out, &g->live, narrow); break;
        default: add_budget(&out, b, r);
        }
        if (!cli_fits(&out, width))
            cli_cut(&out, before);
    }
    fprintf(stderr, "\r\033[K%s", buf_str(&out));
    fflush(stderr);
    b->shown = true;
    b->drawn_ms = sys->now_ms();
}

void bar_update(struct bar *b, const struct engine *g, const struct run *r)
{
    report(b, &r->state, true);
    if (b->live && sys->now_ms() - b->drawn_ms >= REDRAW_MS)
        draw(b, g, &r->state);
}

void bar_end(struct bar *b, const struct run_state *r)
{
    if (b->live)
        erase(b);
    report(b, r, true);
    for (size_t i = 0; i < BAR_ITEMS_MAX; i++)
        sys->free(b->told[i]);
    memset(b->told, 0, sizeof b->told);
    fflush(stderr);
}
