/*
 * JSON: what is taken prints to a text that is taken and prints the same; and json-c's own strict parser, which takes
 * more than we do, must take it too and mean the same by it.
 */
#include <string.h>

#include "fuzz.h"
#include "text/internal.h"
#include "text/json.h"

static struct jsonc_object *oracle(struct slice s)
{
    BUF_CLEANUP struct buf b = BUF_INIT(s.n + 1);
    buf_add(&b, s);
    buf_add_char(&b, '\0'); /* how json-c knows that a number has ended */
    struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
    ASSERT(t);
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct jsonc_object *v = json_tokener_parse_ex(t, b.p, (int)b.n);
    ASSERT(json_tokener_get_error(t) == json_tokener_success);
    json_tokener_free(t);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size);
    JSON_CLEANUP struct json *v = NULL, *again = NULL;
    struct error e;
    enum err err = json_parse(s, &v, &e);
    if (err) {
        ASSERT((err == ERR_CORRUPT || err == ERR_LIMIT) && e.code == err && strstr(e.text, "offset") && !v);
        return 0;
    }
    struct jsonc_object *theirs = oracle(s);
    ASSERT(json_object_equal((struct jsonc_object *)(void *)v, theirs));
    json_object_put(theirs);

    BUF_CLEANUP struct buf printed = BUF_INIT(6 * s.n + 16), twice = BUF_INIT(6 * s.n + 16);
    json_print(v, &printed);
    ASSERT(buf_ok(&printed) && json_parse(buf_slice(&printed), &again, NULL) == OK);
    json_print(again, &twice);
    ASSERT(slice_eq(buf_slice(&printed), buf_slice(&twice)));
    return 0;
}
