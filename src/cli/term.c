#include "cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"

enum { REDRAW_MS = 100, BAR_CELLS = 16 };

void time_print(int64_t ms, struct buf *out)
{
    long long s = ms / 1000;
    if (s >= 3600)
        buf_addf(out, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        buf_addf(out, "%lld:%02lld", s / 60, s % 60);
}

static size_t columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

static void erase(struct bar *b)
{
    if (b->shown)
        fputs("\r\033[K", stderr);
    b->shown = 0;
}

/* How many lines of the run have an answer for people: the reported ones are those before it in plan order. */
static bool reportable(const struct line *l)
{
    return l->stage == STAGE_DONE || l->stage == STAGE_STUCK || l->stage == STAGE_SKIPPED;
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
    struct slice name = it->plan ? it->plan->name : r->is_exec ? SLICE("exec") : SLICE("check of the whole");
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
                 l->question == QUESTION_CONFLICT ? "keep|replace" : "retry|skip");
    }
    say(b, stuck ? "\033[33m" : l->stage == STAGE_DONE ? "\033[32m" : NULL, &text);
}

/* Lines are reported once each: `b->printed` counts them in the order of the plan, which is the order they end in. */
static void report(struct bar *b, const struct run_state *r, bool print)
{
    size_t seen = 0;
    for (size_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        bool head = !it->plan || it->plan->gathers || it->head.stage == STAGE_STUCK;
        for (size_t k = 0; k < it->npieces + (head ? 1 : 0); k++) {
            const struct line *l = k < it->npieces ? &it->pieces[k] : &it->head;
            if (!reportable(l))
                return;
            if (seen++ < b->printed)
                continue;
            if (print)
                report_line(b, r, it, l, k + 1, it->npieces);
            b->printed = seen;
        }
    }
}

void bar_begin(struct bar *b, const struct run_state *r)
{
    size_t total;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *b = (struct bar){.live = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0), .started_ms = sys->now_ms()};
    b->color = b->live && !(no_color && *no_color);
    b->used_at_start = r->used;
    run_progress(r, &b->done_at_start, &total);
    report(b, r, false);
    if (b->printed)
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

static void add_cells(struct buf *out, size_t done, size_t total, bool color)
{
    size_t full = total ? done * BAR_CELLS / total : 0;
    buf_add_text(out, color ? "\033[32m" : "");
    for (size_t i = 0; i < BAR_CELLS; i++) {
        if (i == full)
            buf_add_text(out, color ? "\033[90m" : "");
        buf_add_text(out, i < full ? "━" : color ? "━" : "┄");
    }
    buf_add_text(out, color ? "\033[0m" : "");
}

static void add_budget(struct buf *out, const struct run_state *r)
{
    int most = -1;
    double share = -1;
    for (int u = 0; u < UNITS; u++)
        if (r->budget.n[u] != AMOUNT_UNLIMITED && r->budget.n[u] > 0 && (double)r->used.n[u] / (double)r->budget.n[u] > share) {
            share = (double)r->used.n[u] / (double)r->budget.n[u];
            most = u;
        }
    if (most >= 0) {
        buf_addf(out, "  budget %.0f%%", share * 100);
    } else {
        buf_add_text(out, "  ");
        amount_print(UNIT_TOKENS, r->used.n[UNIT_TOKENS], out);
    }
}

static void add_rates(struct buf *out, const struct live *live)
{
    if (live->model_since_ms) {
        if (live->tokens_out)
            buf_addf(out, "  wrote %llu", (unsigned long long)live->tokens_out);
        else
            buf_addf(out, "  read %llu", (unsigned long long)live->tokens_in);
    }
    if (live->out_per_s > 0)
        buf_addf(out, "  %.0f/%.0f tok/s", live->in_per_s, live->out_per_s);
}

/* Cuts to `width` columns: every byte that is not a UTF-8 continuation or part of a colour counts one. */
static void fit(struct buf *b, size_t width)
{
    size_t col = 0, i = 0;
    while (i < b->n) {
        if (b->p[i] == '\033') {
            while (i < b->n && b->p[i] != 'm')
                i++;
            i++;
            continue;
        }
        if (((unsigned char)b->p[i] & 0xc0) != 0x80 && ++col > width)
            break;
        i++;
    }
    if (i < b->n) {
        b->n = i;
        buf_add_text(b, "\033[0m");
    }
}

static void draw(struct bar *b, const struct engine *g, const struct run_state *r)
{
    BUF_CLEANUP struct buf out = BUF_INIT(8192);
    size_t done, total, n = 0, of = 0;
    struct slice item = SLICE_NONE;
    const struct line *l = current(r, &item, &n, &of);
    int64_t now = sys->now_ms(), spent = now - b->started_ms;
    run_progress(r, &done, &total);
    add_cells(&out, done, total, b->color);
    buf_addf(&out, " %zu/%zu", done, total);
    if (l) {
        buf_addf(&out, "  %.*s", SLICE_ARG(item));
        if (of > 1)
            buf_addf(&out, " %zu of %zu", n, of);
        buf_addf(&out, ": %s", stage_name(l->stage));
        if (l->ncuts > 1 && l->stage == STAGE_ASK)
            buf_addf(&out, " part %zu/%zu", l->nparts + 1, l->ncuts);
    }
    add_rates(&out, &g->live);
    add_budget(&out, r);
    if (done > b->done_at_start && total > done) {
        buf_add_text(&out, "  left ");
        time_print(spent / (int64_t)(done - b->done_at_start) * (int64_t)(total - done), &out);
    }
    if (g->stopping)
        buf_add_text(&out, "  stopping…");
    fit(&out, columns() - 1);
    fprintf(stderr, "\r\033[K%s", buf_str(&out));
    fflush(stderr);
    b->shown = 1;
    b->drawn_ms = now;
}

void bar_update(struct bar *b, const struct engine *g, const struct run *r)
{
    report(b, &r->state, true);
    if (b->live && sys->now_ms() - b->drawn_ms >= REDRAW_MS)
        draw(b, g, &r->state);
}

void bar_end(struct bar *b)
{
    if (b->live)
        erase(b);
    fflush(stderr);
}
