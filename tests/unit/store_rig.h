/* A crannog in a temporary folder, and runs driven by hand with the payloads that the engine writes. */
#ifndef CRANNOG_TESTS_STORE_RIG_H
#define CRANNOG_TESTS_STORE_RIG_H

#include "store/store.h"

struct rig {
    char crannog[64];
    struct store *s;
    struct error e;
};

/* A run with its lease and its fold. */
struct rig_run {
    struct rig *g;
    struct lease lease;
    struct arena arena;
    struct run_state r;
};

void rig_make(struct rig *g);  /* a new folder, opened with create */
void rig_open(struct rig *g);  /* again, after rig_close; asserts that it works */
void rig_close(struct rig *g);
void rig_remove(struct rig *g); /* closes and removes the folder */
/* A file of the crannog's .crannog folder. */
const char *rig_path(const struct rig *g, const char *name);

/* A run of two items (a note for each of two files, one briefing); budget is a JSON object. */
void rig_start(struct rig *g, struct rig_run *r, const char *account, const char *budget);
/* A run of a command: its one step can be cancelled and intended anew for ever. */
void rig_start_exec(struct rig *g, struct rig_run *r, const char *account, const char *budget);
void rig_end(struct rig_run *r); /* releases memory and the lease */
void rig_refold(struct rig_run *r);

/* In the open transaction. */
enum err rig_append(struct rig_run *r, enum event_type type, const struct step_key *key, const char *payload);
/* Intends what run_decide wants first, with these amounts; false if it wants nothing. */
bool rig_intend(struct rig_run *r, const char *amounts, enum err *ret);
/* Finishes the step opened last. Results that name blobs put them. */
enum err rig_finish(struct rig_run *r, const char *outcome, const char *used, const char *how);
/* Intent and finish in a transaction each, until nothing is wanted. Returns how many steps. */
int rig_walk(struct rig_run *r, int steps_max);

/* The dump, to be freed by the caller. */
char *rig_dump(struct rig *g);
/* The text of an audit, to be freed. */
char *rig_audit(struct rig *g);
/* SQL on the journal behind the store's back (its own connection). */
void rig_sql(const struct rig *g, const char *sql);
int64_t rig_count(const struct rig *g, const char *sql);

#endif
