/*
 * Two slots in one file. The order of a change is what keeps V1: the second slot, fsync (it counts), the first, fsync, cut.
 * The first is only ever overwritten while the second holds the same or a later generation, durable.
 */
#include "door/vault.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>

#include "base/sys.h"
#include "door/vault_format.h"

enum slot { NOWHERE = -1, FIRST = 0, SECOND = 1 };

struct vault {
    int fd, key_fd;
    struct secret key, payload; /* payload: empty for an empty file */
    struct vault_entry entries[VAULT_ENTRIES_MAX]; /* slices of payload */
    size_t n;
    uint64_t generation;
    enum slot slot; /* where the record is that this was read from */
};

static const char anew[] = "bring back both files `vault` and `vault.key` from one backup, or remove both and give the keys again "
                           "with `crannog login`";

/* ---- the file ---- */

static enum err lock(int fd, struct error *e)
{
    enum { TRIES = 200, WAIT_MS = 10 };
    for (int i = 0; i < TRIES; i++) {
        if (sys->flock(fd, LOCK_EX | LOCK_NB) == 0)
            return OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(e, errno, "cannot lock the vault");
        (void)sys->poll(NULL, 0, WAIT_MS);
    }
    return error_set(e, ERR_BUSY, "another crannog holds the vault; try again when it has ended");
}

/* Reads up to n bytes at an offset; the end of the file comes early. */
static enum err read_at(int fd, void *p, size_t n, off_t at, size_t *ret_got, struct error *e)
{
    *ret_got = 0;
    while (*ret_got < n) {
        ssize_t got = sys->pread(fd, (char *)p + *ret_got, n - *ret_got, at + (off_t)*ret_got);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(e, errno, "cannot read the vault");
        if (got == 0)
            break;
        *ret_got += (size_t)got;
    }
    return OK;
}

/* Writes and makes durable. */
static enum err write_at(int fd, struct slice s, off_t at, struct error *e)
{
    for (size_t done = 0; done < s.n;) {
        ssize_t n = sys->pwrite(fd, s.p + done, s.n - done, at + (off_t)done);
        if (n < 0 && errno != EINTR)
            return error_errno(e, errno, "cannot write the vault");
        done += n > 0 ? (size_t)n : 0;
    }
    return sys->fsync(fd) < 0 ? error_errno(e, errno, "cannot make the vault durable") : OK;
}

static off_t slot_at(enum slot s)
{
    return s == SECOND ? VAULT_SLOT : 0;
}

/* ---- reading ---- */

enum found { FOUND_NOTHING, FOUND_ZEROS, FOUND_DAMAGE, FOUND_OTHER_KEY, FOUND_NEWER, FOUND_RECORD };

struct looked { /* at one slot */
    enum found found;
    uint64_t generation;
    struct secret payload;
    struct buf record;
};

static void looked_release(struct looked *l)
{
    secret_release(&l->payload);
    buf_release(&l->record);
}
#define LOOKED_CLEANUP __attribute__((cleanup(looked_release)))
#define LOOKED_INIT ((struct looked){.record = BUF_INIT(VAULT_SLOT)})

/* What stands at a slot by its first bytes; FOUND_RECORD: ret_header is one. */
static enum found look_at_header(const struct vault *v, const uint8_t *p, size_t n, struct vault_header *ret)
{
    if (n == 0)
        return FOUND_NOTHING;
    if (sodium_is_zero(p, n))
        return FOUND_ZEROS;
    if (n < VAULT_HEADER || !vault_header_read(p, ret))
        return FOUND_DAMAGE;
    if (ret->version > 1)
        return FOUND_NEWER;
    return vault_header_key(p, &v->key) ? FOUND_RECORD : FOUND_OTHER_KEY;
}

static enum err look(const struct vault *v, enum slot slot, struct looked *ret, struct error *e)
{
    struct vault_header h = {0};
    uint8_t header[VAULT_HEADER];
    size_t got;
    enum err err = read_at(v->fd, header, sizeof header, slot_at(slot), &got, e);
    if (err)
        return err;
    ret->found = look_at_header(v, header, got, &h);
    if (ret->found != FOUND_RECORD)
        return OK;
    size_t n = VAULT_HEADER + h.bytes;
    char *record = buf_extend(&ret->record, n);
    err = record ? read_at(v->fd, record, n, slot_at(slot), &got, e) : buf_check(&ret->record, "the vault", e);
    if (!err)
        err = got < n ? ERR_CORRUPT : vault_unseal(&v->key, buf_slice(&ret->record), &ret->payload, e);
    if (err == ERR_CORRUPT)
        ret->found = FOUND_DAMAGE;
    ret->generation = h.generation;
    return err == ERR_CORRUPT ? OK : err;
}

