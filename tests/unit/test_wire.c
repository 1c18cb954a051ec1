/* wire: what is sent arrives, what is damaged is refused, and no descriptor or process is ever left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "wire/peer.h"

static int open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void pair_of(int s[2], int more)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | more, 0, s), 0);
}

static void close_pair(int s[2])
{
    sys_close_fd(&s[0]);
    sys_close_fd(&s[1]);
}

/* A repeatable stream of bytes. */
static uint64_t seed = 1;
static unsigned char noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned char)(seed >> 56);
}

static void wait_end(struct peer *p, struct buf *how)
{
    for (int i = 0; i < 10000 && !peer_ended(p, how); i++)
        usleep(1000);
}

/* ---- messages ---- */

static void test_message_round_trip(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf m = BUF_INIT(1000);
    message_put(&m, 7, SLICE("seven"));
    message_put_u64(&m, 0xffff, UINT64_MAX - 1);
    message_put(&m, 7, SLICE(""));
    struct message_reader r = message_read(buf_slice(&m));
    struct field f;
    uint64_t v;
    assert_int_equal(message_next(&r, &f), 1);
    assert_true(f.tag == 7 && slice_is(f.bytes, "seven") && !field_u64(f, &v));
    assert_int_equal(message_next(&r, &f), 1);
    assert_true(f.tag == 0xffff && field_u64(f, &v) && v == UINT64_MAX - 1);
    assert_int_equal(message_next(&r, &f), 1);
    assert_true(f.tag == 7 && f.bytes.n == 0);
    assert_int_equal(message_next(&r, &f), 0);
    assert_true(slice_is(message_get(buf_slice(&m), 7), "seven"));
    assert_int_equal(message_get(buf_slice(&m), 8).n, 0);
    assert_int_equal(message_get_u64(buf_slice(&m), 7, 42), 42);
    assert_int_equal(message_get_u64(buf_slice(&m), 0xffff, 42), UINT64_MAX - 1);
}

/* The bytes on the wire are part of the contract: two builds must agree on them. */
static void test_message_bytes(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf m = BUF_INIT(100);
    message_put(&m, 0x0102, SLICE("ab"));
    message_put_u64(&m, 3, 0x1122334455667788);
    assert_int_equal(m.n, 8 + 14);
    assert_memory_equal(m.p, "\x02\x01\x02\0\0\0ab\x03\0\x08\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11", m.n);
}

static void test_message_has_a_field_limit(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf m = BUF_INIT(6 * (MESSAGE_FIELDS_MAX + 1));
    for (int i = 0; i < MESSAGE_FIELDS_MAX; i++)
        message_put(&m, 1, SLICE(""));
    assert_true(message_ok(buf_slice(&m)));
    message_put(&m, 1, SLICE(""));
    assert_true(buf_ok(&m));
    assert_false(message_ok(buf_slice(&m)));
}

/* A length that four bytes cannot say is refused before anything is written or read. */
static void test_message_has_a_length_limit(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf m = BUF_INIT(SIZE_MAX);
    message_put(&m, 1, (struct slice){"", (size_t)UINT32_MAX + 1});
    assert_true(!buf_ok(&m) && m.n == 0);
}

/* A reader that met damage stays there: asking again never runs on into bytes that were not checked. */
static void test_message_reader_stays_at_damage(void **state)
{
    (void)state;
    struct message_reader r = message_read(SLICE("\x01\0\xff\xff\xff\xff" "abc"));
    struct field f;
    assert_int_equal(message_next(&r, &f), -1);
    assert_int_equal(message_next(&r, &f), -1);
    assert_int_equal(message_get(SLICE("\x01\0\x04\0\0\0abc"), 1).n, 0);
}

/* ---- frames as bytes ---- */

static void make_frame(struct buf *ret)
{
    buf_add_u32(ret, 0x4e415243);
    buf_add_u16(ret, WIRE_VERSION);
    buf_add_u16(ret, 9);
    buf_add_u64(ret, 77);
    message_put(ret, 1, SLICE("one"));
    message_put_u64(ret, 2, 2);
    message_put(ret, 3, SLICE("the last field"));
}

