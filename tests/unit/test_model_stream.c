/*
 * Streams: the documented events of both formats, and what servers make of them, become the right turn, usage and fault,
 * the same however the bytes are split (S1); every fault has its kind; deltas and turn agree (S3); bounds hold.
 *
 * Planted once and caught: the LF of a CRLF taken for an empty line; a comment taken for data; message_delta's usage
 * added instead of replacing; cached tokens counted beside prompt_tokens; an unfinished call kept in a cut answer; [DONE]
 * without a finish_reason taken for a cut; usage after the finish_reason not read; calls told apart by index alone; a
 * signature that is not kept; the last event lost where no empty line follows; another format skipped as unknown;
 * a closing </think> that was cut in two not seen, and what was held back for it lost; details of reasoning
 * cut where memory was refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sys.h"
#include "model/stream.h"

#define D(json) "data: " json "\n\n"
#define A(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
/* A chunk of Chat Completions, as written by hand. */
#define C(delta, finish) D("{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}")
#define USAGE(u) D("{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{" u "}}")
#define DONE "data: [DONE]\n\n"

struct recording {
    const char *name;
    enum model_format format;
    int status;
    struct slice bytes;
    const char *want; /* the answer, as dump_answer() writes it */
    uint32_t quirks;
};
#define O FORMAT_OPENAI
#define M FORMAT_ANTHROPIC
#define S(literal) SLICE_INIT(literal)

