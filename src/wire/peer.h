/*
 * Peers: start, watch and end one of the other programs (crannog-infer, crannog-jail).
 *
 * A peer has one socket to us, descriptor 3 in the program; further descriptors may be given and become 4, 5, ….
 * It dies with the thread that started it. Its environment is exactly what is given, its standard input is empty,
 * its standard output and error go to ours (it should not use them).
 */
#ifndef CRANNOG_WIRE_PEER_H
#define CRANNOG_WIRE_PEER_H

#include <sys/types.h>

#include "wire/frame.h"

struct peer {
    pid_t pid;  /* 0: not running */
    int socket; /* -1: not running */
};

#define PEER_INIT ((struct peer){.pid = 0, .socket = -1})

/*
 * The folder where the sibling programs are: that of the running executable, or CRANNOG_LIBEXEC at build time.
 * Fills `ret` with "<folder>/<name>"; ERR_MISSING with the places looked at.
 */
enum err MUST_USE peer_find(const char *name, struct buf *ret, struct error *e);
/* `argv` is NULL-terminated, argv[0] included. `nonblocking` is for our end of the socket. */
enum err MUST_USE peer_start(const char *path, char *const argv[], char *const env[], const int *fds, size_t nfds,
                             bool nonblocking, struct peer *ret, struct error *e);
/* Collects it if it has ended: true and how, in words ("exit status 3", "killed by signal 9"); does not wait. */
bool peer_ended(struct peer *p, struct buf *ret_how);
/* SIGKILL and wait; closes the socket. NULL and a stopped peer are fine. */
void peer_kill(struct peer *p);

#endif
