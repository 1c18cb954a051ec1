#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "wire/internal.h"

enum { MAGIC = 0x4e415243, /* "CRAN" */ FIELD_INLINE = 0x00, FIELD_PASSED = 0xff };
enum { FDS_BYTES = FRAME_FDS_MAX * sizeof(int) };

/* The union gives the control bytes the alignment of a header. */
union control {
    char bytes[CMSG_SPACE(FDS_BYTES)];
    struct cmsghdr align;
};

/* ---- going out ---- */

struct outgoing outgoing_new(void)
{
    return (struct outgoing){.message = BUF_INIT(FRAME_MAX - FRAME_HEADER)};
}

void outgoing_release(struct outgoing *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->nfds; i++)
        if (o->owned[i])
            sys_close_fd(&o->fds[i]);
    if (o->wipe && o->message.p)
        explicit_bzero(o->message.p, o->message.cap);
    buf_release(&o->message);
    *o = outgoing_new();
}

static void outgoing_fail(struct outgoing *o, int errnum)
{
    if (!o->failed)
        o->errnum = errnum;
    o->failed = true;
}

static void outgoing_add_fd(struct outgoing *o, int fd, bool owned)
{
    o->fds[o->nfds] = fd;
    o->owned[o->nfds] = owned;
    o->nfds++;
}

static void put_passed(struct outgoing *o, uint16_t tag, struct slice bytes)
{
    if (o->nfds == FRAME_FDS_MAX || bytes.n > FRAME_LARGE_MAX) {
        outgoing_fail(o, 0);
        return;
    }
    int fd = sys_memfd("crannog-field", bytes);
    if (fd < 0) {
        outgoing_fail(o, errno);
        return;
    }
    char field[] = {(char)FIELD_PASSED, (char)o->nfds};
    outgoing_add_fd(o, fd, true);
    message_put(&o->message, tag, (struct slice){field, sizeof field});
}

void outgoing_put_large(struct outgoing *o, uint16_t tag, struct slice bytes)
{
    enum { AROUND = 7 }; /* tag, length and the first byte */
    /* With no descriptor left the whole frame may be used: many short texts should not fail for want of them. */
    size_t most = o->nfds < FRAME_FDS_MAX ? FRAME_INLINE_MAX : o->message.max;
    if (o->message.n + AROUND > most || bytes.n > most - AROUND - o->message.n) {
        put_passed(o, tag, bytes);
        return;
    }
    buf_add_u16(&o->message, tag);
    buf_add_u32(&o->message, (uint32_t)bytes.n + 1);
    buf_add_char(&o->message, FIELD_INLINE);
    buf_add(&o->message, bytes);
}

void outgoing_put_fd(struct outgoing *o, uint16_t tag, int fd)
{
    if (fd < 0 || o->nfds == FRAME_FDS_MAX) {
        outgoing_fail(o, fd < 0 ? EBADF : 0);
        return;
    }
    char index = (char)o->nfds;
    outgoing_add_fd(o, fd, false);
    message_put(&o->message, tag, (struct slice){&index, 1});
}

static enum err outgoing_check(const struct outgoing *o, uint16_t type, struct error *e)
{
    enum err err = buf_check(&o->message, "a message to another program", e);
    if (err)
        return err;
    if (o->failed && o->errnum)
        return error_errno(e, o->errnum, "cannot pass large fields in a frame of type %u", type);
    if (o->failed)
        return error_set(e, ERR_LIMIT, "a frame of type %u has more than %d descriptors or a field over %d bytes", type,
                         FRAME_FDS_MAX, FRAME_LARGE_MAX);
    if (!message_ok(buf_slice(&o->message)))
        return error_set(e, ERR_LIMIT, "a frame of type %u has more than %d fields", type, MESSAGE_FIELDS_MAX);
    return OK;
}

static void put_header(struct buf *b, uint16_t type, uint64_t id)
{
    buf_add_u32(b, MAGIC);
    buf_add_u16(b, WIRE_VERSION);
    buf_add_u16(b, type);
    buf_add_u64(b, id);
}

