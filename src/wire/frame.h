/*
 * Frames: messages and descriptors over a SOCK_SEQPACKET socketpair.
 *
 * Header, little-endian: u32 magic, u16 version (WIRE_VERSION), u16 type, u64 id; then the message. A frame is at most
 * FRAME_MAX bytes in all and carries at most FRAME_FDS_MAX descriptors. Larger bytes travel as a sealed memfd passed
 * by descriptor: message_put_large() in a sender and frame_large() in a receiver hide the difference.
 *
 * Types are numbered per protocol: those of crannog-infer in infer/protocol.h, of crannog-jail in jail/protocol.h.
 */
#ifndef CRANNOG_WIRE_FRAME_H
#define CRANNOG_WIRE_FRAME_H

#include "wire/message.h"

enum { WIRE_VERSION = 1, FRAME_HEADER = 16, FRAME_MAX = 64 * 1024, FRAME_FDS_MAX = 8, FRAME_INLINE_MAX = 32 * 1024 };

struct frame {
    uint16_t type;
    uint64_t id;
    struct slice message; /* borrowed from `bytes` */
    struct buf bytes;     /* owned: header and message */
    int fds[FRAME_FDS_MAX]; /* owned; -1 where taken or absent */
    size_t nfds;
};

/* An outgoing message that may carry large fields. */
struct outgoing {
    struct buf message;
    int fds[FRAME_FDS_MAX];
    bool owned[FRAME_FDS_MAX]; /* closed by outgoing_release */
    size_t nfds;
    bool failed;
};

#define OUTGOING_CLEANUP __attribute__((cleanup(outgoing_release)))
struct outgoing outgoing_new(void);
void outgoing_release(struct outgoing *o);
/* Bytes of any size up to 64 MiB: inline while the message stays small, else a sealed memfd (the field is then 0xff
   and the descriptor's index as one byte; an inline field is 0x00 followed by the bytes). */
void outgoing_put_large(struct outgoing *o, uint16_t tag, struct slice bytes);
/* Sends a descriptor along (borrowed); the field holds its index. */
void outgoing_put_fd(struct outgoing *o, uint16_t tag, int fd);

/* Parses header and message; never trips an assertion on any bytes. */
enum err MUST_USE frame_parse(struct slice bytes, struct frame *ret, struct error *e);
/* Sends one frame; blocks only if the socket does. ERR_GONE where the other side is dead, ERR_BUSY where a non-blocking
   socket is full. */
enum err MUST_USE frame_send(int socket, uint16_t type, uint64_t id, const struct outgoing *o, struct error *e);
/* Receives one frame. ERR_GONE at the end, ERR_BUSY where a non-blocking socket has none, ERR_CORRUPT for a frame that
   is not ours. The caller releases *ret. */
enum err MUST_USE frame_receive(int socket, struct frame *ret, struct error *e);
void frame_release(struct frame *f);
/* The bytes of a large field, copied to `ret` (bounded by its maximum), whichever way they came. ERR_MISSING without
   the field. A passed descriptor must be a sealed memfd: anything else is ERR_CORRUPT. */
enum err MUST_USE frame_large(const struct frame *f, uint16_t tag, struct buf *ret, struct error *e);
/* Takes the passed descriptor of a field, or -1. The caller closes it. */
int frame_take_fd(struct frame *f, uint16_t tag);

#endif