/* More than a frame may have, cut between two fields at exactly FRAME_MAX: only the size is wrong with it. */
static void make_oversize(struct buf *ret)
{
    static char zeros[FRAME_MAX];
    make_frame(ret);
    message_put(ret, 4, (struct slice){zeros, FRAME_MAX - ret->n - 6});
    assert_int_equal(ret->n, FRAME_MAX);
    message_put(ret, 5, SLICE("more"));
}

/* Every proper prefix of a frame is refused, but those that end where a field ends. */
static void test_frame_truncated(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    make_frame(&b);
    struct frame f;
    assert_int_equal(frame_parse(buf_slice(&b), &f, NULL), OK);
    assert_true(f.type == 9 && f.id == 77 && f.nfds == 0 && slice_is(message_get(f.message, 3), "the last field"));
    unsigned whole = 0;
    for (size_t n = 0; n < b.n; n++) {
        char *copy = malloc(n ? n : 1); /* of the exact size, so that a sanitizer sees a byte too many */
        memcpy(copy, b.p, n);
        bool boundary = n == 16 || n == 16 + 9 || n == 16 + 9 + 14;
        struct error e = {0};
        enum err err = frame_parse((struct slice){copy, n}, &f, &e);
        assert_int_equal(err, boundary ? OK : ERR_CORRUPT);
        assert_true(err == OK || e.text[0]);
        whole += err == OK;
        free(copy);
    }
    assert_int_equal(whole, 3);
}

static void test_frame_of_another_version(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(FRAME_MAX + 1);
    make_frame(&b);
    struct frame f;
    b.p[4]++;
    assert_int_equal(frame_parse(buf_slice(&b), &f, NULL), ERR_VERSION);
    b.p[0]++;
    assert_int_equal(frame_parse(buf_slice(&b), &f, NULL), ERR_CORRUPT);
}

static void test_frame_oversize(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(FRAME_MAX + 100);
    make_oversize(&b);
    struct frame f;
    assert_int_equal(frame_parse(buf_slice(&b), &f, NULL), ERR_CORRUPT);
    assert_int_equal(frame_parse(slice_sub(buf_slice(&b), 0, FRAME_MAX), &f, NULL), OK);
}

/* Random damage to a good frame: either refused, or every field lies within the bytes. */
static void test_frame_random_bytes(void **state)
{
    (void)state;
    unsigned refused = 0, accepted = 0;
    for (int round = 0; round < 20000; round++) {
        BUF_CLEANUP struct buf b = BUF_INIT(1000);
        make_frame(&b);
        for (int i = noise() % 4; i >= 0; i--)
            b.p[noise() % b.n] = (char)noise();
        b.n -= noise() % 8;
        struct frame f;
        if (frame_parse(buf_slice(&b), &f, NULL) != OK) {
            refused++;
            continue;
        }
        accepted++;
        struct message_reader r = message_read(f.message);
        struct field field;
        while (message_next(&r, &field) > 0) {
            assert_true(field.bytes.p >= b.p && field.bytes.p + field.bytes.n <= b.p + b.n);
            BUF_CLEANUP struct buf large = BUF_INIT(1000);
            assert_int_not_equal(frame_field_large(&f, field, &large, NULL), ERR_MEMORY);
        }
    }
    assert_true(refused > 1000 && accepted > 100);
}

/* ---- frames over a socket ---- */

static void test_send_and_receive(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, 0);
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put(&o.message, 5, SLICE("hello"));
    assert_int_equal(frame_send(s[0], 3, 99, &o, NULL), OK);
    assert_int_equal(frame_send(s[0], 4, 100, NULL, NULL), OK);
    FRAME_CLEANUP struct frame f = FRAME_INIT, bare = FRAME_INIT;
    assert_int_equal(frame_receive(s[1], &f, NULL), OK);
    assert_true(f.type == 3 && f.id == 99 && slice_is(message_get(f.message, 5), "hello"));
    assert_int_equal(frame_receive(s[1], &bare, NULL), OK);
    assert_true(bare.type == 4 && bare.id == 100 && bare.message.n == 0);
    close_pair(s);
}

