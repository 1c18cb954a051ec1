/* The applets of tools/layer.h, for the table in inside.c. */
#ifndef CRANNOG_TOOLS_INSIDE_LAYER_H
#define CRANNOG_TOOLS_INSIDE_LAYER_H

#include "jail/run.h"

enum err MUST_USE inside_survey(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_copy(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_seal(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_squash(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_apply(struct slice args, struct buf *reply, struct error *e);

#endif
