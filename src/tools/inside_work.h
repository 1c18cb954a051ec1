/*
 * The tools of an agent as they run inside a jail; the engine's side is tools/work.h. Arguments and replies are messages
 * with the tags below. ROOT is absolute inside, PATH relative to it or absolute; `~` is not expanded.
 *
 *  work-read   ROOT PATH OFFSET LINES LIMIT -> TEXT FROM TO TOTAL SIZE [FOLDER] | MEDIA IMAGE SIZE
 *              anywhere that the jail shows. ERR_MISSING names what is near; ERR_UNSUPPORTED for what is no text, no PDF,
 *              no image, no folder (a FIFO, a device, what lies in /proc); ERR_LIMIT
 *  work-write  ROOT PATH CONTENT MODE       -> CREATED ADDED REMOVED BYTES
 *              below ROOT or /tmp, folders on the way are made. A link is followed where it leads below them, else
 *              ERR_DENIED. The file is replaced in one step and keeps its mode
 *  work-edit   ROOT PATH (OLD NEW ALL)...   -> WHY | REPLACED ADDED REMOVED LINE [NOTE]       tools/edit.h
 *  instruct    ROOT CWD EXTRA... LIMIT      -> (PATH TEXT)... (SKILL HEAD)... NOTE...
 *              of EXTRA, then of each folder from ROOT to CWD: AGENTS.override.md or AGENTS.md, CLAUDE.md or
 *              .claude/CLAUDE.md with its imports, CLAUDE.local.md; of ROOT also .claude/rules, and an OpenClaw workspace's
 *              files. Nothing that is not below ROOT or an EXTRA is read, whatever links say
 *
 * Nothing is waited for: what is opened for its bytes is a plain file. WALLS: a path is opened once without rights
 * (O_PATH), asked where it came to lie, and used by that descriptor only, so nobody can exchange it in between.
 */
#ifndef CRANNOG_TOOLS_INSIDE_WORK_H
#define CRANNOG_TOOLS_INSIDE_WORK_H

#include "base/buf.h"

enum inside_work_tag {
    WORK_ROOT = 1, WORK_PATH, WORK_OFFSET, WORK_LINES_MAX, WORK_LIMIT,
    WORK_TEXT, WORK_FROM, WORK_TO, WORK_TOTAL, WORK_SIZE, WORK_FOLDER, WORK_MEDIA, WORK_IMAGE,
    WORK_CONTENT, WORK_MODE, WORK_CREATED, WORK_ADDED, WORK_REMOVED,
    WORK_OLD, WORK_NEW, WORK_ALL, WORK_REPLACED, WORK_LINE, WORK_NOTE, WORK_WHY,
    WORK_CWD, WORK_EXTRA, WORK_SKILL, WORK_HEAD,
};

enum err MUST_USE inside_work_read(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_work_write(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_work_edit(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_instruct(struct slice args, struct buf *reply, struct error *e);

#endif
