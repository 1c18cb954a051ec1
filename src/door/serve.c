#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "base/sys.h"
#include "door/call.h"
#include "door/name.h"
#include "door/protocol.h"
#include "door/vault.h"

/* ---- what goes out ---- */

void server_alarm(struct server *s, int64_t at_ns)
{
    if (s->alarm_ns < 0 || at_ns < s->alarm_ns)
        s->alarm_ns = at_ns;
}

void server_dirty(struct server *s, struct call *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = NULL;
    *s->dirty_end = c;
    s->dirty_end = &c->next_dirty;
}

bool server_send(struct server *s, uint16_t type, uint64_t id, const struct outgoing *o)
{
    struct error e;
    enum err err = frame_send(s->socket, type, id, o, &e);
    if (err == ERR_BUSY) {
        s->full = true;
        return false;
    }
    /* A frame that cannot be made would leave the engine waiting for ever; that we are dead is something it can see. */
    if (err)
        s->gone = true;
    return true;
}

void server_say(struct server *s, uint16_t type, uint64_t id, struct outgoing *o)
{
    struct reply *r = sys->realloc(NULL, sizeof *r);
    if (!r) {
        s->gone = true;
        outgoing_release(o);
        return;
    }
    *r = (struct reply){.type = type, .id = id, .o = *o};
    *o = outgoing_new();
    *s->replies_end = r;
    s->replies_end = &r->next;
    s->nreplies++;
}

void server_fail(struct server *s, uint64_t id, const struct error *why)
{
    struct outgoing o = outgoing_new();
    message_put_u64(&o.message, DOOR_CODE, why->code);
    outgoing_put_large(&o, DOOR_TEXT, slice_of(why->text));
    server_say(s, DOOR_FAILED, id, &o);
}

static void send_replies(struct server *s)
{
    while (s->replies && !s->full && !s->gone) {
        struct reply *r = s->replies;
        if (!server_send(s, r->type, r->id, &r->o))
            return;
        s->replies = r->next;
        if (!s->replies)
            s->replies_end = &s->replies;
        s->nreplies--;
        outgoing_release(&r->o);
        sys->free(r);
    }
}

/* Calls take turns: one that could not say all goes to the end of the line. */
static void send_all(struct server *s)
{
    send_replies(s);
    while (s->dirty && !s->full && !s->gone) {
        struct call *c = s->dirty;
        s->dirty = c->next_dirty;
        if (!s->dirty)
            s->dirty_end = &s->dirty;
        c->dirty = false;
        if (!answer_send(c))
            server_dirty(s, c);
    }
}

/* ---- secrets ---- */

/* All names once: one of the environment hides that of the vault. */
static void say_names(struct server *s, uint64_t id)
{
    struct outgoing o = outgoing_new();
    for (const struct credential *c = s->credentials.first; c; c = c->next)
        if (credential_find(&s->credentials, slice_of(c->name)) == c)
            message_put(&o.message, DOOR_NAME, slice_of(c->name));
    server_say(s, DOOR_OK, id, &o);
}

/* What of a vault no header can carry, or has no base, is of no use here and stays in it. */
static void take_entries(struct server *s)
{
    struct vault_entry entry;
    for (size_t i = 0; vault_at(s->vault, i, &entry); i++)
        if (credential_put(&s->credentials, entry.name, entry.value, entry.base, true, NULL))
            continue;
}

static enum err open_vault(struct server *s, struct frame *f, struct error *e)
{
    FD_CLEANUP int fd = -1;
    FD_CLEANUP int key_fd = -1;
    if (s->vault)
        return error_set(e, ERR_EXISTS, "a vault is open already");
    if (f->nfds != 2)
        return error_set(e, ERR_USAGE, "a VAULT without its two files");
    fd = f->fds[0];
    key_fd = f->fds[1];
    f->fds[0] = f->fds[1] = -1;
    enum err err = vault_open(fd, key_fd, &s->vault, e);
    if (err)
        return err;
    fd = key_fd = -1;
    take_entries(s);
    return OK;
}

static enum err store(struct server *s, const struct frame *f, struct error *e)
{
    struct slice name = message_get(f->message, DOOR_NAME), value = message_get(f->message, DOOR_VALUE),
                 base = message_get(f->message, DOOR_BASE);
    struct credentials trial = {0};
    if (!s->vault)
        return error_set(e, ERR_MISSING, "there is no vault to keep secrets in");
    enum err err = credential_put(&trial, name, value, base, true, e); /* what could never be used is not kept */
    credentials_release(&trial);
    if (!err)
        err = vault_put(s->vault, name, value, base, e);
    return err ? err : credential_put(&s->credentials, name, value, base, true, e);
}

