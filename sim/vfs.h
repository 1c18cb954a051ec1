/*
 * A SQLite VFS over the simulated disk: "crannog-sim".
 *
 *     sim_vfs_register(w);                                  in the child, before the first sqlite3_open
 *     sqlite3_open_v2("/state/journal.db", &db, flags, SIM_VFS);
 *
 * What it claims of the disk is what the disk does: sectors of 512 bytes, POWERSAFE_OVERWRITE (a torn write never
 * changes a byte outside its range), no atomic writes, no order of writes, no safe append (after a power cut a file may
 * have grown and hold zeros). Debian's unix VFS claims POWERSAFE_OVERWRITE too (its sector size of 4096
 * makes no difference then: SQLite takes 512 whenever POWERSAFE_OVERWRITE is set).
 *
 * As the unix VFS does: the first sync of a new journal or WAL syncs its folder too, deleting with dirSync does, an
 * empty file does not "exist" for xAccess, a file opened without a name is gone with its handle.
 *
 * Locks work between the connections of one process, as POSIX locks do between processes: two connections are two
 * holders. The WAL index (xShm) is process heap shared by those connections and dies with the process; that is what
 * SQLite makes of a real one too, whose first opener clears it. No memory mapping (PRAGMA mmap_size has no effect).
 * Use only in children (world.h, W3). Not for threads.
 */
#ifndef CRANNOG_SIM_VFS_H
#define CRANNOG_SIM_VFS_H

#include "sim/world.h"

#define SIM_VFS "crannog-sim"

/* Makes it the default VFS as well. Time and randomness of SQLite come from the simulated machine from here on. */
void sim_vfs_register(struct sim_world *w);

#endif
