/* SPDX-License-Identifier: Apache-2.0
 * A job: one model, one plan, its units and their source digests, and the folder that holds its
 * journal and finished chunks (STATE/jobs/<id>/{journal.db,objects}). The id is derived from plan
 * digest and output path, so the same command finds its unfinished job again. */
#ifndef TM_NODE_JOB_H
#define TM_NODE_JOB_H

#include "base/event.h"
#include "model/checkpoint.h"
#include "node/journal/journal.h"
#include "package/package.h"
#include "package/store.h"
#include "scheduler/split.h"
#include "stages/pipeline.h"

/* Turns "int8", "int4", "ternary", "keep" or a pipeline text into a canonical pipeline. */
extern const struct tm_codec_resolver tm_stage_resolver;

struct tm_job_options {
    const char *model_path;
    const char *tensors_under; /* tm_checkpoint_open_under; NULL or "": chosen */
    const char *recipe;        /* built-in name, or path of a TOML file */
    const char *out_path;
    const char *state_dir;  /* NULL: XDG state */
    uint32_t block_weights; /* 0: TM_BLOCK_WEIGHTS */
    bool quiet;
    const volatile int *stop; /* set by a signal handler; may be NULL */
};

struct tm_job {
    char id[16];
    char *dir, *model_path, *out_path, *recipe, *tensors_under;
    struct tm_checkpoint *checkpoint;
    struct tm_plan plan;
    struct tm_split split;
    struct tm_pipeline *pipelines;   /* parsed plan.pipelines */
    struct tm_digest *unit_source;   /* per unit: SHA-256 of its source bytes */
    struct tm_digest *tensor_source; /* per tensor, then per attachment */
    char *plan_text;                 /* plan.toml with source digests */
    struct tm_digest plan_digest;
    struct tm_journal *journal; /* open for writing */
    struct tm_store *chunks;    /* by leaf */
    char **warnings;            /* "tensor 'x' kept: holds NaN" */
    size_t warning_count;
    bool existed; /* an unfinished job was found */
    int lock_fd;  /* flock on <dir>/lock: one process runs a job */
};

/* Opens the model, plans, reads every byte of it once (source digests; values that are not finite
 * or do not fit a grid: such tensors are kept and a warning says so), writes the job. Refuses an
 * output that is an input, and a full disk, before any work: TM_E_USAGE / TM_E_REFUSED. */
tm_status tm_job_prepare(const struct tm_job_options *options, struct tm_job **out,
                         struct tm_err *err) TM_MUST_USE;
/* An existing job by id (or unique prefix), for resume. The model must still be the same bytes. */
tm_status tm_job_open(const char *state_dir, const char *id, const struct tm_job_options *options,
                      struct tm_job **out, struct tm_err *err) TM_MUST_USE;
/* Full id and journal path of a job by id prefix: for jobs, show, watch, cancel. */
tm_status tm_job_journal_path(const char *state_dir, const char *prefix, char id[16],
                              char path[TM_PATH_MAX], struct tm_err *err) TM_MUST_USE;
void tm_job_close(struct tm_job **job);

/* Source bytes of a unit into out (cleared first). Thread-safe. */
tm_status tm_job_read_unit(struct tm_job *job, uint32_t unit, struct tm_buf *out,
                           struct tm_err *err) TM_MUST_USE;
/* Index of a unit by its source digest (several may share it: the first), or unit_count. */
uint32_t tm_job_find_source(const struct tm_job *job, const struct tm_digest *source);

/* Accepted results of the journal whose chunks are whole in the store, sorted by unit; the others
 * must be made again. Free with tm_free. */
tm_status tm_job_results(struct tm_job *job, struct tm_journal_result **out, size_t *count,
                         struct tm_err *err) TM_MUST_USE;

/* When all units are in the journal: writes the package atomically to job->out_path and finishes
 * the job. */
tm_status tm_job_merge(struct tm_job *job, const struct tm_identity *owner, bool quiet,
                       struct tm_err *err) TM_MUST_USE;
/* Only writes it, to another path. */
tm_status tm_job_merge_to(struct tm_job *job, const char *path, const struct tm_identity *owner,
                          bool quiet, struct tm_err *err) TM_MUST_USE;
/* The job ends as done or cancelled: its chunks, and the files below in its folder, are removed.
 * The journal stays, for `tmill jobs` and `show`. */
tm_status tm_job_finish(struct tm_job *job, enum tm_job_state state,
                        struct tm_err *err) TM_MUST_USE;
#define TM_JOB_CANDIDATE "candidate.tmpk" /* a package whose gate is not yet held */
#define TM_JOB_GATE "gate"                /* what the package must hold: node/coordinator/gated.h */

#endif