static enum err forget(struct server *s, const struct frame *f, struct error *e)
{
    struct slice name = message_get(f->message, DOOR_NAME);
    if (!s->vault)
        return error_set(e, ERR_MISSING, "there is no vault to forget secrets from");
    enum err err = vault_remove(s->vault, name, e);
    if (!err)
        credential_remove(&s->credentials, name, true);
    return err;
}

/* A secret of the environment that cannot be used is as none: the call that names it says so. */
static void take_secret(struct server *s, const struct frame *f)
{
    struct slice name = message_get(f->message, DOOR_NAME);
    if (credential_put(&s->credentials, name, message_get(f->message, DOOR_VALUE), message_get(f->message, DOOR_BASE), false, NULL))
        credential_remove(&s->credentials, name, false);
}

/* ---- what comes in ---- */

static void handle(struct server *s, struct frame *f)
{
    struct error e;
    enum err err = OK;
    switch (f->type) {
    case DOOR_ASK:
    case DOOR_LOOK:
        call_open(s, f);
        return;
    case DOOR_CANCEL:
        call_cancel(s, f->id);
        return;
    case DOOR_SECRET:
        take_secret(s, f);
        return;
    case DOOR_VAULT:
        err = open_vault(s, f, &e);
        break;
    case DOOR_STORE:
        err = store(s, f, &e);
        break;
    case DOOR_FORGET:
        err = forget(s, f, &e);
        break;
    default:
        err = error_set(&e, ERR_UNSUPPORTED, "crannog-door does not know requests of type %u", f->type);
    }
    if (err)
        server_fail(s, f->id, &e);
    else
        say_names(s, f->id);
}

static void take_frames(struct server *s)
{
    for (int i = 0; i < SERVER_FRAMES_TURN && !s->gone && s->nreplies < SERVER_REPLIES_MAX; i++) {
        struct frame f;
        struct error e;
        enum err err = frame_receive(s->socket, &f, &e);
        if (err == ERR_BUSY)
            return;
        if (err) { /* the end; or somebody speaks another language, and there is no use in going on */
            s->gone = true;
            return;
        }
        handle(s, &f);
        if (f.bytes.p && (f.type == DOOR_SECRET || f.type == DOOR_STORE))
            explicit_bzero(f.bytes.p, f.bytes.cap);
        frame_release(&f);
    }
}

/* ---- the loop ---- */

static void dial_waiting(struct server *s)
{
    names_heard();
    for (struct call *c = s->calls, *next; c; c = next) {
        next = c->next;
        if (c->stage == CALL_NAME)
            call_dial(c);
    }
}

static void end_transfers(struct server *s)
{
    CURLcode code;
    for (CURL *easy; (easy = net_ended(&s->net, &code));) {
        char *private = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        transfer_ended((struct call *)(void *)private, code);
    }
}

static void turn(struct server *s)
{
    int64_t now = sys->boottime_ns();
    if (s->alarm_ns >= 0 && s->alarm_ns <= now) {
        s->alarm_ns = -1;
        int64_t next = calls_alarm(s, now);
        if (next >= 0)
            server_alarm(s, next);
    }
    send_all(s);
    if (s->gone)
        return;
    net_watch(&s->net, s->socket, s->nreplies < SERVER_REPLIES_MAX, s->full);
    unsigned seen = net_wait(&s->net, s->dirty && !s->full ? 0 : s->alarm_ns);
    if (seen & NET_ENGINE_OUT)
        s->full = false;
    if (seen & NET_NAMES)
        dial_waiting(s);
    end_transfers(s);
    if (seen & NET_ENGINE)
        take_frames(s);
}

static void release(struct server *s)
{
    while (s->calls)
        call_free(s->calls);
    while (s->replies) {
        struct reply *r = s->replies;
        s->replies = r->next;
        outgoing_release(&r->o);
        sys->free(r);
    }
    net_close(&s->net);
    vault_close(s->vault);
    credentials_release(&s->credentials);
    sys->free(s);
}

int serve(int socket)
{
    struct error e;
    int names_fd = -1;
    struct server *s = sys->realloc(NULL, sizeof *s);
    if (!s)
        return 1;
    *s = (struct server){.socket = socket, .alarm_ns = -1};
    s->dirty_end = &s->dirty;
    s->replies_end = &s->replies;
    if (fcntl(socket, F_SETFL, O_NONBLOCK) < 0 || names_start(&names_fd, &e) || net_open(&s->net, socket, names_fd, &e)) {
        sys->free(s);
        return 1;
    }
    while (!s->gone)
        turn(s);
    release(s);
    return 0;
}
