/*
 * A JSON Schema, compiled to nodes that infer/automaton.h walks byte by byte.
 *
 * Read are the keywords of JSON Schema (draft 2020-12, sections 6 and 10 of its Core and Validation) that say what a
 * tool's arguments look like: type (also a list), properties, required, items, enum, const, anyOf and oneOf (both "one of
 * these"), minLength, maxLength, minItems, maxItems, minimum, maximum, exclusiveMinimum, exclusiveMaximum. A keyword that
 * restricts and is not among these ($ref, pattern, allOf, …) is ERR_UNSUPPORTED; any other is a remark and is passed over
 * (title, description, default, format, …).
 *
 *   G1  What a node accepts is JSON that the schema accepts. Not everything the schema accepts is accepted:
 *       - one way of writing: one blank behind ':' and ',', none elsewhere; strings of enum and const without needless
 *         escapes; properties in the order in which they are declared, and no others
 *       - a string is at most SCHEMA_STRING_BYTES long unless maxLength says otherwise; no NUL, no halves of surrogate pairs
 *       - numbers have at most 18 digits before and 15 behind the point; an exponent only where no bound is given. A
 *         number with bounds has its whole part within them and a fraction only where any would do
 *       - an array has at most SCHEMA_ITEMS items; what has no type is a string, a number, a boolean or null
 *   G2  Any JSON is a node or an error in words; everything is bounded (SCHEMA_…).
 *   G3  Each node accepts something, and `least` is the length of the shortest text that automaton_close() would write.
 */
#ifndef CRANNOG_INFER_SCHEMA_H
#define CRANNOG_INFER_SCHEMA_H

#include "base/arena.h"
#include "text/json.h"

enum {
    SCHEMA_DEPTH = 8,            /* values in values */
    SCHEMA_NODES = 2048,         /* of all tools */
    SCHEMA_KEYS = 64,            /* of one object, and tools */
    SCHEMA_LITERALS = 256,       /* of one enum */
    SCHEMA_ALTERNATIVES = 8,     /* of one anyOf */
    SCHEMA_STRING_BYTES = 4096,  /* as written, without the quotes, where no maxLength is given */
    SCHEMA_STRING_MAX = 1 << 20, /* the largest maxLength that counts; a larger one is this */
    SCHEMA_ITEMS = 256,
    SCHEMA_LEAST_MAX = 64 * 1024, /* bytes of the shortest text: a schema that asks for more is refused */
};

enum node_kind { NODE_OBJECT = 1, NODE_ARRAY, NODE_STRING, NODE_NUMBER, NODE_LITERALS, NODE_ANY, NODE_CALL };

/* A property: `, "path": ` and the node of its value. Of a NODE_CALL: `{"name": "bash", "arguments": `. */
struct node_key {
    struct slice text;
    uint16_t node;
};

/* A value of JSON; nodes are named by number. */
struct node {
    enum node_kind kind;
    bool whole;          /* NUMBER: an integer */
    bool bounded;        /* NUMBER: minimum or maximum was given; STRING: maxLength was */
    size_t least;        /* bytes */
    uint64_t required;   /* OBJECT: bit i of keys[i] */
    struct node_key *keys;   /* OBJECT, CALL */
    struct slice *literals;  /* LITERALS, as JSON texts in bytewise order, each once */
    uint16_t *alternatives;  /* ANY, none of which is an ANY */
    size_t n;                /* of keys, literals, alternatives */
    uint16_t item;           /* ARRAY */
    int64_t low, high;       /* NUMBER: of its whole part; ARRAY: items; STRING: characters */
};

struct schema {
    struct node *nodes;
    size_t n;
    struct arena *memory; /* borrowed */
};

/* `memory` must outlive the schema. ERR_MEMORY. */
enum err MUST_USE schema_init(struct arena *memory, struct schema *ret, struct error *e);
/* Compiles one schema; *ret is its node. ERR_UNSUPPORTED, ERR_LIMIT, ERR_MEMORY; the text names where in the schema. */
enum err MUST_USE schema_add(struct schema *s, const struct json *json, uint16_t *ret, struct error *e);
/* The choice between tools: key i is its name and the node of its arguments, and becomes the literal that begins a call. */
enum err MUST_USE schema_add_calls(struct schema *s, const struct node_key *tools, size_t n, uint16_t *ret, struct error *e);

#endif