static const struct recording recordings[] = {
    /* ---- Chat Completions ---- */
    {"text and late usage", O, 200,
     S(C("\"role\":\"assistant\",\"content\":\"\"", "null") C("\"content\":\"Hel\"", "null") C("\"content\":\"lo\"", "null")
       C("", "\"stop\"") USAGE("\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,"
       "\"prompt_tokens_details\":{\"cached_tokens\":64},\"completion_tokens_details\":{\"reasoning_tokens\":5}") DONE),
     "end none 0 c1 m | 36 64 0 0 20 5 -1 known | text Hello\n"},
    {"two calls at once, arguments in pieces", O, 200,
     S(C("\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}]", "null")
       C("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"p\\\":\"}}]", "null")
       C("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"x\\\"}\"}}]", "null")
       C("\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"bash\",\"arguments\":\"{}\"}}]", "null")
       C("", "\"tool_calls\"") DONE),
     "calls none 0 c1 m | 0 0 0 0 0 0 -1 unknown | call a read {\"p\":\"x\"} | call b bash {}\n"},
    {"byte order mark, CRLF, comments, no [DONE], no last empty line", O, 200,
     S("\xef\xbb\xbf: hello\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n: keep-alive\r\n\r\n:\r\n"
       "event: x\r\nid: 1\r\nretry: 5\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}"),
     "end none 0 - - | 0 0 0 0 0 0 -1 unknown | text ab\n"},
    {"CR alone", O, 200, S("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\rdata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\r\rdata: [DONE]\r\r"),
     "length none 0 - - | 0 0 0 0 0 0 -1 unknown | text a\n"},
    {"an event over several lines", O, 200, S("data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"},\ndata: \"finish_reason\":\"stop\"}]}\n\n" DONE),
     "end none 0 - - | 0 0 0 0 0 0 -1 unknown | text a\n"},
    {"an event over several lines that end with CRLF", O, 200, S("data: {\"choices\":[{\"delta\":\r\ndata: {\"content\":\"a\"},\r\ndata: \"finish_reason\":\"stop\"}]}\r\n\r\n"),
     "end none 0 - - | 0 0 0 0 0 0 -1 unknown | text a\n"},
    {"no empty lines between events", O, 200,
     S("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\ndata: [DONE]\n"),
     "end none 0 - - | 0 0 0 0 0 0 -1 unknown | text ab\n"},
    {"reasoning_content", O, 200,
     S(C("\"reasoning_content\":\"th\"", "null") C("\"reasoning_content\":\"ink\",\"content\":null", "null") C("\"content\":\"x\"", "null") C("", "\"stop\"") DONE),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | reasoning prov plain think <> | text x\n"},
    {"reasoning under two names, its details, a cost", O, 200,
     S(C("\"reasoning\":\"t\",\"reasoning_content\":\"t\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"t\",\"index\":0}]", "null")
       C("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"QQ==\",\"index\":1}]", "null") C("\"content\":\"x\"", "\"stop\"")
       USAGE("\"prompt_tokens\":10,\"completion_tokens\":2,\"cost\":0.000123456") DONE),
     "end none 0 c1 m | 10 0 0 0 2 0 123456 known | reasoning prov details t <[{\"type\":\"reasoning.text\",\"text\":\"t\",\"index\":0},"
     "{\"type\":\"reasoning.encrypted\",\"data\":\"QQ==\",\"index\":1}]> | text x\n"},
    {"calls of one index and different ids, one without index, arguments as an object", O, 200,
     S(C("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]", "null")
       C("\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]", "null")
       C("\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"g\",\"arguments\":{\"k\":[1]}}}]", "\"tool_calls\"")),
     "calls none 0 c1 m | 0 0 0 0 0 0 -1 unknown | call a f {} | call b f {} | call c g {\"k\":[1]}\n"},
    {"calls without ids or indexes, and \"stop\"", O, 200,
     S(C("\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]", "null") C("\"tool_calls\":[{\"function\":{\"arguments\":\"}\"}}]", "null")
       C("\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]", "\"stop\"")),
     "calls none 0 c1 m | 0 0 0 0 0 0 -1 unknown | call call_0 f {} | call call_1 f {}\n"},
    {"malformed, empty and blank arguments", O, 200,
     S(C("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"p\\\": x}\"}},{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"f\"}},"
         "{\"index\":2,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}},{\"index\":3,\"id\":\"d\",\"function\":{\"name\":\"f\",\"arguments\":\" \"}}]", "\"tool_calls\"") DONE),
     "calls none 0 c1 m | 0 0 0 0 0 0 -1 unknown | call a f {\"p\": x} malformed | call b f {} | call c f [1] malformed | call d f {}\n"},
    {"length in a call", O, 200,
     S(C("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]", "\"length\"") DONE),
     "length none 0 c1 m | 0 0 0 0 0 0 -1 unknown | call a f  malformed\n"},
    {"[DONE] without a finish_reason", O, 200, S(C("\"content\":\"x\"", "null") DONE), "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | text x\n"},
    {"cut in the second call", O, 200,
     S(C("\"content\":\"so\"", "null") C("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"rm\",\"arguments\":\"{}\"}}]", "null")
       "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"ind"),
     "none cut 1 c1 m | 0 0 0 0 0 0 -1 unknown | text so\n"},
    {"cut behind an event", O, 200, S(C("\"content\":\"so\"", "null")), "none cut 0 c1 m | 0 0 0 0 0 0 -1 unknown | text so\n"},
    {"an error in the stream", O, 200, S(C("\"content\":\"so\"", "null") D("{\"error\":{\"code\":502,\"message\":\"no upstream\"},\"choices\":[]}")),
     "none server 0 c1 m | 0 0 0 0 0 0 -1 unknown | text so\n"},
    {"what is unknown is skipped", O, 200,
     S(D("{\"hello\":1}") D("{\"choices\":[],\"prompt_filter_results\":[]}") D("{\"type\":\"ping\"}")
       D("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}") C("\"audio\":{},\"content\":\"x\",\"annotations\":[]", "\"stop\"") DONE D("{nonsense")),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | text x\n"},
    {"nonsense", O, 200, S(C("\"content\":\"x\"", "null") D("{nonsense}")), "none broken 0 c1 m | 0 0 0 0 0 0 -1 unknown | text x\n"},
    {"a wrong type", O, 200, S(C("\"content\":7", "null")), "none broken 0 c1 m | 0 0 0 0 0 0 -1 unknown |\n"},
    {"usage in the choice", O, 200,
     S(D("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"cached_tokens\":4}}]}") DONE),
     "end none 0 - - | 5 4 0 0 1 0 -1 known | text x\n"},
    {"content as a list", O, 200,
     S(C("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"x\"}]", "\"stop\"")),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | reasoning prov plain hm <> | text x\n"},
    {"a refusal", O, 200, S(C("\"refusal\":\"No.\"", "null") C("", "\"stop\"") DONE), "refused none 0 c1 m | 0 0 0 0 0 0 -1 unknown | text No.\n"},
    {"content_filter", O, 200, S(C("", "\"content_filter\"") DONE), "refused none 0 c1 m | 0 0 0 0 0 0 -1 unknown |\n"},
    {"a character that was cut in two", O, 200, S(C("\"content\":\"a\xe2\x82\"", "null") C("", "\"stop\"")),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | text a\xef\xbf\xbd\xef\xbf\xbd\n"},
    {"a whole answer", O, 200,
     S(" {\"id\":\"w\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_content\":\"r\","
       "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}],"
       "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":9}}\n"),
     "calls none 0 w m | 3 0 0 0 6 0 -1 known | reasoning prov plain r <> | text x | call a f {}\n"},
    {"half a whole answer", O, 200, S("{\"id\":\"w\",\"choices\":[{\"index\":0,\"mess"), "none broken 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"the other format", O, 200, S(A("message_start", ",\"message\":{\"id\":\"m1\"}")), "none format 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"the other format, whole", O, 200, S("{\"type\":\"message\",\"content\":[]}"), "none format 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"Responses", O, 200, S(A("response.created", ",\"response\":{}")), "none format 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"Gemini", O, 200, S("{\"candidates\":[]}"), "none format 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"Ollama's own", O, 200, S("{\"model\":\"m\",\"created_at\":\"x\",\"done\":true}"), "none format 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"a page", O, 200, S("<html><body>Sign in</body></html>"), "none broken 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"plain text", O, 200, S("upstream is away\n"), "none broken 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"nothing", O, 200, S(""), "none cut 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"an error that came as an event", O, 429, S("event: error\ndata: {\"error\":{\"message\":\"slow down\",\"type\":\"x\"}}\n\n"),
     "none rate_limit 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"think tags, cut", O, 200,
     S(C("\"content\":\"\\n<th\"", "null") C("\"content\":\"ink>so <\"", "null") C("\"content\":\"/b> it </think\"", "null") C("\"content\":\">\\n\"", "null")
       C("\"content\":\"\\nx <think>\"", "\"stop\"")),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | reasoning prov plain so </b> it  <> | text x <think>\n", QUIRK_THINK_TAGS},
    {"think tags that do not end", O, 200, S(C("\"content\":\"<think>so</thi\"", "\"length\"")),
     "length none 0 c1 m | 0 0 0 0 0 0 -1 unknown | reasoning prov plain so</thi <>\n", QUIRK_THINK_TAGS},
    {"think tags, then a call", O, 200,
     S(C("\"content\":\"<think>so</think>\\n\"", "null") C("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]", "\"stop\"")),
     "calls none 0 c1 m | 0 0 0 0 0 0 -1 unknown | reasoning prov plain so <> | call a f {}\n", QUIRK_THINK_TAGS},
    {"no think tags", O, 200, S(C("\"content\":\" <thi\"", "null") C("\"content\":\"s> is <think>\"", "\"stop\"")),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | text  <this> is <think>\n", QUIRK_THINK_TAGS},
    {"the beginning of a tag, and then no more", O, 200, S(C("\"content\":\"<th\"", "null")),
     "none cut 0 c1 m | 0 0 0 0 0 0 -1 unknown | text <th\n", QUIRK_THINK_TAGS},
    {"think tags where there are none by the entry", O, 200, S(C("\"content\":\"<think>a</think>b\"", "\"stop\"")),
     "end none 0 c1 m | 0 0 0 0 0 0 -1 unknown | text <think>a</think>b\n"},
    /* ---- Messages ---- */
    {"text, ping, cumulative usage", M, 200,
     S(A("message_start", ",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,"
         "\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":1000,\"output_tokens\":1,"
         "\"cache_creation\":{\"ephemeral_5m_input_tokens\":60,\"ephemeral_1h_input_tokens\":40}}}")
       A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") A("ping", "")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}") A("content_block_stop", ",\"index\":0")
       A("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15,\"input_tokens\":25,\"cache_read_input_tokens\":0}")
       A("message_stop", "")),
     "end none 0 m1 c | 25 1000 60 40 15 0 -1 known | text Hello\n"},
    {"thinking with its signature, two calls", M, 200,
     S(A("message_start", ",\"message\":{\"id\":\"m1\",\"model\":\"c\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}")
       A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm \"}")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"so\"}")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"EqRk+/=\"}") A("content_block_stop", ",\"index\":0")
       A("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"read\",\"input\":{}}")
       A("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}")
       A("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"p\\\": \"}")
       A("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1.50}\"}") A("content_block_stop", ",\"index\":1")
       A("content_block_start", ",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"ls\",\"input\":{}}") A("content_block_stop", ",\"index\":2")
       A("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":40}") A("message_stop", "")),
     "calls none 0 m1 c | 5 0 0 0 40 0 -1 known | reasoning prov signed hm so <EqRk+/=> | call toolu_1 read {\"p\": 1.50} | call toolu_2 ls {}\n"},
    {"thinking that is not shown, redacted thinking, unknown blocks, deltas and events", M, 200,
     S(A("message_start", ",\"message\":{\"id\":\"m1\"}")
       A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"sig\"}") A("content_block_stop", ",\"index\":0")
       A("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"opaque==\"}") A("content_block_stop", ",\"index\":1")
       A("content_block_start", ",\"index\":2,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}}")
       A("content_block_delta", ",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}") A("content_block_stop", ",\"index\":2")
       A("content_block_start", ",\"index\":3,\"content_block\":{\"type\":\"text\",\"text\":\"a\",\"citations\":[]}")
       A("content_block_delta", ",\"index\":3,\"delta\":{\"type\":\"citations_delta\",\"citation\":{}}")
       A("content_block_delta", ",\"index\":3,\"delta\":{\"type\":\"text_delta\",\"text\":\"b\"}") A("content_block_stop", ",\"index\":3")
       A("content_block_delta", ",\"index\":9,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"nowhere\"}") A("vault", ",\"x\":1")
       A("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}") A("message_stop", "") D("{nonsense")),
     "end none 0 m1 - | 0 0 0 0 0 0 -1 unknown | reasoning prov signed  <sig> | reasoning prov redacted  <opaque==> | text ab\n"},
    {"overloaded in the middle", M, 200,
     S(A("message_start", ",\"message\":{\"id\":\"m1\",\"usage\":{\"input_tokens\":7}}") A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"x\"}")
       A("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}")),
     "none overloaded 0 m1 - | 7 0 0 0 0 0 -1 known | text x\n"},
    {"cut in a call behind a whole one", M, 200,
     S(A("message_start", ",\"message\":{\"id\":\"m1\"}")
       A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}") A("content_block_stop", ",\"index\":0")
       A("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"f\",\"input\":{}}")
       A("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}")),
     "none cut 1 m1 - | 0 0 0 0 0 0 -1 unknown | call a f {}\n"},
    {"max_tokens in a call", M, 200,
     S(A("message_start", ",\"message\":{\"id\":\"m1\"}")
       A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}")
       A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"p\\\":\\\"x\"}") A("content_block_stop", ",\"index\":0")
       A("message_delta", ",\"delta\":{\"stop_reason\":\"max_tokens\"}") A("message_stop", "")),
     "length none 0 m1 - | 0 0 0 0 0 0 -1 unknown | call a f {\"p\":\"x malformed\n"},
    {"arguments that come at once", M, 200,
     S(A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{\"p\":1}}") A("content_block_stop", ",\"index\":0")
       A("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\"}")),
     "calls none 0 - - | 0 0 0 0 0 0 -1 unknown | call a f {\"p\":1}\n"},
    {"pause", M, 200, S(A("message_delta", ",\"delta\":{\"stop_reason\":\"pause_turn\"}") A("message_stop", "")),
     "pause none 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"refusal", M, 200, S(A("message_delta", ",\"delta\":{\"stop_reason\":\"refusal\"}") A("message_stop", "")),
     "refused none 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"a whole message", M, 200,
     S("{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"x\"},"
       "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{\"p\":[1,2]}}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}"),
     "calls none 0 m1 c | 1 0 0 0 2 0 -1 known | reasoning prov signed t <s> | text x | call a f {\"p\":[1,2]}\n"},
    {"the other format", M, 200, S(C("\"content\":\"x\"", "null")), "none format 0 - - | 0 0 0 0 0 0 -1 unknown |\n"},
    {"a delta of another kind than its block", M, 200,
     S(A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"x\"}") A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}")),
     "none broken 0 - - | 0 0 0 0 0 0 -1 unknown | text x\n"},
};
enum { RECORDINGS = sizeof recordings / sizeof *recordings };