/* Neither slot has a record. */
static enum err no_record(enum found first, enum found second, struct error *e)
{
    if (first == FOUND_NOTHING || (first == FOUND_ZEROS && second != FOUND_NOTHING))
        return OK; /* never written, or the very first write was torn */
    if (first == FOUND_OTHER_KEY)
        return error_set(e, ERR_CORRUPT, "the vault was not sealed with the key in vault.key: one of the two was replaced or damaged; %s", anew);
    return error_set(e, ERR_CORRUPT, "the vault is damaged; %s", anew);
}

/* Takes what was found as the vault's contents. */
static enum err adopt(struct vault *v, enum slot slot, struct secret *payload, uint64_t generation, struct error *e)
{
    struct vault_entry entries[VAULT_ENTRIES_MAX];
    size_t n = 0;
    if (payload->n && !vault_payload_read(payload, entries, &n))
        return error_set(e, ERR_CORRUPT, "the vault opens, but holds no list of secrets; %s", anew);
    secret_release(&v->payload);
    v->payload = *payload;
    *payload = (struct secret){0};
    memcpy(v->entries, entries, n * sizeof *entries);
    v->n = n;
    v->slot = slot;
    v->generation = generation;
    return OK;
}

/* The second slot holds `record`, durable: now the first does, and nothing else is left. */
static enum err settle(struct vault *v, struct slice record, struct error *e)
{
    enum err err = write_at(v->fd, record, slot_at(FIRST), e);
    if (err)
        return err;
    v->slot = FIRST;
    if (sys->ftruncate(v->fd, (off_t)record.n) < 0 || sys->fsync(v->fd) < 0)
        return error_errno(e, errno, "cannot cut the vault behind its record");
    return OK;
}

/*
 * Brings a vault whose last change was cut short to rest. The second slot is written once more before the first is touched:
 * what was read may stand only in the system's memory, if the fsync before us failed.
 */
static enum err finish(struct vault *v, const struct looked *second, struct error *e)
{
    if (v->slot != SECOND)
        return OK;
    enum err err = write_at(v->fd, buf_slice(&second->record), slot_at(SECOND), e);
    return err ? err : settle(v, buf_slice(&second->record), e);
}

/* Reads the file. `will_change`: the vault must be at rest afterwards; else that is only tried. */
static enum err load(struct vault *v, bool will_change, struct error *e)
{
    LOOKED_CLEANUP struct looked first = LOOKED_INIT, second = LOOKED_INIT;
    enum err err = look(v, FIRST, &first, e);
    if (!err)
        err = look(v, SECOND, &second, e);
    if (err)
        return err;
    if (first.found == FOUND_NEWER || second.found == FOUND_NEWER)
        return error_set(e, ERR_VERSION, "the vault was written by a newer crannog; use that one, or %s", anew);
    bool at_first = first.found == FOUND_RECORD, at_second = second.found == FOUND_RECORD;
    if (!at_first && !at_second)
        err = no_record(first.found, second.found, e);
    if (err)
        return err;
    if (at_second && (!at_first || second.generation >= first.generation))
        err = adopt(v, SECOND, &second.payload, second.generation, e);
    else
        err = adopt(v, at_first ? FIRST : NOWHERE, &first.payload, first.generation, e);
    if (!err && v->slot == FIRST && second.found != FOUND_NOTHING)
        (void)sys->ftruncate(v->fd, (off_t)first.record.n); /* a torn write; the next change goes over it if this fails */
    if (err)
        return err;
    err = finish(v, &second, will_change ? e : NULL);
    return will_change ? err : OK;
}

/* ---- opening ---- */

static enum err make_key(struct vault *v, struct error *e)
{
    enum err err = OK;
    if (sys->random(v->key.p, VAULT_KEY) < 0)
        return error_set(e, ERR_IO, "the system has no random bytes for the vault's key");
    if (sys->ftruncate(v->key_fd, 0) < 0)
        return error_errno(e, errno, "cannot write the vault's key");
    err = write_at(v->key_fd, (struct slice){(const char *)v->key.p, VAULT_KEY}, 0, e);
    return err && e ? error_wrap(e, "the vault's key") : err;
}