static void test_busy_and_gone(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, SOCK_NONBLOCK);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_BUSY);
    enum err err = OK;
    int sent = 0;
    for (; sent < 100000 && !err; sent++)
        err = frame_send(s[0], 1, 1, NULL, NULL);
    assert_int_equal(err, ERR_BUSY);
    assert_in_range(sent, 2, 99999);
    sys_close_fd(&s[0]);
    for (; sent > 1; sent--) { /* what was sent before the end still arrives */
        assert_int_equal(frame_receive(s[1], &f, NULL), OK);
        frame_release(&f);
    }
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_GONE);
    struct error e;
    assert_int_equal(frame_send(s[1], 1, 1, NULL, &e), ERR_GONE);
    assert_non_null(strstr(e.text, "has ended"));
    close_pair(s);
}

/* The other side closed while our frame lay unread: the system says "reset", we say gone. */
static void test_gone_with_unread_frames(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, 0);
    assert_int_equal(frame_send(s[0], 1, 1, NULL, NULL), OK);
    sys_close_fd(&s[1]);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    struct error e;
    assert_int_equal(frame_receive(s[0], &f, &e), ERR_GONE);
    assert_non_null(strstr(e.text, "has ended"));
    close_pair(s);
}

static void test_large_fields(void **state)
{
    (void)state;
    int before = open_fds(), s[2];
    pair_of(s, 0);
    size_t sizes[] = {0, 1, FRAME_INLINE_MAX - 7 - 9, FRAME_INLINE_MAX - 7 - 8, FRAME_INLINE_MAX, FRAME_MAX, 3000000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char *bytes = malloc(sizes[k] + 1);
        for (size_t i = 0; i < sizes[k]; i++)
            bytes[i] = (char)noise();
        OUTGOING_CLEANUP struct outgoing o = outgoing_new();
        message_put(&o.message, 1, SLICE("abc")); /* 9 bytes */
        outgoing_put_large(&o, 2, (struct slice){bytes, sizes[k]});
        message_put(&o.message, 3, SLICE("after"));
        assert_int_equal(o.nfds, sizes[k] <= FRAME_INLINE_MAX - 7 - 9 ? 0 : 1);
        assert_int_equal(frame_send(s[0], 1, 1, &o, NULL), OK);
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        assert_int_equal(frame_receive(s[1], &f, NULL), OK);
        BUF_CLEANUP struct buf got = BUF_INIT(3000003), small = BUF_INIT(sizes[k] ? sizes[k] - 1 : 0);
        buf_add_text(&got, "pre");
        assert_int_equal(frame_large(&f, 2, &got, NULL), OK);
        assert_true(got.n == sizes[k] + 3 && memcmp(got.p + 3, bytes, sizes[k]) == 0);
        assert_int_equal(frame_large(&f, 2, &small, NULL), sizes[k] ? ERR_LIMIT : OK);
        assert_int_equal(frame_large(&f, 4, &got, NULL), ERR_MISSING);
        assert_true(slice_is(message_get(f.message, 3), "after"));
        free(bytes);
    }
    close_pair(s);
    assert_int_equal(open_fds(), before);
}

/* Many texts in one frame: descriptors run out, the rest of the frame is used, and beyond that sending says so. */
static void test_many_large_fields(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, 0);
    char text[FRAME_INLINE_MAX];
    memset(text, 'x', sizeof text);
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    for (int i = 0; i < FRAME_FDS_MAX; i++)
        outgoing_put_large(&o, 1, (struct slice){text, sizeof text});
    assert_int_equal(o.nfds, FRAME_FDS_MAX);
    outgoing_put_large(&o, 1, (struct slice){text, sizeof text});
    assert_int_equal(frame_send(s[0], 1, 1, &o, NULL), OK);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(s[1], &f, NULL), OK);
    BUF_CLEANUP struct buf all = BUF_INIT(10 * sizeof text);
    struct message_reader r = message_read(f.message);
    struct field field;
    while (message_next(&r, &field) > 0)
        assert_int_equal(frame_field_large(&f, field, &all, NULL), OK);
    assert_int_equal(all.n, 9 * sizeof text);
    outgoing_put_large(&o, 1, (struct slice){text, sizeof text});
    assert_int_equal(frame_send(s[0], 1, 1, &o, NULL), ERR_LIMIT);
    close_pair(s);
}

