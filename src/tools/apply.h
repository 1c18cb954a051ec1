#ifndef CRANNOG_TOOLS_APPLY_H
#define CRANNOG_TOOLS_APPLY_H
#include "layers/landing.h"
struct apply_answer { enum landing_result result; struct manifest undo, left; struct slice *whys; size_t nwhys; };
void apply_args(struct buf *args, struct slice root, struct slice manifest, const struct slice *folders, size_t n, struct slice undo, struct slice name, bool guarded, bool replace, bool rewind);
enum err MUST_USE apply_reply(struct slice reply, struct arena *a, struct apply_answer *ret, struct error *e);
#endif
