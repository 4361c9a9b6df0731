/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's journal: one SQLite file a job (WAL, synchronous=FULL), written before anything
 * is acknowledged. kill -9 or a power cut at any moment loses nothing acknowledged. Writes are
 * collected by the caller and committed together (group commit). One process writes (a lock file
 * beside the journal says so), one thread at a time; other processes may read (tmill jobs, show,
 * watch). A write that the disk refused is fatal: the caller stops and says so. */
#ifndef TM_NODE_JOURNAL_H
#define TM_NODE_JOURNAL_H

#include "crypto/digest.h"
#include "crypto/sign.h"

enum tm_job_state { TM_JOB_NEW, TM_JOB_RUNNING, TM_JOB_STOPPED, TM_JOB_DONE, TM_JOB_CANCELLED };
const char *tm_job_state_name(enum tm_job_state state);

/* What a job is; written once. All texts owned by the struct when read; free with _deinit. */
struct tm_journal_job {
    char *id;                             /* "J" and 12 hex digits */
    char *model_path, *out_path, *recipe; /* absolute paths; recipe name or file */
    char *tensors_under; /* which dictionary of a PyTorch checkpoint; "": it was chosen */
    char *plan;          /* plan.toml */
    struct tm_digest plan_digest;
    uint32_t unit_count;
    uint32_t block_weights;
    int64_t created_s;
    enum tm_job_state state;
    uint64_t epoch; /* of the latest start */
};
void tm_journal_job_deinit(struct tm_journal_job *job);

/* An accepted result. */
struct tm_journal_result {
    uint32_t unit;
    struct tm_public_key node;
    struct tm_digest leaf;
    uint32_t bytes;
    uint32_t checks; /* TM_CHECK_* of package/package.h */
    uint64_t squared_error_bits, squared_norm_bits;
    struct tm_signature sig;
};

struct tm_journal_ban {
    struct tm_node_id node;
    uint32_t unit;
    char reason[256];
    uint32_t dropped; /* results of the node that are done again */
};

struct tm_journal_node { /* for display: written when a node announces itself and now and then */
    struct tm_public_key node;
    char name[64];
    uint32_t cores, accepted, audited;
    uint64_t weights_per_s;
};

struct tm_journal;
/* Opens or creates PATH (read_only never creates: TM_E_NOT_FOUND, also for one whose creation was
 * cut short). A newer schema is
 * TM_E_INCOMPATIBLE, a broken file TM_E_MALFORMED, a journal that another process writes
 * TM_E_REFUSED. */
tm_status tm_journal_open(const char *path, bool read_only, struct tm_journal **out,
                          struct tm_err *err) TM_MUST_USE;
void tm_journal_close(struct tm_journal **journal);

tm_status tm_journal_create_job(struct tm_journal *journal, const struct tm_journal_job *job,
                                struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_read_job(struct tm_journal *journal, struct tm_journal_job *out,
                              struct tm_err *err) TM_MUST_USE;
/* Raises and returns the epoch, state RUNNING; durable. */
tm_status tm_journal_start_epoch(struct tm_journal *journal, uint64_t *epoch,
                                 struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_set_state(struct tm_journal *journal, enum tm_job_state state,
                               struct tm_err *err) TM_MUST_USE;

/* Group commit: begin, any number of puts, commit (durable on return) or roll back. A second result
 * for a unit with another leaf is TM_E_VERIFY (never overwritten); with the same leaf TM_OK. A
 * result of a banned node is TM_E_VERIFY. */
tm_status tm_journal_begin(struct tm_journal *journal, struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_put_result(struct tm_journal *journal, const struct tm_journal_result *result,
                                struct tm_err *err) TM_MUST_USE;
/* The ban, and in the same transaction every result of the node is deleted; their number is kept as
 * `dropped` (the given one is ignored). */
tm_status tm_journal_put_ban(struct tm_journal *journal, const struct tm_journal_ban *ban,
                             struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_put_node(struct tm_journal *journal, const struct tm_journal_node *node,
                              struct tm_err *err) TM_MUST_USE;
/* A unit whose chunk is gone or rotten is to be made again; an absent result is TM_OK. */
tm_status tm_journal_drop_result(struct tm_journal *journal, uint32_t unit,
                                 struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_commit(struct tm_journal *journal, struct tm_err *err) TM_MUST_USE;
void tm_journal_rollback(struct tm_journal *journal);

/* Sorted by unit / node; free with tm_free. */
tm_status tm_journal_results(struct tm_journal *journal, struct tm_journal_result **out,
                             size_t *count, struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_bans(struct tm_journal *journal, struct tm_journal_ban **out, size_t *count,
                          struct tm_err *err) TM_MUST_USE;
tm_status tm_journal_nodes(struct tm_journal *journal, struct tm_journal_node **out, size_t *count,
                           struct tm_err *err) TM_MUST_USE;
/* Counts without loading, for watch. */
tm_status tm_journal_done_count(struct tm_journal *journal, uint32_t *done,
                                struct tm_err *err) TM_MUST_USE;

#endif
