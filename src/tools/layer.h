#ifndef CRANNOG_TOOLS_LAYER_H
#define CRANNOG_TOOLS_LAYER_H
#include "layers/manifest.h"
#include "layers/survey.h"
struct layer_seal_answer { struct slice manifest; uint64_t left_out; struct slice left_example; };
void layer_seal_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover, bool copies, struct slice index);
enum err MUST_USE layer_seal_reply(struct slice reply, struct layer_seal_answer *ret, struct error *e);
void layer_copy_args(struct buf *args, struct slice root, struct slice to, struct slice cover, uint64_t bytes_max, struct slice manifest, const struct slice *folders, size_t n);
struct slice layer_copy_reply(struct slice reply);
void layer_squash_args(struct buf *args, const struct slice *folders, size_t n, struct slice manifest, struct slice to, bool whiteouts);
void layer_survey_args(struct buf *args, struct slice root, uint32_t uid, uint32_t gid, bool range, struct slice cover);
enum err MUST_USE layer_survey_reply(struct slice reply, struct survey *ret, struct error *e);
#endif
