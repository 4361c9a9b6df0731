/* SPDX-License-Identifier: Apache-2.0
 * One unit to encode and sign, as work for a tm_work_pool. */
#ifndef TM_NODE_ENCODE_JOB_H
#define TM_NODE_ENCODE_JOB_H

#include "node/transport/work_pool.h"
#include "node/worker/worker_local.h"
#include "proto/message.h"

/* What all jobs of a node share; outlives them. */
struct tm_encode_setup {
    const struct tm_identity *identity; /* signs */
    struct tm_worker_hooks hooks;       /* encode NULL: tm_encode_unit */
    struct tm_worker_source source;     /* read NULL: jobs bring their source */
};

struct tm_encode_job {
    struct tm_work work;
    const struct tm_encode_setup *setup;
    struct tm_msg_unit desc;
    char pipeline[TM_MSG_TEXT_MAX];
    struct tm_digest plan;
    struct tm_view source; /* when setup reads none; kept alive by the caller */
    void *tag;             /* the caller's */
    /* Set by the run: */
    tm_status status;
    struct tm_err err;
    struct tm_buf bytes; /* the chunk */
    struct tm_digest leaf;
    struct tm_signature sig; /* over tm_pkg_statement */
    uint32_t compute_ms;
};

/* NULL when memory is out. The caller fills desc, pipeline, plan, source and tag. */
struct tm_encode_job *tm_encode_job_new(const struct tm_encode_setup *setup);
void tm_encode_job_free(struct tm_encode_job *job);

#endif
