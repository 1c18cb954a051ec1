/*
 * What the engine and crannog-infer say to each other: frame types and field tags of WIRE_VERSION 1.
 *
 * The engine asks, infer answers with the same frame id. One GENERATE or MEASURE is worked on at a time ("slots" in
 * LOADED says how many); more may be sent and wait in order. Any request can be answered by INFER_FAILED.
 * IN counts the whole prompt, the template's tokens included, also where the cache had its beginning already.
 * Texts are "large" fields (wire/frame.h); numbers are u64. Times are nanoseconds of CPU (both threads added up).
 *
 * With TOOLS the answer is text, then calls (infer/grammar.h), each held to its tool's schema while it is made, so that
 * none is malformed: one that a limit or a cancellation cut is ended in the shortest way (SHORTENED = 1: it says less
 * than it should) or left out. A conversation goes on with the calls in the assistant's text as infer/tools.h writes
 * them, and a turn of the role "tool" for each result.
 */
#ifndef CRANNOG_INFER_PROTOCOL_H
#define CRANNOG_INFER_PROTOCOL_H

enum infer_frame {
    INFER_LOAD = 1,  /* FD (model file, read-only), THREADS, CONTEXT (tokens of KV cache, 0: the model's own, <= 8192) */
    INFER_LOADED,    /* NAME, ARCH, LAYERS, WIDTH, VOCAB, CONTEXT, BYTES, KERNEL ("avx2" | "scalar"), SLOTS */
    INFER_MEASURE,   /* TEXT, WINDOW (tokens a part may have) */
    INFER_MEASURED,  /* TOKENS (of the whole), CUT... (byte offsets where parts end, ascending, last = size) , CPU_NS */
    INFER_GENERATE,  /* (ROLE TEXT)..., MAX_TOKENS, SEED, TEMPERATURE_MILLI, TOP_P_MILLI, REPEAT_MILLI, CPU_LIMIT_NS,
                        TOOLS, CHOICE, STREAM (1: send DELTAs) */
    INFER_PROGRESS,  /* IN, OUT, CPU_NS: so far; at most ten a second, no reply needed */
    INFER_GENERATED, /* TEXT, (CALL_NAME ARGUMENTS)..., SHORTENED (where there are calls), IN, OUT, CPU_NS, STOP, PREFILL_NS, DECODE_NS (wall) */
    INFER_CANCEL,    /* no fields; the id of the request to stop; a GENERATE is answered by GENERATED with STOP = cancelled,
                        anything else by FAILED with CODE = ERR_CANCELLED; not heard while a LOAD is worked on */
    INFER_FAILED,    /* CODE (enum err), TEXT: one line for people */
    INFER_DELTA,     /* TEXT: what has come to the answer's text since the last one, whole characters; at most thirty a second,
                        and none while the socket is full: put together they are a beginning of GENERATED's TEXT */
};

enum infer_tag {
    INFER_FD = 1, INFER_THREADS, INFER_CONTEXT, INFER_NAME, INFER_ARCH, INFER_LAYERS, INFER_WIDTH, INFER_VOCAB,
    INFER_BYTES, INFER_KERNEL, INFER_SLOTS,
    INFER_TEXT,     /* large */
    INFER_WINDOW, INFER_TOKENS, INFER_CUT,
    INFER_ROLE,     /* "system" | "user" | "assistant" | "tool", directly before its TEXT */
    INFER_MAX_TOKENS, INFER_SEED, INFER_TEMPERATURE_MILLI, INFER_TOP_P_MILLI, INFER_REPEAT_MILLI, INFER_CPU_LIMIT_NS,
    INFER_IN, INFER_OUT, INFER_CPU_NS, INFER_STOP, INFER_PREFILL_NS, INFER_DECODE_NS, INFER_CODE,
    INFER_METER_KEY, /* METER_KEY_BYTES bytes (infer/meter.h), in MEASURE and GENERATE */
    INFER_TOOLS,     /* large: a JSON list of {"name", "description", "parameters": a JSON Schema} (infer/tools.h) */
    INFER_CHOICE,    /* "auto" (missing: this) | "any": a call, from the first token on | "none": told of them, calls none */
    INFER_STREAM, INFER_CALL_NAME,
    INFER_ARGUMENTS, /* large: a JSON object, directly behind its CALL_NAME */
    INFER_SHORTENED,
};

enum infer_stop { INFER_STOP_END = 0, INFER_STOP_LENGTH, INFER_STOP_CPU, INFER_STOP_CANCELLED, INFER_STOP_CONTEXT };

#endif
