/*
 * The tools that a model is told of, the rules it is given, and its calls as plain data. Pure.
 *
 * Every word here is paid with every request, so there are few: all of it together is less than 2,500 bytes as it is sent
 * (tests/unit/test_context_tools.c measures it).
 */
#ifndef CRANNOG_CONTEXT_TOOLS_H
#define CRANNOG_CONTEXT_TOOLS_H

#include "base/arena.h"
#include "base/buf.h"
#include "core/service.h"
#include "text/instruct.h"

enum tool { TOOL_READ = 1, TOOL_WRITE, TOOL_EDIT, TOOL_BASH, TOOL_SERVE, TOOL_ASK };
enum { TOOLS = 6, TOOL_EDITS_MAX = 100, TOOL_OPTIONS_MAX = 8, TOOL_BASH_S_MAX = 600 };

struct tool_row {
    enum tool tool;
    const char *name, *description;
    const char *schema; /* a JSON object, as text */
};
extern const struct tool_row tool_rows[TOOLS];
const char *tool_name(enum tool t);

/* ---- calls ---- */

struct tool_edit {
    struct slice old, new;
    bool all;
};

struct tool_call { /* what a tool does not have is 0; slices and arrays lie in the arena, NUL-terminated, UTF-8, without NUL */
    enum tool tool;
    struct slice path;        /* read, write, edit. Of a read it may be "step:17" ... */
    uint64_t step;            /*     and then this is 17 */
    uint64_t offset, lines;   /* read: from line (1 the first; 0: not said), how many (0: not said) */
    struct slice content;     /* write; may hold NUL */
    struct tool_edit *edits;  /* edit */
    size_t nedits;
    struct slice command;     /* bash; serve, or empty: only what runs is meant */
    struct slice name;        /* serve */
    uint16_t ports[SERVICE_PORTS_MAX]; /* serve */
    size_t nports;
    bool stop, writes;        /* serve */
    uint64_t timeout_s;       /* bash; 0: not said; at most TOOL_BASH_S_MAX */
    struct slice question;    /* ask */
    struct slice options[TOOL_OPTIONS_MAX]; /* ask: what there is to choose from */
    size_t noptions;
};

/*
 * Reads a call. Names and keys that models bring along from elsewhere are taken (Read, file_path, old_string, cmd, numbers
 * as text); a key that is unknown, twice in two spellings, or of another type is an error in words that a model can
 * mend: ERR_USAGE ("edit needs `path`; it got old, new"), ERR_CORRUPT for arguments that are no JSON object, ERR_MISSING for an unknown tool (the
 * text lists the tools), ERR_LIMIT, ERR_MEMORY.
 */
enum err MUST_USE tool_call_parse(struct slice name, struct slice arguments, struct arena *a, struct tool_call *ret, struct error *e);

/* ---- rules ---- */

struct system_prompt {
    struct slice work;  /* path of the work folder */
    struct slice place; /* one line of the caller: system, date */
    const struct instruction *texts;
    size_t ntexts;
    const struct skill *skills;
    size_t nskills;
};

/* Appends the text of the system's turn: the rules, where it works, skills, then instructions, so that what is the
   same for everybody stands first. What stands in texts and skills is untrusted: it cannot end its own block. */
void system_prompt(const struct system_prompt *p, struct buf *ret);

#endif
