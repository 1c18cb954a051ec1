/* What the writer and the reader of transcripts share. */
#ifndef CRANNOG_MODEL_TRANSCRIPT_INTERNAL_H
#define CRANNOG_MODEL_TRANSCRIPT_INTERNAL_H

#include "model/transcript.h"

enum { REASONING_FORMS = REASONING_DETAILS + 1, TOOL_CHOICES = CHOICE_ONE + 1 };
extern const char *const reasoning_forms[REASONING_FORMS], *const tool_choices[TOOL_CHOICES]; /* by their enums */

/* Whether it is within R2 and R3; `code` for what is wrong rather than too long. */
enum err MUST_USE turn_check(const struct transcript_turn *t, enum err code, struct error *e);
enum err MUST_USE transcript_check(const struct transcript *t, enum err code, struct error *e);

#endif
