/*
 * What changes look like, as a unified diff. The applet `diff` puts both versions of each changed path into a scratch
 * folder of its jail and lets git compare them there (diff, where there is no git), with its output on the jail's.
 */
#ifndef CRANNOG_TOOLS_DIFF_H
#define CRANNOG_TOOLS_DIFF_H

#include "jail/run.h"
#include "layers/manifest.h"

enum { DIFF_FILE_MAX = 8 * 1024 * 1024 /* larger ones are named by size and hash */, DIFF_ALL_MAX = 200 * 1024 * 1024 };

struct diff_wish {
    bool taken_back; /* the manifest is that of an undo: show what it would take back */
    bool color, stat;
    unsigned columns; /* of --stat */
};

void diff_args(struct buf *args, struct slice root, struct slice manifest, const struct slice *folders, size_t n,
               const struct diff_wish *wish);

/* The applet (tools/inside.h): diff ROOT MANIFEST FOLDER... FLAGS COLUMNS -> (empty) */
enum err MUST_USE inside_diff(struct slice args, struct buf *reply, struct error *e);

#endif