/* ---- what came of it, as text ---- */

static void dump_delta(void *ctx, const struct stream_delta *d)
{
    static const char *const names[] = {"", "text", "reasoning", "begin", "arguments", "end", "usage", "stop", "fault"};
    struct buf *b = ctx;
    buf_addf(b, "%s %zu %.*s%.*s %.*s %s %s\n", names[d->kind], d->part, SLICE_ARG(d->text), SLICE_ARG(d->id), SLICE_ARG(d->name),
             stop_name(d->stop), d->fault ? fault_name(d->fault->kind) : "");
    if (d->usage)
        buf_addf(b, "%lld %lld\n", (long long)d->usage->input, (long long)d->usage->output);
}

static void dump_part(struct buf *b, const struct transcript_part *p)
{
    static const char *const forms[] = {"", "plain", "signed", "redacted", "details"};
    if (p->kind == PART_TEXT)
        buf_addf(b, " | text %.*s", SLICE_ARG(p->text));
    else if (p->kind == PART_CALL)
        buf_addf(b, " | call %.*s %.*s %.*s%s", SLICE_ARG(p->id), SLICE_ARG(p->name), SLICE_ARG(p->text), p->malformed ? " malformed" : "");
    else
        buf_addf(b, " | reasoning %.*s %s %.*s <%.*s>", SLICE_ARG(p->name), forms[p->form], SLICE_ARG(p->text), SLICE_ARG(p->opaque));
}