/* What cannot be sent is noticed while it is put together and said when it is sent; nothing of it goes out. */
static void test_outgoing_limits(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, SOCK_NONBLOCK);
    OUTGOING_CLEANUP struct outgoing fds = outgoing_new(), bytes = outgoing_new();
    OUTGOING_CLEANUP struct outgoing fields = outgoing_new(), bad = outgoing_new();
    for (int i = 0; i <= FRAME_FDS_MAX; i++)
        outgoing_put_fd(&fds, 1, s[0]);
    assert_int_equal(frame_send(s[0], 1, 1, &fds, NULL), ERR_LIMIT);
    char *many = calloc(1, FRAME_LARGE_MAX + 1);
    outgoing_put_large(&bytes, 1, (struct slice){many, FRAME_LARGE_MAX + 1});
    assert_int_equal(frame_send(s[0], 1, 1, &bytes, NULL), ERR_LIMIT);
    free(many);
    for (int i = 0; i <= MESSAGE_FIELDS_MAX; i++)
        message_put(&fields.message, 1, SLICE(""));
    assert_int_equal(frame_send(s[0], 1, 1, &fields, NULL), ERR_LIMIT);
    outgoing_put_fd(&bad, 1, -1);
    assert_int_equal(frame_send(s[0], 1, 1, &bad, NULL), ERR_IO);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_BUSY);
    close_pair(s);
}

static void test_descriptors_arrive_once(void **state)
{
    (void)state;
    int before = open_fds(), s[2], pipes[2];
    pair_of(s, 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_fd(&o, 4, pipes[0]);
    outgoing_put_fd(&o, 5, pipes[1]);
    assert_int_equal(frame_send(s[0], 1, 1, &o, NULL), OK);
    outgoing_release(&o);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(s[1], &f, NULL), OK);
    assert_int_equal(f.nfds, 2);
    FD_CLEANUP int w = frame_take_fd(&f, 5);
    assert_true(w >= 0 && (fcntl(w, F_GETFD) & FD_CLOEXEC));
    assert_int_equal(frame_take_fd(&f, 5), -1);
    assert_int_equal(frame_take_fd(&f, 6), -1);
    assert_int_equal(write(w, "x", 1), 1);
    char c = 0;
    assert_true(read(pipes[0], &c, 1) == 1 && c == 'x');
    frame_release(&f); /* the one that nobody took */
    sys_close_fd(&w);
    close_pair(pipes);
    close_pair(s);
    assert_int_equal(open_fds(), before);
}

/* Sends a frame by hand, with `nfds` copies of `fd`. */
static void send_raw(int socket, struct slice bytes, int fd, size_t nfds)
{
    union {
        char bytes[CMSG_SPACE(64 * sizeof(int))];
        struct cmsghdr align;
    } c = {{0}};
    struct iovec io = {(void *)(uintptr_t)bytes.p, bytes.n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = c.bytes};
    m.msg_controllen = CMSG_SPACE(nfds * sizeof fd);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(nfds * sizeof fd);
    for (size_t i = 0; i < nfds; i++)
        memcpy(CMSG_DATA(h) + i * sizeof fd, &fd, sizeof fd);
    assert_int_equal(sendmsg(socket, &m, 0), bytes.n);
}

