/*
 * What files tell an agent: instructions (AGENTS.md and its relatives) and skills (agentskills.io: a folder with SKILL.md).
 *
 * Plain data that tools/work.h brings out of a jail and context/tools.h shows to a model, and the pure reader of a
 * SKILL.md. Of a skill only name and description are shown; a model reads the body when it needs it.
 */
#ifndef CRANNOG_TEXT_INSTRUCT_H
#define CRANNOG_TEXT_INSTRUCT_H

#include "base/arena.h"

enum {
    SKILL_HEAD_MAX = 16 * 1024,     /* bytes of a SKILL.md that are looked at */
    SKILL_NAME_MAX = 64,
    SKILL_DESCRIPTION_MAX = 1024,   /* bytes; longer ones are cut at a character with "…" */
    SKILLS_MAX = 200,
};

struct instruction {
    struct slice path; /* relative to the work folder, or absolute: what the tool `read` takes */
    struct slice text; /* UTF-8 */
};

struct skill {
    struct slice name, description; /* UTF-8, one line each */
    struct slice path;              /* of its SKILL.md, as above */
};

/*
 * Reads the beginning of a SKILL.md. Lenient: unknown keys, a name that is not the folder's, front matter that is no YAML
 * but has lines `name:` and `description:`, no front matter at all (then the folder's name and the first paragraph).
 * *ret_note says what was wrong (empty: nothing); `path` is borrowed, the rest lies in the arena. ERR_CORRUPT for what
 * has no description to be had, with its reason; ERR_MEMORY.
 */
enum err MUST_USE skill_read(struct slice head, struct slice path, struct arena *a, struct skill *ret, struct slice *ret_note,
                             struct error *e);

#endif