static void dump_answer(struct buf *b, const struct stream_answer *a)
{
    const struct usage *u = &a->usage;
    buf_addf(b, "%s %s %zu %s %s | %lld %lld %lld %lld %lld %lld %lld %s", stop_name(a->stop), fault_name(a->fault.kind), a->dropped,
             a->id.n ? a->id.p : "-", a->model.n ? a->model.p : "-", (long long)u->input, (long long)u->cache_read,
             (long long)u->cache_write_5m, (long long)u->cache_write_1h, (long long)u->output, (long long)u->reasoning,
             (long long)u->reported_nusd, u->known ? "known" : "unknown");
    if (!a->turn.n)
        buf_add_text(b, " |");
    for (size_t i = 0; i < a->turn.n; i++)
        dump_part(b, &a->turn.parts[i]);
    buf_add_char(b, '\n');
}

/* Feeds in pieces that end at the offsets of `cuts` and at the end. */
static void play(const struct recording *r, const size_t *cuts, size_t n, struct buf *deltas, struct buf *answer)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct stream_setup setup = {.format = r->format, .quirks = r->quirks, .provider = SLICE("prov"), .status = r->status, .retry_after_ms = -1, .take = dump_delta, .ctx = deltas};
    struct stream *s = stream_new(&setup);
    struct stream_answer got;
    size_t from = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t to = i < n ? cuts[i] : r->bytes.n;
        char *copy = malloc(to - from + 1); /* of the exact size, so that a sanitizer sees a byte too many */
        memcpy(copy, r->bytes.p + from, to - from);
        stream_feed(s, (struct slice){copy, to - from});
        free(copy);
        from = to;
    }
    assert_int_equal(stream_finish(s, NULL, &a, &got, NULL), OK);
    stream_free(s); /* the answer lives in the arena */
    dump_answer(answer, &got);
    assert_true(got.fault.kind == FAULT_NONE || got.fault.text[0]);
}

