#include "infer/tools.h"

static enum err check_name(const struct tools *t, const struct json *tool, struct slice *ret, struct error *e)
{
    struct slice name = json_text(json_get(tool, "name"));
    if (!name.n || name.n > TOOL_NAME_MAX)
        return error_set(e, ERR_USAGE, "tool %zu has no name of at most %d bytes", t->n + 1, TOOL_NAME_MAX);
    for (size_t i = 0; i < t->n; i++)
        if (slice_eq(t->names[i], name))
            return error_set(e, ERR_USAGE, "two tools are called '%.*s'", SLICE_ARG(name));
    *ret = arena_copy(t->schema.memory, name);
    return ret->p ? OK : error_set(e, ERR_MEMORY, "not enough memory for the tools");
}

/* {"type": "function", "function": …} on a line of its own. */
static void tell(struct tools *t, const struct json *tool, const struct json *parameters)
{
    JSON_CLEANUP struct json *line = json_object();
    struct json *function = json_object();
    json_put_text(line, "type", SLICE("function"));
    json_put_text(function, "name", json_text(json_get(tool, "name")));
    if (json_has(tool, "description"))
        json_put_text(function, "description", json_text(json_get(tool, "description")));
    json_put(function, "parameters", json_clone(parameters));
    json_put(line, "function", function);
    json_print(line, &t->text);
    buf_add_char(&t->text, '\n');
}

static enum err add_tool(struct tools *t, const struct json *tool, const struct json *no_parameters, struct node_key *key, struct error *e)
{
    struct error why;
    enum err err = check_name(t, tool, &key->text, e);
    if (err)
        return err;
    const struct json *parameters = json_has(tool, "parameters") ? json_get(tool, "parameters") : no_parameters;
    err = schema_add(&t->schema, parameters, &key->node, &why);
    if (!err && t->schema.nodes[key->node].kind != NODE_OBJECT)
        err = error_set(&why, ERR_UNSUPPORTED, "its arguments are no object");
    if (err)
        return error_set(e, err, "the tool '%.*s': %s", SLICE_ARG(key->text), why.text);
    tell(t, tool, parameters);
    t->names[t->n++] = key->text;
    return OK;
}

static enum err add_all(struct tools *t, const struct json *list, struct error *e)
{
    struct node_key keys[SCHEMA_KEYS];
    JSON_CLEANUP struct json *no_parameters = json_object();
    json_put_text(no_parameters, "type", SLICE("object"));
    buf_add_text(&t->text, "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
                           "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n");
    for (size_t i = 0; i < json_count(list); i++) {
        enum err err = add_tool(t, json_at(list, i), no_parameters, &keys[i], e);
        if (err)
            return err;
    }
    buf_add_text(&t->text, "</tools>\n\nFor each function call, return a json object with function name and arguments within "
                           "<tool_call></tool_call> XML tags:\n<tool_call>\n"
                           "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>");
    enum err err = buf_check(&t->text, "the text of the tools", e);
    return err ? err : schema_add_calls(&t->schema, keys, t->n, &t->call, e);
}

enum err tools_read(struct slice text, struct tools *ret, struct error *e)
{
    JSON_CLEANUP struct json *list = NULL;
    enum err err = json_parse(text, &list, e);
    if (err)
        return e ? error_wrap(e, "the list of tools") : err;
    if (json_type(list) != JSON_ARRAY)
        return error_set(e, ERR_USAGE, "the list of tools is no list");
    if (json_count(list) > SCHEMA_KEYS)
        return error_set(e, ERR_LIMIT, "%zu tools; a local model takes at most %d", json_count(list), SCHEMA_KEYS);
    *ret = (struct tools){.memory = ARENA_INIT(TOOLS_MEMORY), .text = BUF_INIT(TOOLS_BYTES_MAX)};
    if (!json_count(list))
        return OK;
    ret->names = arena_array(&ret->memory, SCHEMA_KEYS, sizeof *ret->names);
    err = ret->names ? schema_init(&ret->memory, &ret->schema, e) : error_set(e, ERR_MEMORY, "not enough memory for the tools");
    if (!err)
        err = add_all(ret, list, e);
    if (err)
        tools_release(ret);
    return err;
}

void tools_release(struct tools *t)
{
    arena_release(&t->memory);
    buf_release(&t->text);
    *t = (struct tools){0};
}
