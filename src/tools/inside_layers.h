/*
 * Applets of layers (layers/seal.h, copy.h, squash.h, survey.h) as they run inside a jail. The engine's side is
 * tools/layer.h. Arguments and replies are messages with the tags below; paths are absolute inside.
 *
 *  seal    ROOT LAYER BEGAN_NS COVER BACKEND MANIFEST INDEX -> MANIFEST LEFT_OUT EXAMPLE
 *          MANIFEST: of the layers below, flattened (overlay; may be missing); INDEX: what copy gave (copy)
 *  copy    ROOT TO COVER BYTES_MAX MANIFEST FOLDER... -> INDEX     MANIFEST: flattened, may be missing; a FOLDER a layer
 *  squash  FOLDER... MANIFEST TO WHITEOUTS -> (nothing)
 *  survey  ROOT UID GID RANGE COVER -> FILES FOLDERS CUT OWNER GROUP SPECIAL EXAMPLE MASKED... MASKED_CUT
 *
 * A number is 0 and a text is empty where it is missing.
 */
#ifndef CRANNOG_TOOLS_INSIDE_LAYERS_H
#define CRANNOG_TOOLS_INSIDE_LAYERS_H

#include "base/buf.h"

enum inside_layer_tag {
    LAYER_ROOT = 100, LAYER_LAYER, LAYER_TO, LAYER_FOLDER, LAYER_COVER,
    LAYER_BEGAN_NS, LAYER_BACKEND, LAYER_MANIFEST, LAYER_INDEX, LAYER_BYTES_MAX, LAYER_WHITEOUTS,
    LAYER_LEFT_OUT, LAYER_EXAMPLE,
    LAYER_UID, LAYER_GID, LAYER_RANGE,
    LAYER_FILES, LAYER_FOLDERS, LAYER_CUT, LAYER_OWNER, LAYER_GROUP, LAYER_SPECIAL, LAYER_MASKED, LAYER_MASKED_CUT,
};

enum layer_backend { LAYER_OVERLAY = 0, LAYER_COPY = 1 };

enum err MUST_USE inside_seal(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_copy(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_squash(struct slice args, struct buf *reply, struct error *e);
enum err MUST_USE inside_survey(struct slice args, struct buf *reply, struct error *e);

#endif