static void test_recordings(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDINGS; i++) {
        BUF_CLEANUP struct buf deltas = BUF_INIT(1 << 20), answer = BUF_INIT(1 << 20);
        play(&recordings[i], NULL, 0, &deltas, &answer);
        if (strcmp(buf_str(&answer), recordings[i].want) != 0)
            fail_msg("%s:\n got %s want %s", recordings[i].name, buf_str(&answer), recordings[i].want);
    }
}

static void compare(const struct recording *r, const size_t *cuts, size_t n, const struct buf *deltas, const struct buf *answer)
{
    BUF_CLEANUP struct buf d = BUF_INIT(1 << 20), a = BUF_INIT(1 << 20);
    play(r, cuts, n, &d, &a);
    if (!slice_eq(buf_slice(&d), buf_slice(deltas)) || !slice_eq(buf_slice(&a), buf_slice(answer)))
        fail_msg("%s, split %zu times, first at %zu:\n%s%s instead of\n%s%s", r->name, n, cuts[0], buf_str(&d), buf_str(&a),
                 buf_str(deltas), buf_str(answer));
}

static void test_split_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDINGS; i++) {
        const struct recording *r = &recordings[i];
        BUF_CLEANUP struct buf deltas = BUF_INIT(1 << 20), answer = BUF_INIT(1 << 20);
        play(r, NULL, 0, &deltas, &answer);
        size_t *cuts = calloc(r->bytes.n + 1, sizeof *cuts);
        for (size_t at = 1; at < r->bytes.n; at++) {
            cuts[0] = at;
            compare(r, cuts, 1, &deltas, &answer);
        }
        for (size_t at = 1; at < r->bytes.n; at++)
            cuts[at - 1] = at;
        if (r->bytes.n > 1)
            compare(r, cuts, r->bytes.n - 1, &deltas, &answer);
        free(cuts);
    }
}

