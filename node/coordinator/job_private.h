/* SPDX-License-Identifier: Apache-2.0
 * What job.c, job_plan.c and job_merge.c share. */
#ifndef TM_NODE_JOB_PRIVATE_H
#define TM_NODE_JOB_PRIVATE_H

#include "node/coordinator/job.h"

/* job->checkpoint is open: recipe -> plan, preflight of every value, split, source digests, plan
 * text. Fills plan, split, pipelines, unit_source, tensor_source, plan_text, plan_digest, warnings.
 */
tm_status tm_job_make_plan(struct tm_job *job, const struct tm_job_options *options,
                           struct tm_err *err) TM_MUST_USE;

#endif
