/* SPDX-License-Identifier: Apache-2.0
 * The end of a job whose package must hold a quality gate: it is merged into the job's folder,
 * measured beside its source, and appears under its name, with its figures in it, only when the
 * gate is held. */
#ifndef TM_NODE_GATED_H
#define TM_NODE_GATED_H

#include "node/coordinator/job.h"
#include "node/quality/quality_gate.h"

struct tm_gated_options {
    struct tm_job *job;
    const struct tm_identity *owner;
    const char *gate;      /* its text */
    const char *text_path; /* to measure with; NULL: the built-in text */
    const char *task_data; /* tm_evaluate_options.task_data */
    uint64_t cache_bytes;  /* of the source's logits */
    bool quiet;
    const volatile int *stop;
};

struct tm_gated {
    bool measured;    /* false: the model has no forward pass; its weights' error was held */
    char reason[384]; /* why it has none */
    double error;     /* relative, over the compressed weights */
    struct tm_evaluation evaluation; /* when measured */
};

/* TM_E_GATE names the figure that misses: nothing is then under the package's name, and the job can
 * be resumed with another gate. Errors: those of tm_job_merge, tm_evaluate and tm_package_add. On
 * failure *out is empty. */
tm_status tm_gated_merge(const struct tm_gated_options *options, struct tm_gated *out,
                         struct tm_err *err) TM_MUST_USE;
/* A zeroed one is empty and valid. */
void tm_gated_deinit(struct tm_gated *gated);

/* Before any work: whether the gate can be read, and text and tasks are there. Errors: those of
 * tm_gate_parse, tm_file_open and tm_task_open. */
tm_status tm_gated_preflight(const char *gate, const char *text_path, const char *task_data,
                             struct tm_err *err) TM_MUST_USE;

/* The gate that the job was started with, kept in its folder; tm_gated_load appends it, or nothing
 * when there is none. Both check nothing: tm_gate_parse does. */
tm_status tm_gated_save(const struct tm_job *job, const char *gate, struct tm_err *err) TM_MUST_USE;
tm_status tm_gated_load(const struct tm_job *job, struct tm_buf *out,
                        struct tm_err *err) TM_MUST_USE;

#endif