/* A bad frame costs its sender the frame and us nothing: whatever is wrong, all its descriptors are closed. */
static void test_bad_frames_leave_no_descriptors(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, 0);
    int before = open_fds();
    BUF_CLEANUP struct buf good = BUF_INIT(FRAME_MAX * 2), cut = BUF_INIT(FRAME_MAX), big = BUF_INIT(FRAME_MAX * 2);
    make_frame(&good);
    buf_add(&cut, slice_sub(buf_slice(&good), 0, good.n - 1));
    make_oversize(&big);
    struct frame f;
    send_raw(s[0], buf_slice(&good), s[0], FRAME_FDS_MAX + 1);
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_CORRUPT);
    send_raw(s[0], buf_slice(&good), s[0], 60);
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_CORRUPT);
    send_raw(s[0], buf_slice(&cut), s[0], 3);
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_CORRUPT);
    send_raw(s[0], buf_slice(&big), s[0], 3);
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_CORRUPT);
    assert_int_equal(open_fds(), before);
    send_raw(s[0], buf_slice(&good), s[0], FRAME_FDS_MAX); /* and the connection still works */
    assert_int_equal(frame_receive(s[1], &f, NULL), OK);
    assert_int_equal(open_fds(), before + FRAME_FDS_MAX);
    frame_release(&f);
    assert_int_equal(open_fds(), before);
    close_pair(s);
}

static enum err large_from(int fd, struct buf *ret)
{
    int s[2];
    pair_of(s, 0);
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_fd(&o, 1, fd);
    message_put(&o.message, 2, SLICE("\xff\0"));
    assert_int_equal(frame_send(s[0], 1, 1, &o, NULL), OK);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(s[1], &f, NULL), OK);
    close_pair(s);
    return frame_large(&f, 2, ret, NULL);
}