/* A vault that holds nothing gets a fresh key if there is none, also where writing one was cut short. */
static enum err open_key(struct vault *v, struct error *e)
{
    uint8_t probe[VAULT_HEADER], more;
    size_t got, beyond, in_vault, in_second;
    enum err err = secret_alloc(VAULT_KEY, &v->key, e);
    if (!err)
        err = read_at(v->key_fd, v->key.p, VAULT_KEY, 0, &got, e);
    if (!err)
        err = read_at(v->key_fd, &more, 1, VAULT_KEY, &beyond, e);
    if (!err)
        err = read_at(v->fd, probe, sizeof probe, 0, &in_vault, e);
    if (!err)
        err = read_at(v->fd, &more, 1, VAULT_SLOT, &in_second, e);
    if (err || (got == VAULT_KEY && beyond == 0 && !sodium_is_zero(v->key.p, VAULT_KEY)))
        return err;
    if (in_vault == 0 && in_second == 0)
        return make_key(v, e);
    return error_set(e, ERR_CORRUPT, "vault.key is %s; %s", got || beyond ? "damaged" : "gone", anew);
}

enum err vault_open(int fd, int key_fd, struct vault **ret, struct error *e)
{
    if (sodium_init() < 0)
        return error_set(e, ERR_UNSUPPORTED, "libsodium does not start on this machine");
    struct vault *v = sys->realloc(NULL, sizeof *v);
    if (!v)
        return error_set(e, ERR_MEMORY, "no memory for the vault");
    *v = (struct vault){.fd = fd, .key_fd = key_fd, .slot = NOWHERE};
    enum err err = lock(fd, e);
    bool locked = !err;
    if (!err)
        err = open_key(v, e);
    if (!err)
        err = load(v, false, e);
    if (locked)
        (void)sys->flock(fd, LOCK_UN);
    if (err) {
        v->fd = v->key_fd = -1; /* still the caller's */
        vault_close(v);
        return err;
    }
    *ret = v;
    return OK;
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    secret_release(&v->payload);
    secret_release(&v->key);
    sys_close_fd(&v->fd);
    sys_close_fd(&v->key_fd);
    sys->free(v);
}

/* ---- entries ---- */

size_t vault_count(const struct vault *v)
{
    return v->n;
}

bool vault_at(const struct vault *v, size_t i, struct vault_entry *ret)
{
    if (i >= v->n)
        return false;
    *ret = v->entries[i];
    return true;
}

static size_t find(const struct vault_entry *v, size_t n, struct slice name)
{
    size_t i = 0;
    while (i < n && !slice_eq(v[i].name, name))
        i++;
    return i;
}

/* Writes these entries as the next generation. They may be slices of the payload that is replaced. */
static enum err save(struct vault *v, const struct vault_entry *entries, size_t n, struct error *e)
{
    SECRET_CLEANUP struct secret payload = {0};
    BUF_CLEANUP struct buf record = BUF_INIT(VAULT_SLOT);
    enum err err = vault_payload_write(entries, n, &payload, e);
    if (!err)
        err = vault_seal(&v->key, v->generation + 1, &payload, &record, e);
    if (!err)
        err = write_at(v->fd, buf_slice(&record), slot_at(SECOND), e);
    if (!err)
        err = adopt(v, SECOND, &payload, v->generation + 1, e);
    if (!err)
        (void)settle(v, buf_slice(&record), NULL); /* it counts already; the next load settles it */
    return err;
}

static enum err begin(struct vault *v, struct error *e)
{
    enum err err = lock(v->fd, e);
    if (err)
        return err;
    err = load(v, true, e);
    if (err)
        (void)sys->flock(v->fd, LOCK_UN);
    return err;
}

enum err vault_put(struct vault *v, struct slice name, struct slice value, struct slice base, struct error *e)
{
    struct vault_entry entries[VAULT_ENTRIES_MAX + 1], added = {name, value, base};
    enum err err = vault_entry_check(&added, e);
    if (!err)
        err = begin(v, e);
    if (err)
        return err;
    memcpy(entries, v->entries, v->n * sizeof *entries);
    size_t at = find(entries, v->n, name), n = at == v->n ? v->n + 1 : v->n;
    entries[at] = added;
    if (n > VAULT_ENTRIES_MAX)
        err = error_set(e, ERR_LIMIT, "the vault holds %d secrets already; `crannog login --forget NAME` makes room", VAULT_ENTRIES_MAX);
    else
        err = save(v, entries, n, e);
    (void)sys->flock(v->fd, LOCK_UN);
    return err;
}

enum err vault_remove(struct vault *v, struct slice name, struct error *e)
{
    struct vault_entry entries[VAULT_ENTRIES_MAX];
    enum err err = begin(v, e);
    if (err)
        return err;
    size_t at = find(v->entries, v->n, name), n = 0;
    for (size_t i = 0; i < v->n; i++)
        if (i != at)
            entries[n++] = v->entries[i];
    err = n == v->n ? error_set(e, ERR_MISSING, "the vault has no secret of that name") : save(v, entries, n, e);
    (void)sys->flock(v->fd, LOCK_UN);
    return err;
}
