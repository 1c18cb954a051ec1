/*
 * Names: host names asked for once, off the main thread, by a few threads (libcurl's own resolver takes one for each transfer).
 *
 * What is asked for often is asked for once; an answer counts for a minute, a failure for a second. One thread uses this.
 */
#ifndef CRANNOG_DOOR_NAME_H
#define CRANNOG_DOOR_NAME_H

#include <netinet/in.h>

#include "door/where.h"

enum { NAME_THREADS = 4, NAMES_MAX = 64, NAME_ADDRESSES_MAX = 8 };

enum name_state { NAME_FREE = 0, NAME_ASKED, NAME_KNOWN, NAME_FAILED };

struct name_answer {
    enum name_state state;
    char addresses[NAME_ADDRESSES_MAX][INET6_ADDRSTRLEN + 2]; /* IPv6 in brackets */
    size_t n;
    bool may_pass; /* FAILED: asking again may help */
    char why[160];
};

/* *ret_fd becomes readable when an answer has come; names_heard() makes it unreadable. ERR_IO, ERR_MEMORY. */
enum err MUST_USE names_start(int *ret_fd, struct error *e);
void names_heard(void);
/* What is known of a host; asks if nothing is. ASKED: look again when the descriptor was readable. */
void names_look(const char *host, struct name_answer *ret);

#endif