/* Bytes that the sender could still change, or make us wait for, are refused. */
static void test_unsealed_bytes_are_refused(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf got = BUF_INIT(100);
    int seals[] = {F_SEAL_WRITE | F_SEAL_SHRINK, F_SEAL_WRITE | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_GROW, 0};
    for (size_t i = 0; i < 4; i++) {
        FD_CLEANUP int fd = memfd_create("t", MFD_ALLOW_SEALING | MFD_CLOEXEC);
        assert_int_equal(write(fd, "text", 4), 4);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
        assert_int_equal(large_from(fd, &got), ERR_CORRUPT);
    }
    FD_CLEANUP int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_int_equal(large_from(zero, &got), ERR_CORRUPT);
    assert_int_equal(got.n, 0);
    FD_CLEANUP int sealed = sys_memfd("t", SLICE("text"));
    assert_int_equal(large_from(sealed, &got), OK);
    assert_true(slice_is(buf_slice(&got), "text"));
    FD_CLEANUP int huge = memfd_create("t", MFD_ALLOW_SEALING | MFD_CLOEXEC); /* a hole costs its sender nothing */
    assert_int_equal(ftruncate(huge, (off_t)1 << 40), 0);
    assert_int_equal(fcntl(huge, F_ADD_SEALS, seals[0] | F_SEAL_GROW), 0);
    assert_int_equal(large_from(huge, &got), ERR_LIMIT);
    FD_CLEANUP int over = memfd_create("t", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    assert_int_equal(ftruncate(over, FRAME_LARGE_MAX + 1), 0);
    assert_int_equal(fcntl(over, F_ADD_SEALS, seals[0] | F_SEAL_GROW), 0);
    BUF_CLEANUP struct buf trusting = BUF_INIT(SIZE_MAX);
    assert_int_equal(large_from(over, &trusting), ERR_LIMIT);
}

static ssize_t short_pread(int fd, void *p, size_t n, off_t at)
{
    return pread(fd, p, n > 3 ? 3 : n, at);
}

static void test_short_reads_are_continued(void **state)
{
    (void)state;
    struct sys slow = sys_real;
    slow.pread = short_pread;
    FD_CLEANUP int fd = sys_memfd("t", SLICE("0123456789"));
    BUF_CLEANUP struct buf got = BUF_INIT(100);
    sys = &slow;
    enum err err = large_from(fd, &got);
    sys = &sys_real;
    assert_int_equal(err, OK);
    assert_string_equal(buf_str(&got), "0123456789");
}

/* A large field that points at a descriptor that is not there, or that was taken, is refused. */
static void test_large_field_pointing_nowhere(void **state)
{
    (void)state;
    const struct slice fields[] = {SLICE(""),         SLICE("\xff"),  SLICE("\xff\x01"),
                                   SLICE("\xff\xff"), SLICE("\x01z"), SLICE("\xff\0\0")};
    FD_CLEANUP int sealed = sys_memfd("t", SLICE("text"));
    struct frame f = FRAME_INIT;
    f.fds[f.nfds++] = sealed;
    f.fds[1] = sealed; /* past the count, so not ours */
    BUF_CLEANUP struct buf got = BUF_INIT(100);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        assert_int_equal(frame_field_large(&f, (struct field){1, fields[i]}, &got, NULL), ERR_CORRUPT);
    struct field there = {1, SLICE("\xff\0")};
    assert_int_equal(frame_field_large(&f, there, &got, NULL), OK);
    f.fds[0] = -1; /* taken */
    assert_int_equal(frame_field_large(&f, there, &got, NULL), ERR_CORRUPT);
}

/* ---- peers ---- */

static char *const no_env[] = {NULL};
#define SEND_SEVEN "printf 'CRAN\\001\\000\\007\\000\\001\\0\\0\\0\\0\\0\\0\\0' >&3" /* a frame of type 7 and id 1 */

/* The program reads a frame and its (empty) input to descriptor 4, and writes a frame. Ours has bytes waiting. */
static void test_peer_talks(void **state)
{
    (void)state;
    int before = open_fds(), out[2], typed[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(typed, O_CLOEXEC), 0);
    assert_int_equal(write(typed[1], "typed", 5), 5);
    sys_close_fd(&typed[1]);
    FD_CLEANUP int input = dup(0);
    dup2(typed[0], 0);
    sys_close_fd(&typed[0]);
    char *argv[] = {"sh", "-c", "echo \"$A\" >&4; head -c 16 <&3 >&4; cat >&4; " SEND_SEVEN
                    "; ls /proc/self/fd >&4", NULL};
    char *env[] = {"A=here", "PATH=/usr/bin:/bin", NULL};
    struct peer p = PEER_INIT;
    assert_int_equal(peer_start("/bin/sh", argv, env, &out[1], 1, false, &p, NULL), OK);
    sys_close_fd(&out[1]);
    assert_int_equal(frame_send(p.socket, 8, 8, NULL, NULL), OK);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(p.socket, &f, NULL), OK);
    assert_true(f.type == 7 && f.id == 1);
    char text[200] = {0};
    size_t n = 0;
    for (ssize_t got = 1; got > 0; n += (size_t)got)
        got = read(out[0], text + n, sizeof text - 1 - n);
    assert_memory_equal(text, "here\nCRAN\1\0\10\0\10\0\0\0\0\0\0\0", 21);
    /* `ls` has what it was given, and one for the folder it lists; nothing else of ours */
    assert_string_equal(text + 21, "0\n1\n2\n3\n4\n5\n");
    BUF_CLEANUP struct buf how = BUF_INIT(100);
    wait_end(&p, &how);
    assert_string_equal(buf_str(&how), "exit status 0");
    peer_kill(&p);
    dup2(input, 0);
    sys_close_fd(&input);
    sys_close_fd(&out[0]);
    assert_int_equal(open_fds(), before);
}

static void test_peer_kill(void **state)
{
    (void)state;
    int before = open_fds();
    struct peer p = PEER_INIT;
    peer_kill(&p);
    peer_kill(NULL);
    char *argv[] = {"sleep", "1000", NULL};
    assert_int_equal(peer_start("/bin/sleep", argv, no_env, NULL, 0, true, &p, NULL), OK);
    pid_t pid = p.pid;
    BUF_CLEANUP struct buf how = BUF_INIT(100);
    assert_false(peer_ended(&p, &how));
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(p.socket, &f, NULL), ERR_BUSY);
    peer_kill(&p);
    assert_true(p.pid == 0 && p.socket == -1);
    assert_true(kill(pid, 0) < 0 && errno == ESRCH);
    assert_true(peer_ended(&p, &how));
    assert_string_equal(buf_str(&how), "not running");
    assert_int_equal(open_fds(), before);
}

