/*
 * What the engine and crannog-door say to each other: frame types and field tags of WIRE_VERSION 1.
 *
 * The engine asks, the door answers with the same frame id; many requests may be under way. Texts marked large are "large"
 * fields (wire/frame.h); numbers are u64. The door holds the secrets; no frame from it carries one.
 *
 * D1  A secret is bound to one origin (scheme, host, port) when it is given. It is sent to no other.
 * D2  Each ASK ends in exactly one ANSWERED, whatever the network does: a fault is an answer.
 * D3  The bytes of a server are parsed in the door only. What it says of them is in the neutral form of model/transcript.h.
 */
#ifndef CRANNOG_DOOR_PROTOCOL_H
#define CRANNOG_DOOR_PROTOCOL_H

enum door_frame {
    DOOR_SECRET = 1, /* NAME, VALUE, BASE: a credential that lives as long as this process; no answer */
    DOOR_VAULT,      /* FD (the vault, read and write), FD (its key): opens it; OK with its NAME... or FAILED */
    DOOR_STORE,      /* NAME, VALUE, BASE: into the vault, durable; OK or FAILED */
    DOOR_FORGET,     /* NAME: out of it; OK or FAILED */
    DOOR_OK,         /* NAME...: all secrets that the door knows now */
    DOOR_FAILED,     /* CODE (enum err), TEXT: one line for people */
    DOOR_ASK,        /* PROVIDER, BASE (empty: the provider's own), SECRET (a name; empty: none), QUIRKS (added to the provider's),
                        TRANSCRIPT (large, transcript_print), CONNECT_MS, IDLE_MS (without a byte), TOTAL_MS */
    DOOR_DELTA,      /* KIND (enum delta_kind: text, reasoning, call begin, arguments, end), PART, TEXT, CALL, NAME; no reply */
    DOOR_ANSWERED,   /* TURN (large, turn_print; absent where there is nothing), STOP (enum stop_reason), FAULT (enum fault_kind),
                        STATUS, RETRY_MS (absent: not said), TEXT (of the fault), IN, CACHE_READ, CACHE_5M, CACHE_1H, OUT,
                        REASONING, NUSD (absent: not said), KNOWN (usage was reported), MODEL, DROPPED, SENT (the request, or a
                        part of it, may have reached the server), FIRST_NS (to the first delta), WALL_NS */
    DOOR_LOOK,       /* PROVIDER, BASE, SECRET, TOTAL_MS: which models does a server have? MODELS or FAILED */
    DOOR_MODELS,     /* NAME... */
    DOOR_CANCEL,     /* no fields; the id of the request to end: it answers at once (ANSWERED with what came so far and FAULT_CUT) */
};

enum door_tag {
    DOOR_NAME = 1, DOOR_VALUE, DOOR_BASE, DOOR_FD, DOOR_CODE,
    DOOR_TEXT, /* large */
    DOOR_PROVIDER, DOOR_SECRET_NAME, DOOR_QUIRKS,
    DOOR_TRANSCRIPT, /* large */
    DOOR_CONNECT_MS, DOOR_IDLE_MS, DOOR_TOTAL_MS,
    DOOR_KIND, DOOR_PART, DOOR_CALL,
    DOOR_TURN, /* large */
    DOOR_STOP, DOOR_FAULT, DOOR_STATUS, DOOR_RETRY_MS, DOOR_IN, DOOR_CACHE_READ, DOOR_CACHE_5M, DOOR_CACHE_1H, DOOR_OUT,
    DOOR_REASONING, DOOR_NUSD, DOOR_KNOWN, DOOR_MODEL, DOOR_DROPPED, DOOR_SENT, DOOR_FIRST_NS, DOOR_WALL_NS,
};

#endif
