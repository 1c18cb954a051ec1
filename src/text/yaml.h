/*
 * YAML on libyaml, strict, into the same tree as JSON: one document; no anchors, aliases, tags or duplicate keys;
 * depth at most 16, text at most 1 MiB. Plain scalars that look like integers or true/false become such, quoted ones
 * stay text; null and ~ become null; all else is text.
 */
#ifndef CRANNOG_TEXT_YAML_H
#define CRANNOG_TEXT_YAML_H

#include "text/json.h"

/* The error's text says the line and the column (from 1). An empty document is an empty object. */
enum err MUST_USE yaml_parse(struct slice text, struct json **ret, struct error *e);

#endif