static void test_peer_says_how_it_ended(void **state)
{
    (void)state;
    const struct {
        const char *path, *script, *how;
    } cases[] = {
        {"/bin/sh", "exit 3", "exit status 3"},
        {"/bin/sh", "kill -9 $$", "killed by signal 9"},
        {"/nonexistent/program", "", "exit status 127: the program could not be started"},
    };
    for (size_t i = 0; i < 3; i++) {
        char *argv[] = {"sh", "-c", (char *)(uintptr_t)cases[i].script, NULL};
        struct peer p = PEER_INIT;
        BUF_CLEANUP struct buf how = BUF_INIT(100);
        assert_int_equal(peer_start(cases[i].path, argv, no_env, NULL, 0, false, &p, NULL), OK);
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        assert_int_equal(frame_receive(p.socket, &f, NULL), ERR_GONE);
        wait_end(&p, &how);
        assert_string_equal(buf_str(&how), cases[i].how);
        assert_int_equal(p.pid, 0);
        peer_kill(&p);
    }
}

/* A frame that waits at the moment of death is still read afterwards. */
static void test_last_words_are_kept(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c", SEND_SEVEN, NULL};
    struct peer p = PEER_INIT;
    BUF_CLEANUP struct buf how = BUF_INIT(100);
    assert_int_equal(peer_start("/bin/sh", argv, no_env, NULL, 0, true, &p, NULL), OK);
    wait_end(&p, &how);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    assert_int_equal(frame_receive(p.socket, &f, NULL), OK);
    peer_kill(&p);
}

static void test_peer_find(void **state)
{
    (void)state;
    char self[4096] = {0};
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    assert_int_equal(peer_find(strrchr(self, '/') + 1, &path, NULL), OK);
    assert_string_equal(buf_str(&path), self);
    struct error e;
    assert_int_equal(peer_find("no-such-program", &path, &e), ERR_MISSING);
    assert_non_null(strstr(e.text, "no-such-program"));
    *strrchr(self, '/') = '\0';
    assert_non_null(strstr(e.text, self));
    BUF_CLEANUP struct buf plain = BUF_INIT(4096); /* a file that is no program, then one that is */
    buf_addf(&plain, "%s/unit-wire-XXXXXX", self);
    FD_CLEANUP int fd = mkstemp(plain.p);
    assert_true(fd >= 0);
    const char *name = strrchr(plain.p, '/') + 1;
    assert_int_equal(peer_find(name, &path, NULL), ERR_MISSING);
    assert_int_equal(fchmod(fd, 0700), 0);
    enum err err = peer_find(name, &path, NULL);
    unlink(plain.p);
    assert_int_equal(err, OK);
    assert_string_equal(buf_str(&path), buf_str(&plain));
}

static void test_too_many_descriptors_for_a_peer(void **state)
{
    (void)state;
    int fds[PEER_FDS_MAX + 1] = {0};
    char *argv[] = {"true", NULL};
    struct peer p = PEER_INIT;
    assert_int_equal(peer_start("/bin/true", argv, no_env, fds, PEER_FDS_MAX + 1, false, &p, NULL), ERR_LIMIT);
    assert_int_equal(peer_start("/bin/true", argv, no_env, fds, PEER_FDS_MAX, false, &p, NULL), OK);
    BUF_CLEANUP struct buf how = BUF_INIT(100);
    wait_end(&p, &how);
    assert_string_equal(buf_str(&how), "exit status 0");
    peer_kill(&p);
}

/* ---- every call that can fail, failing in turn ---- */