/* Every beginning of every recording ends in an answer; it is whole only where the stop was said. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDINGS; i++)
        for (size_t n = 0; n < recordings[i].bytes.n; n++) {
            struct recording r = recordings[i];
            BUF_CLEANUP struct buf deltas = BUF_INIT(1 << 20), answer = BUF_INIT(1 << 20);
            r.bytes.n = n;
            play(&r, NULL, 0, &deltas, &answer);
            if (slice_starts(buf_slice(&answer), SLICE("none none")))
                fail_msg("%s, cut at %zu: %s", r.name, n, buf_str(&answer));
            if (strstr(buf_str(&answer), " none ") && !strstr(buf_str(&deltas), "\nstop 0") && !slice_starts(buf_slice(&deltas), SLICE("stop 0")))
                fail_msg("%s, cut at %zu, is whole without a stop", r.name, n);
        }
}

/* ---- deltas ---- */

struct joined {
    struct buf text[8];
    bool begun[8], ended[8];
    bool last_was_fault;
};

static void join(void *ctx, const struct stream_delta *d)
{
    struct joined *j = ctx;
    assert_false(j->last_was_fault);
    assert_true(d->part < 8);
    if (d->kind == DELTA_CALL_BEGIN) {
        assert_false(j->begun[d->part]);
        j->begun[d->part] = true;
    }
    if (d->kind == DELTA_CALL_ARGUMENTS)
        assert_true(j->begun[d->part] && !j->ended[d->part]);
    if (d->kind == DELTA_CALL_END) {
        assert_true(j->begun[d->part] && !j->ended[d->part]);
        j->ended[d->part] = true;
    }
    buf_add(&j->text[d->part], d->text);
    j->last_was_fault = d->kind == DELTA_FAULT;
}

/* What was told of the parts, one after the other, is what stands in the turn (S3). */
static void test_deltas_are_the_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDINGS; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
        const struct recording *r = &recordings[i];
        struct joined j = {0};
        for (size_t k = 0; k < 8; k++)
            j.text[k] = BUF_INIT(1 << 16);
        struct stream *s = stream_new(&(struct stream_setup){.format = r->format, .quirks = r->quirks, .status = r->status, .take = join, .ctx = &j});
        struct stream_answer got;
        stream_feed(s, r->bytes);
        assert_int_equal(stream_finish(s, NULL, &a, &got, NULL), OK);
        assert_true(j.last_was_fault == (got.fault.kind != FAULT_NONE));
        size_t k = 0;
        for (size_t p = 0; p < got.turn.n; p++) { /* parts that said nothing are not in the turn */
            const struct transcript_part *part = &got.turn.parts[p];
            struct slice text = part->kind == PART_CALL && slice_is(part->text, "{}") ? SLICE_NONE : part->text;
            while (k < 8 && !slice_eq(slice_trim(buf_slice(&j.text[k])), text) && !slice_eq(buf_slice(&j.text[k]), part->text))
                k++;
            if (k == 8)
                fail_msg("%s: part %zu was not told", r->name, p);
            assert_true(part->kind != PART_CALL || j.ended[k]);
            k++;
        }
        for (k = 0; k < 8; k++)
            buf_release(&j.text[k]);
        stream_free(s);
    }
}

static void test_deltas_in_order(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf deltas = BUF_INIT(1 << 20), answer = BUF_INIT(1 << 20);
    play(&recordings[1], NULL, 0, &deltas, &answer);
    assert_string_equal(buf_str(&deltas), "begin 0 a read none \n"
                                          "arguments 0 {\"p\":  none \n"
                                          "arguments 0 \"x\"}  none \n"
                                          "begin 1 b bash none \n"
                                          "arguments 1 {}  none \n"
                                          "end 0   none \n"
                                          "end 1   none \n"
                                          "stop 0   calls \n");
}

/* ---- faults ---- */

