#include "jail/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/sys.h"

static enum err send_plan(int socket, const struct jail_plan *p, const int stdio[3], struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(JAIL_PLAN_MAX);
    jail_plan_encode(p, &bytes);
    enum err err = jail_plan_whole(p, e);
    err = err ? err : buf_check(&bytes, "a jail's plan", e);
    if (err)
        return err;
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_large(&o, JAIL_PLAN, buf_slice(&bytes));
    for (int i = 0; stdio && i < 3; i++)
        outgoing_put_fd(&o, (uint16_t)(JAIL_STDIN + i), stdio[i]);
    return frame_send(socket, JAIL_RUN, 1, &o, e);
}

enum err jail_ready(const char *program_path, struct slice beginning, struct peer *ret, struct error *e)
{
    static char name[] = "crannog-jail";
    char *argv[] = {name, NULL}, *env[] = {NULL};
    struct peer peer = PEER_INIT;
    enum err err = peer_start(program_path, argv, env, NULL, 0, false, &peer, e);
    if (!err && beginning.n) {
        OUTGOING_CLEANUP struct outgoing o = outgoing_new();
        outgoing_put_large(&o, JAIL_PLAN, beginning);
        err = frame_send(peer.socket, JAIL_BEGIN, 1, &o, e);
    }
    if (err)
        peer_kill(&peer);
    else
        *ret = peer;
    return err;
}

void jail_unready(struct peer *ready)
{
    enum { WAIT_MS = 200 };
    BUF_CLEANUP struct buf how = BUF_INIT(200);
    sys_close_fd(&ready->socket);
    for (int i = 0; i < WAIT_MS && ready->pid && !peer_ended(ready, &how); i++)
        (void)sys->poll(NULL, 0, 1);
    peer_kill(ready);
}

enum err jail_start(const char *program_path, const struct jail_plan *p, const int stdio[3], bool nonblocking,
                    struct peer *ret, struct error *e)
{
    struct peer none = PEER_INIT;
    return jail_start_ready(&none, program_path, p, stdio, nonblocking, ret, e);
}

enum err jail_start_ready(struct peer *ready, const char *program_path, const struct jail_plan *p, const int stdio[3],
                          bool nonblocking, struct peer *ret, struct error *e)
{
    struct peer peer = *ready;
    *ready = PEER_INIT;
    enum err err = peer.pid ? send_plan(peer.socket, p, stdio, e) : ERR_GONE;
    if (err == ERR_GONE) { /* there was none, or it died while it waited */
        peer_kill(&peer);
        err = jail_ready(program_path, SLICE_NONE, &peer, e);
        err = err ? err : send_plan(peer.socket, p, stdio, e);
    }
    if (!err && nonblocking && fcntl(peer.socket, F_SETFL, O_NONBLOCK) < 0)
        err = error_errno(e, errno, "cannot set up the socket of %s", program_path);
    if (err)
        peer_kill(&peer);
    else
        *ret = peer;
    return err;
}

enum err jail_again(const struct peer *stays, const struct jail_plan *p, struct error *e)
{
    return send_plan(stays->socket, p, NULL, e);
}

const char *jail_took(enum jail_how how)
{
    switch (how) {
    case JAIL_TIMEOUT: return "longer than its timeout";
    case JAIL_CPU: return "more CPU time than its limit";
    case JAIL_DISK: return "more disk than its limit";
    case JAIL_MEMORY: return "more memory than its limit";
    case JAIL_ENTRIES: return "more files than its limit";
    default: return NULL;
    }
}

static void take_text(struct slice m, uint16_t tag, char *ret, size_t size)
{
    struct slice s = message_get(m, tag);
    snprintf(ret, size, "%.*s", SLICE_ARG(s));
}

static enum err take_large(const struct frame *f, uint16_t tag, struct buf *ret, struct error *e)
{
    enum err err = frame_large(f, tag, ret, e);
    return err == ERR_MISSING ? OK : err; /* an empty field may be left out */
}

static void take_numbers(struct slice m, struct jail_result *r)
{
    r->status = message_get_u64(m, JAIL_STATUS, 0);
    r->cpu_ns = message_get_u64(m, JAIL_CPU_NS, 0);
    r->wall_ns = message_get_u64(m, JAIL_WALL_NS, 0);
    r->rss = message_get_u64(m, JAIL_RSS, 0);
    r->leftover = message_get_u64(m, JAIL_LEFTOVER, 0);
    r->changed = message_get_u64(m, JAIL_CHANGED, 0) != 0;
    r->landlock = message_get_u64(m, JAIL_LANDLOCK, 0);
    r->grouped = message_get_u64(m, JAIL_GROUPED, 0) != 0;
    r->stays = message_get_u64(m, JAIL_STAYS, 0) != 0;
    r->out_dropped = message_get_u64(m, JAIL_OUT_DROPPED, 0);
    r->err_dropped = message_get_u64(m, JAIL_ERR_DROPPED, 0);
}

enum err jail_result_parse(const struct frame *f, struct jail_result *ret, struct error *e)
{
    struct jail_result r = {.out = BUF_INIT(JAIL_OUTPUT_MAX), .err = BUF_INIT(JAIL_OUTPUT_MAX),
                            .reply = BUF_INIT(JAIL_REPLY_MAX)};
    uint64_t how = message_get_u64(f->message, JAIL_HOW, 0);
    *ret = r;
    if (f->type != JAIL_RESULT || how < JAIL_EXITED || how > JAIL_HOW_LAST)
        return error_set(e, ERR_CORRUPT, "crannog-jail sent something that is not a result");
    r.how = (enum jail_how)how;
    take_numbers(f->message, &r);
    take_text(f->message, JAIL_WHY, r.why, sizeof r.why);
    take_text(f->message, JAIL_LEFT_NAMES, r.left, sizeof r.left);
    take_text(f->message, JAIL_NOTES, r.notes, sizeof r.notes);
    enum err err = take_large(f, JAIL_OUT, &r.out, e);
    err = err ? err : take_large(f, JAIL_ERR, &r.err, e);
    err = err ? err : take_large(f, JAIL_REPLY, &r.reply, e);
    if (err)
        jail_result_release(&r);
    else
        *ret = r;
    return err;
}

void jail_result_release(struct jail_result *r)
{
    if (!r)
        return;
    buf_release(&r->out);
    buf_release(&r->err);
    buf_release(&r->reply);
}
