/*
 * Undo: what a run has put into its folder, as layers that take it back. The undo is a run of its own that lands them
 * (core/state.h, "take"), so it has a journal and an undo of its own; the run that is taken back keeps its journal.
 */
#ifndef CRANNOG_ENGINE_UNDO_H
#define CRANNOG_ENGINE_UNDO_H

#include "engine/machine.h"

/*
 * The layers for the run.started of `undo_run` that take back what `r` landed after its step `after` (0: everything),
 * newest first: undo layers of landings as they are; of documents that were landed one by one a new layer, made here from
 * the journal. *ret is an array, empty where there is nothing to take back; the caller frees it.
 */
enum err MUST_USE undo_layers(struct engine *g, const struct run_state *r, uint32_t after, uint64_t undo_run, struct json **ret,
                              struct error *e);

#endif