static const struct {
    int status;
    const char *body, *kind, *says;
} faults[] = {
    {401, "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"},\"request_id\":\"r\"}", "auth", "invalid x-api-key (HTTP 401, authentication_error)"},
    {401, "{\"error\":{\"message\":\"Incorrect API key\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}", "auth", "Incorrect"},
    {403, "{\"error\":{\"message\":\"no\"}}", "auth", "no (HTTP 403)"},
    {400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to access\"}}", "billing", "credit"},
    {429, "{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}", "billing", "quota"},
    {402, "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}", "billing", "credits"},
    {429, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}", "rate_limit", "slow"},
    {429, "", "rate_limit", "HTTP 429"},
    {529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", "overloaded", "Overloaded"},
    {503, "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}", "overloaded", "Loading"},
    {500, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Internal\"}}", "server", "Internal"},
    {502, "<html><h1>502 Bad Gateway</h1></html>", "server", "Bad Gateway"},
    {504, "", "timeout", "504"},
    {408, "{\"error\":\"late\"}", "timeout", "late"},
    {400, "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}", "context", "too long"},
    {400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}", "context", "210000"},
    {400, "{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens\",\"type\":\"BadRequestError\",\"code\":400}", "context", "4096"},
    {400, "{\"error\":{\"code\":400,\"message\":\"request exceeds the available context size\",\"type\":\"exceed_context_size_error\"}}", "context", "size"},
    {413, "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"big\"}}", "too_large", "big"},
    {404, "{\"error\":{\"message\":\"model 'x' not found\",\"type\":\"invalid_request_error\"}}", "no_model", "not found"},
    {404, "404 page not found", "no_model", "page"},
    {400, "{\"error\":{\"message\":\"filtered\",\"code\":\"content_filter\"}}", "refused", "filtered"},
    {400, "{\"error\":{\"message\":\"Unknown parameter\",\"type\":\"invalid_request_error\",\"code\":\"unknown_parameter\"}}", "request", "Unknown"},
    {422, "{\"detail\":\"field required\"}", "request", "field"},
    {400, "[{\"error\":{\"code\":400,\"message\":\"bad\",\"status\":\"X\"}}]", "request", "bad"},
    {302, "", "no_model", "302"},
    {200, "{\"error\":\"model requires more system memory\"}", "server", "memory"},
    {200, "{\"error\":{\"code\":429,\"message\":\"m\",\"metadata\":{\"raw\":\"upstream says wait\"}}}", "rate_limit", "m: upstream says wait"},
    {200, "data: {\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}\n\n", "rate_limit", "m"},
    {500, "a\x01" "b\xff" "c\n\nd", "server", "a b?c  d"},
};

static void test_every_fault(void **state)
{
    (void)state;
    bool met[FAULTS] = {[FAULT_FORMAT] = true, [FAULT_BROKEN] = true, [FAULT_CUT] = true, [FAULT_LIMIT] = true, [FAULT_NONE] = true};
    for (size_t i = 0; i < 2 * (sizeof faults / sizeof *faults); i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
        struct stream_answer got;
        struct stream *s = stream_new(&(struct stream_setup){.format = i % 2 ? O : M, .status = faults[i / 2].status, .retry_after_ms = 1500});
        stream_feed(s, slice_of(faults[i / 2].body));
        assert_int_equal(stream_finish(s, NULL, &a, &got, NULL), OK);
        stream_free(s);
        if (strcmp(fault_name(got.fault.kind), faults[i / 2].kind) != 0 || !strstr(got.fault.text, faults[i / 2].says))
            fail_msg("%d %s: %s: %s", faults[i / 2].status, faults[i / 2].body, fault_name(got.fault.kind), got.fault.text);
        assert_int_equal(got.fault.retry_after_ms, 1500);
        met[got.fault.kind] = true;
    }
    for (int k = 0; k < FAULTS; k++) /* the rest is among the recordings */
        if (!met[k])
            fail_msg("no case of %s", fault_name((enum fault_kind)k));
    assert_true(fault_may_pass(FAULT_OVERLOADED) && fault_may_pass(FAULT_RATE_LIMIT) && !fault_may_pass(FAULT_BILLING) && !fault_may_pass(FAULT_CONTEXT));
}

static void test_why_the_connection_broke(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct stream_answer got;
    struct stream *s = stream_new(&(struct stream_setup){.format = O});
    assert_true(stream_feed(s, SLICE(C("\"content\":\"x\"", "null"))));
    assert_int_equal(stream_finish(s, "connection reset", &a, &got, NULL), OK);
    assert_int_equal(got.fault.kind, FAULT_CUT);
    assert_non_null(strstr(got.fault.text, "connection reset"));
    stream_free(s);
    s = stream_new(&(struct stream_setup){.format = O}); /* what broke behind the end does no harm */
    stream_feed(s, SLICE(C("\"content\":\"x\"", "\"stop\"")));
    assert_int_equal(stream_finish(s, "connection reset", &a, &got, NULL), OK);
    assert_int_equal(got.fault.kind, FAULT_NONE);
    stream_free(s);
    stream_free(NULL);
}

/* ---- bounds ---- */

static void feed_until(struct stream *s, struct slice piece, size_t total)
{
    for (size_t n = 0; n < total && stream_feed(s, piece); n += piece.n)
        continue;
}

