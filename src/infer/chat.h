/*
 * How a model is spoken to: the template that its file carries, of which one kind is known.
 *
 * ChatML is a list of "<|im_start|>role\ntext<|im_end|>\n", ended by "<|im_start|>assistant\n". Some models' templates
 * put a system text of their own first where a conversation has none; it is taken out of the template. A model without
 * ChatML gets the texts alone, with an empty line between them.
 *
 * Tools are told of at the end of the system's turn, and what a tool said is a turn of the user: infer/tools.h.
 *
 *   C1  Only the template makes control tokens, the texts never do.
 */
#ifndef CRANNOG_INFER_CHAT_H
#define CRANNOG_INFER_CHAT_H

#include "infer/vocab.h"

struct chat {
    int32_t open, close; /* <|im_start|>, <|im_end|>; -1 where the model has no ChatML */
    struct slice system; /* its own system text, or empty; borrowed from the file */
};

struct turn {
    struct slice role, text; /* of the role "tool": what a tool said to a call; those in a row are one turn */
};

struct chat chat_of(const struct gguf *g, const struct vocab *v);
/* Appends the whole prompt. `tools` is what the model is told of tools, or empty. ERR_MEMORY. */
enum err MUST_USE chat_prompt(const struct chat *c, struct vocab *v, struct slice tools, const struct turn *turns, size_t n,
                              struct tokens *to, struct error *e);

#endif
