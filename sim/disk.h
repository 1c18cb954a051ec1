/*
 * The simulated disk: files, folders, a page cache, and what is left of them after a crash.
 *
 * THE MODEL. Every file has two contents: what a process sees (the page cache) and what is durable. A write changes
 * the first; a sync of the file makes the second equal to it. Between the two lies, for each 512-byte sector, one bit:
 * "written since". Sizes (with mode and times) are kept twice in the same way, and so are the names: a folder's entries
 * as seen, its entries as durable, and the list of changes in between.
 *
 * KILL (the process dies): the cache survives, so everything written stays visible. A write in the middle has written
 * its first sectors only. Handles are closed, locks are released.
 *
 * POWER CUT (the machine dies): the cache is gone. What was not synced is kept or lost piece by piece, by seed:
 *   D1  each sector written since the file's last sync is the new one or the old one, whole (512 bytes is what a disk
 *       writes atomically; no byte outside the written range changes, which is what SQLite calls POWERSAFE_OVERWRITE
 *       and what Debian's build assumes of real disks);
 *   D2  the size is the new one, the old one, or one between; independently of the sectors, so a file may have grown
 *       and hold zeros (XFS does that, ext4 with preallocation too);
 *   D3  each change of names (create, unlink, rename, exchange, mkdir) since the folder's last sync happened or did
 *       not, as a whole: a rename over a file gives the old or the new one, never neither. Changes that touch the same
 *       name or the same file keep their order; others do not (a journaling file system keeps all in order, POSIX does
 *       not promise it; half of the cuts do it in order). A rename between two folders is one change, durable when
 *       either is synced;
 *   D4  a sync of a file does not sync its name, and a sync of a folder does not sync its own name in the folder above.
 *       ext4 does both by accident; software must not lean on it;
 *   D5  what was synced is never lost, and what was lost does not come back.
 * All-lost and all-kept cuts are as common as mixed ones, because they are what real machines mostly do. Between
 * operations the kernel writes back of its own accord (a page, a size, the oldest change of names, one time in eight),
 * so a cut can also show a middle version, as on real disks.
 *
 * A SYNC in the middle of a crash has written some of the sectors. A sync that FAILS (sim_fail with EIO) has written
 * some; the others are marked clean, as Linux does: they stay visible, no later sync writes them, a power cut loses
 * them. Writing them again heals.
 *
 * A FULL DISK: the page that does not fit ends a write early (a short count, then ENOSPC). Overwriting in place always
 * fits; unlinking gives room back when nobody has the file open.
 *
 * NOT MODELLED: symlinks, hard links, permissions (modes are kept, not enforced), bit rot, misdirected writes, a disk
 * that acknowledges a sync and lies (but see sim_bugs), cuts of power during a cut. Atime is mtime. Times have the
 * kernel's coarse grain of 4 ms, so two writes can share one; inode numbers are used again soon, as on ext4.
 *
 * LIMITS: 64 MiB of pages (cache and durable versions together), 8 MiB a file, 255 files and folders, a name of 95
 * bytes, 128 open handles. Past a limit the call fails with the errno that a real one would give (EFBIG,
 * ENOSPC, ENAMETOOLONG, EMFILE).
 *
 * TO REPLAY A FAILURE, a test prints seed, crash_at and mode; sim_world_new(seed), the same set-up and
 * sim_run(w, crash_at, mode, ...) give it again, to the byte (world.h, W1).
 *
 * Calls behave as the system calls of their names: -1 and errno. A folder handle, or AT_FDCWD for the root, is `dir`;
 * paths may be absolute; "." and ".." work. Handles start at SIM_FD_BASE, so that one that leaks into a real system
 * call is refused there.
 */
#ifndef CRANNOG_SIM_DISK_H
#define CRANNOG_SIM_DISK_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "sim/world.h"

enum { SIM_SECTOR = 512, SIM_PAGE = 4096, SIM_FD_BASE = 1 << 20 };

int sim_open(struct sim_world *w, int dir, const char *path, int flags, mode_t mode);
/* A file without a name, gone with its handle. */
int sim_open_nameless(struct sim_world *w);
int sim_close(struct sim_world *w, int fd);
ssize_t sim_read(struct sim_world *w, int fd, void *p, size_t n);
ssize_t sim_write(struct sim_world *w, int fd, const void *p, size_t n);
ssize_t sim_pread(struct sim_world *w, int fd, void *p, size_t n, int64_t at);
ssize_t sim_pwrite(struct sim_world *w, int fd, const void *p, size_t n, int64_t at);
int sim_truncate(struct sim_world *w, int fd, int64_t n);
/* Of a file: contents and size. Of a folder: its entries. */
int sim_sync(struct sim_world *w, int fd);
int sim_sync_all(struct sim_world *w, int fd);
/* flags: AT_EMPTY_PATH; others are accepted and mean nothing here. */
int sim_stat(struct sim_world *w, int dir, const char *path, struct stat *st, int flags);
int sim_mkdir(struct sim_world *w, int dir, const char *path, mode_t mode);
int sim_unlink(struct sim_world *w, int dir, const char *path, int flags); /* AT_REMOVEDIR for a folder */
/* flags: 0, RENAME_NOREPLACE or RENAME_EXCHANGE. */
int sim_rename(struct sim_world *w, int olddir, const char *old, int newdir, const char *new, unsigned flags);
/* mode 0 or FALLOC_FL_KEEP_SIZE; EOPNOTSUPP else. */
int sim_fallocate(struct sim_world *w, int fd, int mode, int64_t at, int64_t n);
/* A lock belongs to the handle, as flock's does, and goes with it or with its process. Without LOCK_NB a lock that is
   held elsewhere would be waited for forever (nobody else runs): that ends the process with a message. */
int sim_flock(struct sim_world *w, int fd, int op);

/* ---- for the harness, in the parent ---- */

/* Everything that is visible becomes durable: the end of a set-up. */
void sim_disk_settle(struct sim_world *w);
/* Writes a file of these bytes, missing folders too (not durable by itself); 0 or -1. */
int sim_disk_put(struct sim_world *w, const char *path, struct slice bytes);
/* Appends the file's bytes to *ret; false if there is none (or it does not fit). */
bool sim_disk_get(struct sim_world *w, const char *path, struct buf *ret);
/* Calls fn(arg, path, is_folder) for everything below the root, folders before what is in them, by name. */
void sim_disk_list(struct sim_world *w, void (*fn)(void *arg, const char *path, bool folder), void *arg);
/* The number of the file behind a handle, the same for all its handles; 0 if there is no such handle. */
unsigned sim_disk_inode(const struct sim_world *w, int fd);

#endif
