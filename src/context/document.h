/*
 * Documents that the runtime writes from answers: the answer, and a reference to what it was made from that no model
 * has touched. References stand in `sha256sum -c` format, indented by four spaces, so any tool can check them.
 */
#ifndef CRANNOG_CONTEXT_DOCUMENT_H
#define CRANNOG_CONTEXT_DOCUMENT_H

#include "core/state.h"

enum { DOCUMENT_BYTES_MAX = 4 * 1024 * 1024 };

/*
 * An answer without the links that its source does not hold: a model invents addresses, and no document of ours passes
 * one on as if somebody had read it. Each becomes "(a link that is not in the source)". Appends.
 */
void document_without_invented_links(struct slice answer, struct slice source, struct buf *out);
/* The answer of one piece with its source:  TEXT, "## Source", "    <sha256>  <path>". */
void document_note(struct slice answer, const struct line *l, struct buf *out);
/*
 * The answers of an item's pieces, in order, a statement each ("- text [n]"), and for each the file it was made from
 * and what that one was made from (run_writer_of). `answers[i]` is the text of piece i; skipped pieces are left out.
 */
void document_gathered(const struct run_state *r, uint32_t item, const struct slice *answers, struct buf *out);
/* A document of document_note() without its reference: what a model is shown of it. Other text is given back whole. */
struct slice document_body(struct slice text);

#endif
