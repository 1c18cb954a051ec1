/*
 * YAML on libyaml, strict, into the same tree as JSON: one document; no anchors, aliases, tags or duplicate keys; keys
 * are scalars and always text; depth at most YAML_DEPTH_MAX, text at most YAML_BYTES_MAX.
 *
 * Plain scalars become: true and false (also True, TRUE, …) booleans; null, Null, NULL, ~ and nothing at all null;
 * decimal integers without leading zeros or '+', within int64, integers. Quoted ones stay text, and so does all else:
 * 007, 1.5, 0x10, 1_000, yes.
 */
#ifndef CRANNOG_TEXT_YAML_H
#define CRANNOG_TEXT_YAML_H

#include "text/json.h"

enum { YAML_DEPTH_MAX = 16, YAML_BYTES_MAX = 1024 * 1024 };

/* ERR_CORRUPT, ERR_LIMIT for too long or too deep; the error's text says the line and the column (from 1, in
   characters). An empty document is an empty object. */
enum err MUST_USE yaml_parse(struct slice text, struct json **ret, struct error *e);

#endif
