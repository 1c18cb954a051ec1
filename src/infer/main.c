/*
 * crannog-infer: runs a model for crannog. Without arguments it serves on descriptor 3 (infer/serve.h); with arguments
 * it is a tool for those who work on it (infer/develop.h).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "infer/confine.h"
#include "infer/develop.h"
#include "infer/serve.h"

enum { SOCKET = 3 };

int main(int argc, char **argv)
{
    struct error e;
    if (argc > 1)
        return develop_main(argc, argv);
    if (fcntl(SOCKET, F_GETFD) < 0) {
        fputs("crannog-infer is started by crannog, which speaks to it over descriptor 3; see --help\n", stderr);
        return 2;
    }
    /* A terminal's Ctrl-C reaches us too; the engine then cancels our calls and learns what they used. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    const char *kernel = getenv("CRANNOG_KERNEL");
    enum err err = confine(&e);
    if (err && err != ERR_UNSUPPORTED) {
        fprintf(stderr, "crannog-infer: %s\n", e.text);
        return 1;
    }
    return serve(SOCKET, kernel);
}
