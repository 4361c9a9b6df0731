/* SPDX-License-Identifier: Apache-2.0
 * Chunks of jobs that are over. */
#ifndef TM_NODE_JOB_SWEEP_H
#define TM_NODE_JOB_SWEEP_H

/* Removes the chunks of all jobs that are done or cancelled and that no process works on: a job
 * that was cancelled keeps them until here, one whose process was killed after the last commit too.
 * What cannot be removed stays. */
void tm_job_sweep(const char *state_dir);

#endif
