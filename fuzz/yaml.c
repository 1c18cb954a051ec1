/* YAML: what is taken is a tree that prints as JSON and reads back the same; what is refused names a line. */
#include "fuzz.h"
#include "text/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size);
    JSON_CLEANUP struct json *v = NULL, *again = NULL;
    struct error e;
    enum err err = yaml_parse(s, &v, &e);
    if (err) {
        ASSERT((err == ERR_CORRUPT || err == ERR_LIMIT) && e.code == err && !v);
        ASSERT(slice_starts(slice_of(e.text), SLICE("line ")));
        return 0;
    }
    BUF_CLEANUP struct buf printed = BUF_INIT(6 * s.n + 64), twice = BUF_INIT(6 * s.n + 64);
    json_print(v, &printed);
    ASSERT(buf_ok(&printed) && json_parse(buf_slice(&printed), &again, &e) == OK);
    json_print(again, &twice);
    ASSERT(slice_eq(buf_slice(&printed), buf_slice(&twice)));
    return 0;
}
