/* What the files of the talking terminal share. */
#ifndef CRANNOG_CLI_SCREEN_INTERNAL_H
#define CRANNOG_CLI_SCREEN_INTERNAL_H

#include "cli/area.h"
#include "cli/flow.h"
#include "cli/lineedit.h"
#include "cli/markdown.h"
#include "cli/pick.h"
#include "cli/screen.h"
#include "cli/tty.h"

enum {
    FRAME_MS = 33, SPIN_MS = 100,
    TWICE_MS = 1000,          /* a key meant twice comes again within this */
    FOLDS = 16, FOLD_MAX = 64 << 10, /* together 1 MiB */
    THOUGHT_MAX = 64 << 10,
    TITLE_MAX = 1024, ABOVE_MAX = 4 << 20, ABOVE_DRAW = 64 << 10,
};

/* What was written last into the scrollback, for the empty lines between. */
enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_SAID, BLOCK_ACT, BLOCK_NOTE };

struct act {
    uint64_t id;
    struct buf tool, title, note;
    int64_t since_ms;
};

struct fold {
    struct buf title, text;
    bool shown;
};

struct screen {
    struct screen_options o;
    struct look look;
    bool plain;
    struct tty tty;
    size_t columns, rows;
    struct keys keys;
    struct lineedit *edit;
    struct area area;
    struct buf above;         /* rows for the scrollback that were not drawn yet */
    size_t lost;              /* rows that a terminal which took nothing never got */
    int64_t drawn_ms;
    bool dirty, urgent;       /* to be drawn; now, since a person waits for it */
    bool given_away;          /* suspended */

    enum block last;
    struct markdown text;
    bool texting;
    struct buf thought;
    int64_t thinking_ms;      /* since when; 0: not */
    struct act acts[SCREEN_ACTS_MAX];
    size_t nacts;
    struct fold folds[FOLDS]; /* the latest is last */
    size_t nfolds;

    struct screen_status status;
    struct buf state, model, hint;
    struct buf queue[SCREEN_QUEUE_MAX];
    size_t nqueue;

    int64_t esc_ms, ctrl_c_ms;
    const char *flash;        /* in place of the hint for a second */
    int64_t flash_ms;
    bool eof, exited;
    struct buf line;          /* plain: input that is no line yet */
    bool prompted;
    struct buf event_text, event_paths;
};

/* ---- screen_draw.c ---- */
void screen_draw(struct screen *s, bool now);   /* when it is time to */
void screen_dirty(struct screen *s);
const char *spinner(const struct look *look, int64_t since_ms, int64_t now_ms);
void seconds_print(int64_t ms, struct buf *out); /* "0.4 s", "12 s", "3:05" */

/* ---- screen_status.c ---- */
void status_rule(const struct screen *s, struct buf *out);
void status_line(const struct screen *s, struct buf *out);

/* ---- screen_act.c ---- */
void act_live(const struct act *a, const struct screen *s, int64_t now_ms, struct buf *out);
void fold_add(struct screen *s, struct slice title, struct slice text);
void fold_show(struct screen *s); /* the latest that was not shown */

/* ---- screen_say.c ---- */
void say_begin(struct screen *s, enum block b);  /* what is under way ends; an empty line where the kind changes */
void thought_end(struct screen *s);

/* ---- screen_input.c ---- */
bool input_plain(struct screen *s, struct screen_event *ret);
bool input_keys(struct screen *s, struct screen_event *ret);
bool input_is_picture(struct slice pasted, struct buf *ret_path);

#endif
