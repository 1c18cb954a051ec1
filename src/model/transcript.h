/*
 * The one neutral transcript: what a model was told and what it said, in no provider's words.
 *
 * Plain data: slices and arrays that somebody else owns, usually one arena. A transcript is
 *     system texts, tool declarations, turns of parts, options.
 * It is written as JSON (the form in which a journal's blobs keep it, TRANSCRIPT_VERSION) and read back strictly.
 *
 *   R1  What transcript_print() or turn_print() wrote is read back equal, byte for byte (images and opaque bytes too).
 *       Text is UTF-8; each byte that is not becomes U+FFFD when it is written.
 *   R2  Any bytes are a transcript or an error; an unknown key, a part in a turn of the wrong role, a count past its
 *       maximum is an error. Nothing is skipped, so nothing is lost on the way back.
 *   R3  A call's arguments are text as the model wrote it. `malformed` says that it is no JSON object (or that the answer
 *       was cut in it); such a call is never carried out, but it is kept, and answered by a result that says why.
 *   R4  Reasoning goes back only to the provider that it came from, with `opaque` unchanged.
 *
 * Which part in which role: a user's turn has TEXT, IMAGE and RESULT; an assistant's TEXT, CALL and REASONING.
 */
#ifndef CRANNOG_MODEL_TRANSCRIPT_H
#define CRANNOG_MODEL_TRANSCRIPT_H

#include "base/arena.h"
#include "text/json.h"

enum {
    TRANSCRIPT_VERSION = 1,
    TRANSCRIPT_TURNS_MAX = 20000,
    TRANSCRIPT_PARTS_MAX = 512, /* of a turn */
    TRANSCRIPT_SYSTEM_MAX = 16,
    TRANSCRIPT_TOOLS_MAX = 512,
    TRANSCRIPT_STOPS_MAX = 4,
    TRANSCRIPT_NAME_MAX = 256,  /* bytes of the name of a model, tool, provider, media type */
    TRANSCRIPT_ID_MAX = 8192,   /* bytes of a call's id; some gateways hide state in it */
};

enum turn_role { TURN_USER = 1, TURN_ASSISTANT };

enum part_kind { PART_TEXT = 1, PART_IMAGE, PART_CALL, PART_RESULT, PART_REASONING };

/* What `opaque` of a REASONING part is, so that each format knows its own. */
enum reasoning_form {
    REASONING_PLAIN = 1, /* nothing: text in a field like reasoning_content */
    REASONING_SIGNED,    /* the signature of an Anthropic thinking block */
    REASONING_REDACTED,  /* the data of an Anthropic redacted_thinking block; there is no text */
    REASONING_DETAILS,   /* a JSON array: OpenRouter's reasoning_details */
};

struct transcript_part {
    enum part_kind kind;
    struct slice text;     /* TEXT, REASONING; of a RESULT what the tool said; of a CALL the arguments; of an IMAGE its bytes */
    struct slice id;       /* CALL, RESULT: pairs them within neighbouring turns */
    struct slice name;     /* CALL: the tool; IMAGE: its media type ("image/png"); REASONING: the provider */
    struct slice opaque;   /* REASONING */
    enum reasoning_form form;
    bool malformed;        /* CALL */
    bool is_error;         /* RESULT */
    bool cache;            /* a mark: what stands up to here is worth keeping in the provider's cache */
};

struct transcript_turn {
    enum turn_role role;
    struct transcript_part *parts;
    size_t n;
};

struct transcript_tool {
    struct slice name, description;
    struct slice schema; /* a JSON object, as text */
};

enum tool_choice { CHOICE_AUTO, CHOICE_NONE, CHOICE_ANY, CHOICE_ONE /* options.tool */ };

struct transcript_options {
    struct slice model;
    int64_t max_output;       /* tokens, reasoning included; at least 1, because a reservation needs a bound */
    int64_t temperature_milli; /* -1: the provider's own */
    int64_t seed;             /* -1: none */
    int64_t thinking_tokens;  /* Anthropic's budget for thinking; 0: none */
    struct slice effort;      /* OpenAI's reasoning_effort; empty: the provider's own */
    struct slice stops[TRANSCRIPT_STOPS_MAX];
    size_t nstops;
    enum tool_choice choice;
    struct slice tool;
    bool serial;              /* at most one call an answer */
    bool cache_tools;         /* a mark behind the tools */
    bool cache_hour;          /* marks are for an hour instead of five minutes (at another price) */
};

#define TRANSCRIPT_OPTIONS ((struct transcript_options){.temperature_milli = -1, .seed = -1})

struct transcript {
    struct slice system[TRANSCRIPT_SYSTEM_MAX]; /* joined by an empty line where a format has only one */
    bool system_cache[TRANSCRIPT_SYSTEM_MAX];   /* a mark behind it */
    size_t nsystem;
    struct transcript_tool *tools;
    size_t ntools;
    struct transcript_turn *turns;
    size_t nturns;
    struct transcript_options options;
};

/* Appends one line of JSON. What is out of bounds (R2) is ERR_USAGE or ERR_LIMIT and names the place. */
enum err MUST_USE transcript_print(const struct transcript *t, struct buf *out, struct error *e);
enum err MUST_USE turn_print(const struct transcript_turn *turn, struct buf *out, struct error *e);
/* All of *ret lives in the arena. ERR_CORRUPT, ERR_VERSION, ERR_LIMIT, ERR_MEMORY; the text names the place
   ("turns[3].parts[0]: …"). */
enum err MUST_USE transcript_parse(struct slice text, struct arena *a, struct transcript *ret, struct error *e);
enum err MUST_USE turn_parse(struct slice text, struct arena *a, struct transcript_turn *ret, struct error *e);
/* Whether the text is what a tool can be called with: a JSON object. */
bool arguments_ok(struct slice text);

#endif