/* Starts a program, has it send a large field through us, ends it. */
static enum err whole_story(struct error *e)
{
    int s[2];
    char text[FRAME_MAX];
    memset(text, 'y', sizeof text);
    char *argv[] = {"sleep", "1000", NULL};
    struct peer p = PEER_INIT;
    enum err err = peer_start("/bin/sleep", argv, no_env, NULL, 0, false, &p, e);
    pair_of(s, 0);
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put(&o.message, 1, SLICE("plain"));
    outgoing_put_large(&o, 2, (struct slice){text, sizeof text});
    if (!err)
        err = frame_send(s[0], 1, 1, &o, e);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    if (!err)
        err = frame_receive(s[1], &f, e);
    BUF_CLEANUP struct buf got = BUF_INIT(FRAME_MAX);
    if (!err)
        err = frame_large(&f, 2, &got, e);
    if (!err && got.n != FRAME_MAX)
        err = ERR_CORRUPT;
    peer_kill(&p);
    close_pair(s);
    return err;
}

static void test_every_fault(void **state)
{
    (void)state;
    int before = open_fds();
    unsigned n = 1;
    for (;; n++) {
        struct error e = {0};
        sys_fail_nth(n, EIO, SYS_FAULT_ALL);
        enum err err = whole_story(&e);
        bool reached = sys_calls() >= n;
        sys_fail_nth(0, 0, 0);
        assert_int_equal(open_fds(), before);
        assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
        if (!reached) {
            assert_int_equal(err, OK);
            break;
        }
        assert_int_not_equal(err, OK);
        assert_true(e.code == err && e.text[0]);
    }
    assert_in_range(n, 10, 40);
}

/* An interrupted call is no failure. */
static void test_interruptions_are_retried(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, 0);
    for (unsigned n = 1; n <= 3; n++) { /* sendmsg, the look, recvmsg */
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        sys_fail_nth(n, EINTR, SYS_FAULT_PROCESS);
        assert_int_equal(frame_send(s[0], 1, 1, NULL, NULL), OK);
        assert_int_equal(frame_receive(s[1], &f, NULL), OK);
        assert_int_equal(sys_calls(), 4);
        sys_fail_nth(0, 0, 0);
    }
    close_pair(s);
}

/* Memory refused while a frame waits: the frame stays and the next attempt has it. */
static void test_no_memory_loses_no_frame(void **state)
{
    (void)state;
    int s[2];
    pair_of(s, 0);
    assert_int_equal(frame_send(s[0], 6, 1, NULL, NULL), OK);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    sys_fail_nth(1, ENOMEM, SYS_FAULT_MEMORY);
    assert_int_equal(frame_receive(s[1], &f, NULL), ERR_MEMORY);
    sys_fail_nth(0, 0, 0);
    assert_int_equal(frame_receive(s[1], &f, NULL), OK);
    assert_int_equal(f.type, 6);
    close_pair(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_round_trip),
        cmocka_unit_test(test_message_bytes),
        cmocka_unit_test(test_message_has_a_field_limit),
        cmocka_unit_test(test_message_has_a_length_limit),
        cmocka_unit_test(test_message_reader_stays_at_damage),
        cmocka_unit_test(test_frame_truncated),
        cmocka_unit_test(test_frame_of_another_version),
        cmocka_unit_test(test_frame_oversize),
        cmocka_unit_test(test_frame_random_bytes),
        cmocka_unit_test(test_send_and_receive),
        cmocka_unit_test(test_busy_and_gone),
        cmocka_unit_test(test_gone_with_unread_frames),
        cmocka_unit_test(test_large_fields),
        cmocka_unit_test(test_many_large_fields),
        cmocka_unit_test(test_outgoing_limits),
        cmocka_unit_test(test_descriptors_arrive_once),
        cmocka_unit_test(test_bad_frames_leave_no_descriptors),
        cmocka_unit_test(test_unsealed_bytes_are_refused),
        cmocka_unit_test(test_short_reads_are_continued),
        cmocka_unit_test(test_large_field_pointing_nowhere),
        cmocka_unit_test(test_peer_talks),
        cmocka_unit_test(test_peer_kill),
        cmocka_unit_test(test_peer_says_how_it_ended),
        cmocka_unit_test(test_last_words_are_kept),
        cmocka_unit_test(test_peer_find),
        cmocka_unit_test(test_too_many_descriptors_for_a_peer),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_interruptions_are_retried),
        cmocka_unit_test(test_no_memory_loses_no_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
