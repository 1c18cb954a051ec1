/*
 * The protocol of infer/protocol.h, served over one socket.
 *
 * S1  Every request gets exactly one answer, in the order in which they came; a cancelled one that waits gets it at
 *     once. A request of a kind that is not known, or past SERVE_QUEUE_MAX waiting ones, is answered by INFER_FAILED.
 * S2  While it works it looks at the socket between tokens, batches and parts: a CANCEL or a dead engine stops the work.
 */
#ifndef CRANNOG_INFER_SERVE_H
#define CRANNOG_INFER_SERVE_H

#include "base/err.h"

enum { SERVE_QUEUE_MAX = 64, SERVE_TURNS_MAX = 256 };

/* Returns when the other side is gone (0) or the socket cannot be used (1). `kernel` as in session_open(). */
int serve(int socket, const char *kernel);

#endif
