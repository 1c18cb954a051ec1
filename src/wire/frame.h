/*
 * Frames: messages and descriptors over a SOCK_SEQPACKET socketpair.
 *
 * Header, little-endian: u32 magic, u16 version (WIRE_VERSION), u16 type, u64 id; then the message. A frame is at most
 * FRAME_MAX bytes in all and carries at most FRAME_FDS_MAX descriptors. Larger bytes travel as a sealed memfd passed
 * by descriptor: outgoing_put_large() in a sender and frame_large() in a receiver hide the difference.
 *
 * Types are numbered per protocol: those of crannog-infer in infer/protocol.h, of crannog-jail in jail/protocol.h.
 * One thread at a time reads a socket, one at a time writes it.
 */
#ifndef CRANNOG_WIRE_FRAME_H
#define CRANNOG_WIRE_FRAME_H

#include "wire/message.h"

enum {
    WIRE_VERSION = 1,
    FRAME_HEADER = 16,
    FRAME_MAX = 64 * 1024,
    FRAME_FDS_MAX = 8,
    FRAME_INLINE_MAX = 32 * 1024,       /* a large field stays in the message while that is at most this */
    FRAME_LARGE_MAX = 64 * 1024 * 1024, /* bytes of one large field */
};

struct frame {
    uint16_t type;
    uint64_t id;
    struct slice message;   /* borrowed from `bytes` (from the argument after frame_parse) */
    struct buf bytes;       /* owned: header and message */
    int fds[FRAME_FDS_MAX]; /* owned; -1 where taken or absent */
    size_t nfds;
};

#define FRAME_INIT ((struct frame){.bytes = BUF_INIT(FRAME_MAX)})
#define FRAME_CLEANUP __attribute__((cleanup(frame_release)))

/* An outgoing message that may carry large fields. Put plain fields with message_put(&o.message, …). */
struct outgoing {
    struct buf message;
    int fds[FRAME_FDS_MAX];
    bool owned[FRAME_FDS_MAX]; /* closed by outgoing_release */
    size_t nfds;
    bool failed;
    int errnum; /* what the system said when `failed`; 0: a bound of ours */
    bool wipe;  /* there is a secret in it: frame_send and outgoing_release leave no copy in memory */
};

#define OUTGOING_CLEANUP __attribute__((cleanup(outgoing_release)))
struct outgoing outgoing_new(void);
void outgoing_release(struct outgoing *o);
/* Bytes of any size up to FRAME_LARGE_MAX: inline while the message stays small, else a sealed memfd (the field is then
   0xff and the descriptor's index as one byte; an inline field is 0x00 followed by the bytes). Failures show in
   frame_send. */
void outgoing_put_large(struct outgoing *o, uint16_t tag, struct slice bytes);
/* Sends a descriptor along (borrowed until frame_send returns); the field holds its index as one byte. */
void outgoing_put_fd(struct outgoing *o, uint16_t tag, int fd);

/* Parses header and message; never trips an assertion on any bytes. *ret borrows `bytes` and has no descriptors.
   ERR_CORRUPT, or ERR_VERSION for a frame of another WIRE_VERSION. */
enum err MUST_USE frame_parse(struct slice bytes, struct frame *ret, struct error *e);
/* Sends one frame; `o` may be NULL for one without fields. Blocks only if the socket does. ERR_GONE where the other
   side is dead, ERR_BUSY where a non-blocking socket is full (nothing was sent: try again), ERR_LIMIT, ERR_MEMORY or
   what the system said where the message could not be built. Never raises SIGPIPE. */
enum err MUST_USE frame_send(int socket, uint16_t type, uint64_t id, const struct outgoing *o, struct error *e);
/* Receives one frame. ERR_GONE at the end, ERR_BUSY where a non-blocking socket has none, ERR_CORRUPT (ERR_VERSION) for
   a frame that is not ours: it has then been taken off the socket and its descriptors are closed. Passed descriptors
   are close-on-exec. The caller releases *ret; after an error it is empty. */
enum err MUST_USE frame_receive(int socket, struct frame *ret, struct error *e);
void frame_release(struct frame *f);
/* Appends the bytes of a large field to `ret` (bounded by its maximum: ERR_LIMIT), whichever way they came. ERR_MISSING
   without the field. A passed descriptor must be a sealed memfd: anything else is ERR_CORRUPT. */
enum err MUST_USE frame_large(const struct frame *f, uint16_t tag, struct buf *ret, struct error *e);
/* The same for a field met while walking the message (where a tag comes more than once). */
enum err MUST_USE frame_field_large(const struct frame *f, struct field field, struct buf *ret, struct error *e);
/* Takes the passed descriptor of a field, or -1. The caller closes it. */
int frame_take_fd(struct frame *f, uint16_t tag);

#endif
