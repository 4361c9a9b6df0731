/* SPDX-License-Identifier: Apache-2.0
 * What job.c, job_plan.c and job_merge.c share. */
#ifndef TM_NODE_JOB_PRIVATE_H
#define TM_NODE_JOB_PRIVATE_H

#include "node/coordinator/job.h"

/* job->checkpoint is open: recipe -> plan, split. Reads no weight. Fills plan, split, pipelines and
 * warnings. */
tm_status tm_job_make_plan(struct tm_job *job, const struct tm_job_options *options,
                           struct tm_err *err) TM_MUST_USE;

/* The job is planned: reads the whole source, keeps the tensors whose values do not fit (plan,
 * split, pipelines and warnings change with it). Fills unit_source, tensor_source, plan_text and
 * plan_digest. */
tm_status tm_job_read_source(struct tm_job *job, const struct tm_job_options *options,
                             struct tm_err *err) TM_MUST_USE;

#endif
