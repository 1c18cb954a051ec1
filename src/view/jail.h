/* A jail's plan as people and programs read it. Pure. */
#ifndef CRANNOG_VIEW_JAIL_H
#define CRANNOG_VIEW_JAIL_H

#include "jail/plan.h"
#include "text/json.h"

/*
 * {"command": [...], "folder": "/w", "uid": 1, "gid": 1,
 *  "sees": [{"path": "/usr", "how": "read-only"}, ...], "environment": ["A=b", ...], "limits": {"cpu_ms": 1, ...}}
 *
 * `how` is read-only, writable, layer, cache, scratch, file or covered; "from" is there where a path is another one outside, "bytes" where there
 * is a bound, "optional" where it is skipped if it is not there. What a jail has beyond a plan is the same for all (jail/plan.h J1 to J5).
 */
struct json *view_jail(const struct jail_plan *p);

#endif
