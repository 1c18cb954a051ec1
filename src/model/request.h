/*
 * Requests: a transcript as the body, path and headers of one HTTP POST, in a provider's format. Pure.
 *
 * Headers with secrets are not made here. The body is the same bytes for the same transcript and quirks, and a longer
 * transcript keeps the beginning of the shorter one's messages, so that providers' caches hit (cache marks do move).
 *
 *   Q1  Each call that is sent is followed at once by exactly one result. A call without one gets an error result that
 *       says so (REQUEST_NO_RESULT), counted in `filled`. A result without its call in the turn before, or a second one,
 *       is sent as a user's text.
 *   Q2  Neighbouring turns of one role are one message. In it results come first, in the order of the calls, then the rest.
 *       Empty and blank texts, and turns of which nothing is left, are left out; what would open with an assistant's turn
 *       gets a user's REQUEST_OPENING before it.
 *   Q3  Malformed arguments are sent as {"malformed_arguments": "…"}, because servers parse the history they are shown.
 *   Q4  Ids of calls that a server would refuse, or that stand twice, are replaced by ones made from them, the same each
 *       time and in call and result alike. Names of tools that were called are mended likewise.
 *   Q5  Reasoning is sent only to the provider in whose name it stands (transcript.h R4) and in the form it came in;
 *       all other reasoning is left out. An Anthropic turn of nothing but thinking is left out.
 *   Q6  OpenAI has no flag for a tool's failure: the text of such a result begins with "error: ".
 *   Q7  Of Anthropic's four cache marks the last ones are used: tools and system first, then the turns from the end.
 *
 * With Anthropic thinking, temperature is left out and a forced tool choice becomes "auto", as its API demands.
 */
#ifndef CRANNOG_MODEL_REQUEST_H
#define CRANNOG_MODEL_REQUEST_H

#include "model/provider.h"
#include "model/transcript.h"

enum { REQUEST_BYTES_MAX = 32 * 1024 * 1024, REQUEST_HEADERS_MAX = 3, REQUEST_TOOL_NAME_MAX = 64 };

#define REQUEST_NO_RESULT "There is no result: the call was not carried out, or nobody knows whether it was."
#define REQUEST_OPENING "(The conversation so far has been left out.)"

struct request_header {
    struct slice name, value;
};

struct model_request {
    struct buf body; /* JSON */
    struct slice path; /* "/chat/completions", behind the provider's base */
    struct request_header headers[REQUEST_HEADERS_MAX];
    size_t nheaders;
    size_t filled;   /* results that were missing (Q1) */
    size_t images;   /* that are sent; a bound of input tokens needs it (usage.h) */
    bool stream;     /* what was asked for; a server may still answer otherwise */
};

#define MODEL_REQUEST_CLEANUP __attribute__((cleanup(model_request_release)))
void model_request_release(struct model_request *r);

/*
 * *ret is the caller's to release. `quirks` is provider_quirks() and what a person added. ERR_USAGE for what no server
 * takes: no turns, no limit of output, a tool with a bad name (1..64 of [A-Za-z0-9_-]) or a schema that is no object.
 * ERR_LIMIT past REQUEST_BYTES_MAX.
 */
enum err MUST_USE model_request_make(const struct transcript *t, const struct provider *p, uint32_t quirks,
                               struct model_request *ret, struct error *e);

#endif