static enum fault_kind fault_at_end(struct stream *s)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(16 << 20);
    struct stream_answer got = {0};
    assert_int_equal(stream_finish(s, NULL, &a, &got, NULL), OK);
    BUF_CLEANUP struct buf b = BUF_INIT(32 << 20);
    assert_int_equal(turn_print(&got.turn, &b, NULL), OK); /* whatever it was, a journal can keep it */
    stream_free(s);
    return got.fault.kind;
}

static void test_bounds(void **state)
{
    (void)state;
    char *x = malloc(65536);
    memset(x, 'x', 65536);
    struct slice piece = {x, 65536};
    struct stream_setup setup = {.format = O};
    struct stream *s = stream_new(&setup);
    feed_until(s, piece, 2 * STREAM_EVENT_MAX); /* a line without an end */
    assert_int_equal(fault_at_end(s), FAULT_LIMIT);

    s = stream_new(&setup);
    stream_feed(s, SLICE("{\"a\":\""));
    feed_until(s, piece, 2 * STREAM_EVENT_MAX); /* a whole answer without one */
    assert_int_equal(fault_at_end(s), FAULT_LIMIT);

    s = stream_new(&setup);
    for (int i = 0; i < 300 && stream_feed(s, SLICE("data: {\"choices\":[{\"delta\":{\"content\":\"")); i++) {
        for (int k = 0; k < 1000; k++) /* six letters of JSON for each */
            stream_feed(s, SLICE("\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001"));
        stream_feed(s, SLICE("\"}}]}\n\n"));
    }
    assert_int_equal(fault_at_end(s), FAULT_LIMIT);

    s = stream_new(&setup);
    for (int i = 0; i < 40 && stream_feed(s, SLICE("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"")); i++) {
        stream_feed(s, piece);
        stream_feed(s, SLICE("\"}}]}}]}\n\n"));
    }
    assert_int_equal(fault_at_end(s), FAULT_LIMIT);

    s = stream_new(&setup);
    for (int i = 0; i < 600; i++) {
        char event[128];
        snprintf(event, sizeof event, D("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d}]}}]}"), i);
        stream_feed(s, slice_of(event));
    }
    assert_int_equal(fault_at_end(s), FAULT_LIMIT);

    s = stream_new(&(struct stream_setup){.format = O, .status = 500});
    feed_until(s, piece, 1 << 20); /* an error that talks for ever */
    assert_int_equal(fault_at_end(s), FAULT_SERVER);

    s = stream_new(&setup);
    BUF_CLEANUP struct buf id = BUF_INIT(1 << 20);
    buf_addf(&id, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"%.*s\"}]}}]}\n\n", TRANSCRIPT_ID_MAX + 1, x);
    stream_feed(s, buf_slice(&id));
    assert_int_equal(fault_at_end(s), FAULT_LIMIT);
    free(x);
}

/* Memory that is refused anywhere gives an answer that says so, or the same answer; never half of one that looks whole. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDINGS; i++) {
        BUF_CLEANUP struct buf want = BUF_INIT(1 << 16), got = BUF_INIT(1 << 16), deltas = BUF_INIT(1 << 16);
        const struct recording *r = &recordings[i];
        if (!slice_is_utf8(r->bytes)) /* mending builds JSON, and that ends the process (text/json.h) */
            continue;
        play(r, NULL, 0, &deltas, &want);
        buf_extend(&got, 1 << 15); /* so that writing down what came needs none */
        for (unsigned n = 1;; n++) {
            ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
            struct stream_setup setup = {.format = r->format, .quirks = r->quirks, .provider = SLICE("prov"), .status = r->status, .retry_after_ms = -1};
            struct stream_answer answer;
            sys_fail_nth(n, ENOMEM, SYS_FAULT_MEMORY);
            struct stream *s = stream_new(&setup);
            enum err err = ERR_MEMORY;
            if (s) {
                stream_feed(s, r->bytes);
                err = stream_finish(s, NULL, &a, &answer, NULL);
            }
            bool reached = sys_calls() >= n;
            sys_fail_nth(0, 0, 0);
            buf_reset(&got);
            if (!err)
                dump_answer(&got, &answer);
            stream_free(s);
            if (!err && answer.fault.kind == FAULT_NONE && !slice_eq(buf_slice(&got), buf_slice(&want)))
                fail_msg("%s, call %u: %s", r->name, n, buf_str(&got));
            if (!reached)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recordings),
        cmocka_unit_test(test_split_anywhere),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_deltas_are_the_turn),
        cmocka_unit_test(test_deltas_in_order),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_why_the_connection_broke),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
