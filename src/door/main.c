/*
 * crannog-door: the one program of crannog's that has a network and its owner's secrets. It serves on descriptor 3
 * (door/protocol.h) and has no arguments, no environment that it reads, no files of its own.
 */
#include <curl/curl.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "door/confine.h"
#include "door/server.h"

enum { SOCKET = 3 };

/* ---- libcurl's memory is wiped when it is given back: headers with secrets are copied into it ---- */

static void wiping_free(void *p)
{
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n)
{
    size_t old = p ? malloc_usable_size(p) : 0;
    if (p && n <= old && n > old / 2)
        return p;
    void *moved = malloc(n);
    if (moved && p) {
        memcpy(moved, p, old < n ? old : n);
        wiping_free(p);
    }
    return moved;
}

/* ---- what has to happen before the walls are up ---- */

static void raise_files(void)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
        most.rlim_cur = most.rlim_max;
        setrlimit(RLIMIT_NOFILE, &most);
    }
}

/* How names are asked for is read, with what has to be loaded for it. */
static void warm_names(void)
{
    struct addrinfo *list = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &list) == 0)
        freeaddrinfo(list);
}

/* It is given none; were there something in it after all, it is not for us, and must not be seen in /proc. */
static void drop_environment(void)
{
    for (char **v = environ; v && *v; v++)
        explicit_bzero(*v, strlen(*v));
    clearenv();
}

static int prepare(void)
{
    if (sodium_init() < 0)
        return -1;
    if (curl_global_init_mem(CURL_GLOBAL_ALL, malloc, wiping_free, wiping_realloc, strdup, calloc) != CURLE_OK)
        return -1;
    raise_files();
    warm_names();
    tzset();
    return 0;
}

int main(int argc, char **argv)
{
    struct error e;
    (void)argv;
    if (argc > 1 || fcntl(SOCKET, F_GETFD) < 0) {
        fputs("crannog-door is started by crannog, which speaks to it over descriptor 3\n", stderr);
        return 2;
    }
    /* A terminal's Ctrl-C reaches us too; the engine then ends its calls and learns what they used. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    drop_environment();
    if (prepare() < 0) {
        fputs("crannog-door: libcurl or libsodium could not be set up\n", stderr);
        return 1;
    }
    enum err err = confine(&e);
    if (err && err != ERR_UNSUPPORTED) {
        fprintf(stderr, "crannog-door: %s\n", e.text);
        return 1;
    }
    return serve(SOCKET);
}