static void attach_fds(struct msghdr *m, union control *c, const struct outgoing *o)
{
    if (o->nfds == 0)
        return;
    memset(c, 0, sizeof *c);
    m->msg_control = c->bytes;
    m->msg_controllen = CMSG_SPACE(o->nfds * sizeof(int));
    struct cmsghdr *h = CMSG_FIRSTHDR(m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(o->nfds * sizeof(int));
    memcpy(CMSG_DATA(h), o->fds, o->nfds * sizeof(int));
}

static enum err socket_error(struct error *e, const char *doing)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return error_set(e, ERR_BUSY, "cannot %s now: the socket would block", doing);
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
        return error_set(e, ERR_GONE, "cannot %s: the other program has ended", doing);
    return error_errno(e, errno, "cannot %s", doing);
}

enum err frame_send(int socket, uint16_t type, uint64_t id, const struct outgoing *o, struct error *e)
{
    struct outgoing empty = outgoing_new();
    if (!o)
        o = &empty;
    enum err err = outgoing_check(o, type, e);
    if (err)
        return err;
    BUF_CLEANUP struct buf bytes = BUF_INIT(FRAME_MAX);
    put_header(&bytes, type, id);
    buf_add(&bytes, buf_slice(&o->message));
    if (!buf_ok(&bytes)) /* it is within bounds, so memory was refused */
        return error_set(e, ERR_MEMORY, "no memory for a frame of %zu bytes", FRAME_HEADER + o->message.n);
    union control control;
    struct iovec io = {bytes.p, bytes.n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    attach_fds(&m, &control, o);
    ssize_t n;
    do
        n = sys->sendmsg(socket, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    int errnum = errno;
    if (o->wipe)
        explicit_bzero(bytes.p, bytes.cap);
    errno = errnum;
    return n < 0 ? socket_error(e, "send a frame") : OK;
}

/* ---- coming in ---- */

enum err frame_parse(struct slice bytes, struct frame *ret, struct error *e)
{
    if (bytes.n < FRAME_HEADER || bytes.n > FRAME_MAX)
        return error_set(e, ERR_CORRUPT, "a frame of %zu bytes; %d to %d were expected", bytes.n, FRAME_HEADER,
                         FRAME_MAX);
    if (wire_le(bytes.p, 4) != MAGIC)
        return error_set(e, ERR_CORRUPT, "these bytes are no frame of crannog's");
    unsigned version = (unsigned)wire_le(bytes.p + 4, 2);
    if (version != WIRE_VERSION)
        return error_set(e, ERR_VERSION, "the other program speaks version %u of the wire, this one %d: install both "
                         "from the same build", version, WIRE_VERSION);
    struct frame f = FRAME_INIT;
    f.type = (uint16_t)wire_le(bytes.p + 6, 2);
    f.id = wire_le(bytes.p + 8, 8);
    f.message = slice_sub(bytes, FRAME_HEADER, bytes.n);
    if (!message_ok(f.message))
        return error_set(e, ERR_CORRUPT, "the message in a frame of type %u is malformed", f.type);
    for (size_t i = 0; i < FRAME_FDS_MAX; i++)
        f.fds[i] = -1;
    *ret = f;
    return OK;
}

/* Collects the descriptors of a received message; those that are too many are closed. False if there were such. */
static bool collect_fds(struct msghdr *m, struct frame *f)
{
    bool all = true;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (f->nfds < FRAME_FDS_MAX) {
                f->fds[f->nfds++] = fd;
            } else {
                sys_close_fd(&fd);
                all = false;
            }
        }
    }
    return all;
}

