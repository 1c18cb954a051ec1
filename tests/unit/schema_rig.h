/*
 * What the tests of schemas share: a validator that knows nothing of infer/schema.c, and random schemas.
 */
#ifndef CRANNOG_TESTS_SCHEMA_RIG_H
#define CRANNOG_TESTS_SCHEMA_RIG_H

#include "text/json.h"

/* What keywords that infer/schema.h reads say of a value; also false for a property that is not declared (G1). */
bool valid(const struct json *schema, const struct json *value);
/* A schema of an object that compiles; the caller frees it. */
struct json *random_schema(void);

/* Of the tools of an agent, as the engine offers them. */
#define TEST_TOOLS \
    "[{\"name\":\"read\",\"description\":\"Read a file.\",\"parameters\":{\"type\":\"object\",\"properties\":{" \
    "\"path\":{\"type\":\"string\",\"maxLength\":200},\"offset\":{\"type\":\"integer\",\"minimum\":1}," \
    "\"lines\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":2000}},\"required\":[\"path\"]}}," \
    "{\"name\":\"write\",\"description\":\"Write a file.\",\"parameters\":{\"type\":\"object\",\"properties\":{" \
    "\"path\":{\"type\":\"string\",\"maxLength\":200},\"content\":{\"type\":\"string\"}},\"required\":[\"path\",\"content\"]}}," \
    "{\"name\":\"edit\",\"description\":\"Replace text in a file.\",\"parameters\":{\"type\":\"object\",\"properties\":{" \
    "\"path\":{\"type\":\"string\",\"maxLength\":200},\"edits\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":9,\"items\":{" \
    "\"type\":\"object\",\"properties\":{\"old\":{\"type\":\"string\"},\"new\":{\"type\":\"string\"},\"all\":{\"type\":\"boolean\"}}," \
    "\"required\":[\"old\",\"new\"]}}},\"required\":[\"path\",\"edits\"]}}," \
    "{\"name\":\"bash\",\"description\":\"Run a shell command.\",\"parameters\":{\"type\":\"object\",\"properties\":{" \
    "\"command\":{\"type\":\"string\"},\"timeout_s\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600}}," \
    "\"required\":[\"command\"]}}]"

#endif
