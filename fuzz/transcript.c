/*
 * Transcripts: what is taken prints to a text that is taken and prints the same; and whatever it says, a request can be
 * made of it in every provider's words, or is refused with a reason, and is JSON in which each call has its result.
 */
#include "fuzz.h"
#include "model/request.h"

static void check_request(const struct transcript *t, const struct provider *p, uint32_t quirks)
{
    MODEL_REQUEST_CLEANUP struct model_request r = {0};
    JSON_CLEANUP struct json *v = NULL;
    struct error e = {0};
    enum err err = model_request_make(t, p, quirks, &r, &e);
    if (err) {
        ASSERT((err == ERR_USAGE || err == ERR_LIMIT || err == ERR_MEMORY) && e.code == err && e.text[0]);
        return;
    }
    ASSERT(buf_ok(&r.body) && r.path.n && r.nheaders >= 2);
    enum err parsed = json_parse(buf_slice(&r.body), &v, NULL);
    ASSERT(parsed == OK || parsed == ERR_LIMIT); /* a schema may be as deep by itself as a text may be */
    const struct json *messages = json_get(v, "messages");
    size_t calls = 0, results = 0;
    for (size_t i = 0; i < json_count(messages); i++) {
        const struct json *m = json_at(messages, i), *content = json_get(m, "content");
        calls += json_count(json_get(m, "tool_calls"));
        results += slice_is(json_text(json_get(m, "role")), "tool");
        for (size_t k = 0; json_type(content) == JSON_ARRAY && k < json_count(content); k++) {
            struct slice type = json_text(json_get(json_at(content, k), "type"));
            calls += slice_is(type, "tool_use");
            results += slice_is(type, "tool_result");
        }
    }
    ASSERT(calls == results && (r.filled <= results || quirks & QUIRK_RESULTS_AS_USER));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    uint32_t quirks = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20), b = ARENA_INIT(64 << 20);
    struct slice s = slice_sub(fuzz_slice(data, size), 4, size);
    struct transcript t, again;
    struct error e = {0};
    enum err err = transcript_parse(s, &a, &t, &e);
    if (err) {
        ASSERT(e.code == err && e.text[0]);
        return 0;
    }
    BUF_CLEANUP struct buf printed = BUF_INIT(64 << 20), twice = BUF_INIT(64 << 20);
    ASSERT(transcript_print(&t, &printed, NULL) == OK && transcript_parse(buf_slice(&printed), &b, &again, NULL) == OK);
    ASSERT(transcript_print(&again, &twice, NULL) == OK && slice_eq(buf_slice(&printed), buf_slice(&twice)));
    for (size_t i = 0; provider_at(i); i++)
        check_request(&t, provider_at(i), i % 2 ? quirks : provider_quirks(provider_at(i), t.options.model));
    return 0;
}