/* The size of the frame that waits, without taking it, so that it can be refused for want of memory and stay. */
static enum err waiting_size(int socket, size_t *ret, struct error *e)
{
    struct msghdr m = {0};
    ssize_t n;
    do
        n = sys->recvmsg(socket, &m, MSG_PEEK | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return socket_error(e, "receive a frame");
    if (n == 0) /* an empty packet looks the same; no frame is empty, so whoever sends one is as good as gone */
        return error_set(e, ERR_GONE, "the other program has closed its end");
    *ret = (size_t)n;
    return OK;
}

static enum err take_frame(int socket, size_t size, struct frame *f, struct error *e)
{
    if (!buf_extend(&f->bytes, size < FRAME_MAX ? size : FRAME_MAX))
        return error_set(e, ERR_MEMORY, "no memory for a frame of %zu bytes", size);
    union control control;
    struct iovec io = {f->bytes.p, f->bytes.n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = sys->recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return socket_error(e, "receive a frame");
    f->bytes.n = (size_t)n;
    if (!collect_fds(&m, f) || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return error_set(e, ERR_CORRUPT, "a frame over %d bytes, with more than %d descriptors, or none is free here",
                         FRAME_MAX, FRAME_FDS_MAX);
    return OK;
}

enum err frame_receive(int socket, struct frame *ret, struct error *e)
{
    *ret = FRAME_INIT;
    struct frame f = FRAME_INIT, parsed;
    size_t size = 0;
    enum err err = waiting_size(socket, &size, e);
    if (!err)
        err = take_frame(socket, size, &f, e);
    if (!err)
        err = frame_parse(buf_slice(&f.bytes), &parsed, e);
    if (err) {
        frame_release(&f);
        return err;
    }
    f.type = parsed.type;
    f.id = parsed.id;
    f.message = parsed.message;
    for (size_t i = f.nfds; i < FRAME_FDS_MAX; i++)
        f.fds[i] = -1;
    *ret = f;
    return OK;
}

void frame_release(struct frame *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->nfds; i++)
        sys_close_fd(&f->fds[i]);
    buf_release(&f->bytes);
    *f = FRAME_INIT;
}

/* ---- large fields ---- */

static enum err check_sealed(int fd, uint16_t tag, struct error *e)
{
    int need = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & need) != need)
        return error_set(e, ERR_CORRUPT, "field %u came in a descriptor that is not a sealed memfd", tag);
    return OK;
}

static enum err read_passed(int fd, uint16_t tag, struct buf *ret, struct error *e)
{
    enum err err = check_sealed(fd, tag, e);
    struct stat st;
    if (err)
        return err;
    if (sys->fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return error_errno(e, errno, "cannot ask for the size of field %u", tag);
    if (st.st_size < 0 || st.st_size > FRAME_LARGE_MAX || (size_t)st.st_size > ret->max - ret->n)
        return error_set(e, ERR_LIMIT, "field %u has %lld bytes; %zu were expected at most", tag, (long long)st.st_size,
                         ret->max - ret->n);
    size_t size = (size_t)st.st_size, before = ret->n, got = 0;
    char *at = buf_extend(ret, size);
    if (!at)
        return error_set(e, ERR_MEMORY, "no memory for the %zu bytes of field %u", size, tag);
    while (got < size) {
        ssize_t n = sys->pread(fd, at + got, size - got, (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            ret->n = before;
            return error_errno(e, n ? errno : EIO, "cannot read the passed bytes of field %u", tag);
        }
        got += (size_t)n;
    }
    return OK;
}

enum err frame_field_large(const struct frame *f, struct field field, struct buf *ret, struct error *e)
{
    struct slice b = field.bytes;
    if (b.n >= 1 && b.p[0] == FIELD_INLINE) {
        buf_add(ret, slice_sub(b, 1, b.n));
        return buf_check(ret, "a field of a message", e);
    }
    size_t index = b.n == 2 ? (unsigned char)b.p[1] : FRAME_FDS_MAX;
    if (b.n != 2 || (unsigned char)b.p[0] != FIELD_PASSED || index >= f->nfds || f->fds[index] < 0)
        return error_set(e, ERR_CORRUPT, "field %u is neither inline nor a passed descriptor", field.tag);
    return read_passed(f->fds[index], field.tag, ret, e);
}

enum err frame_large(const struct frame *f, uint16_t tag, struct buf *ret, struct error *e)
{
    struct field field;
    if (!message_find(f->message, tag, &field))
        return error_set(e, ERR_MISSING, "a frame of type %u lacks field %u", f->type, tag);
    return frame_field_large(f, field, ret, e);
}

int frame_take_fd(struct frame *f, uint16_t tag)
{
    struct slice b = message_get(f->message, tag);
    size_t index = b.n == 1 ? (unsigned char)b.p[0] : FRAME_FDS_MAX;
    if (index >= f->nfds)
        return -1;
    int fd = f->fds[index];
    f->fds[index] = -1;
    return fd;
}
