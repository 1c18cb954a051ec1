/* When a server wants to be asked again: Retry-After (RFC 9110 §10.2.3) and retry-after-ms. Pure; any bytes. */
#ifndef CRANNOG_DOOR_RETRY_H
#define CRANNOG_DOOR_RETRY_H

#include "base/slice.h"

static const int64_t RETRY_MAX_MS = 7LL * 24 * 3600 * 1000; /* what is later counts as this */

/* Reads one header line ("Name: value", any end). Milliseconds from now (`now_ms`, since the epoch) on; -1 if it does not say.
   *ret_exact: it was retry-after-ms, which goes before the other. */
int64_t retry_read(struct slice line, int64_t now_ms, bool *ret_exact);

#endif
