/* SPDX-License-Identifier: Apache-2.0
 * Work for the coordinator's compute threads: check the result of a node, or make a lossless unit
 * as the owner (which is then checked the same way). */
#ifndef TM_NODE_CHECK_JOB_H
#define TM_NODE_CHECK_JOB_H

#include "node/coordinator/check.h"
#include "node/transport/work_pool.h"

struct tm_check_job {
    struct tm_work work;
    struct tm_job *job;
    uint32_t unit;
    bool audit;
    const char *fault;      /* not NULL: why it is malformed whatever it holds */
    struct tm_view encoded; /* of the result; kept alive by the caller */
    struct tm_public_key node;
    struct tm_signature sig;
    const struct tm_identity *owner; /* not NULL: make the unit instead: */
    struct tm_buf bytes;             /* the chunk made; sig and leaf are then set as well */
    struct tm_digest leaf;
    void *tag;                     /* the caller's */
    struct tm_check_result result; /* set by the run */
};

/* NULL when memory is out. */
struct tm_check_job *tm_check_job_new(struct tm_job *job, uint32_t unit);
void tm_check_job_free(struct tm_check_job *check);

#endif
