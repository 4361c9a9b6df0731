/* SPDX-License-Identifier: Apache-2.0
 * The units that a worker holds: fetches their source, has them encoded, sends their bytes. Carries
 * out the actions of scheduler/worker.h and gives its events back. One thread. */
#ifndef TM_NODE_WORKER_UNITS_H
#define TM_NODE_WORKER_UNITS_H

#include "scheduler/worker.h"

#include "node/worker/encode_job.h"
#include "node/worker/worker_link.h"

struct tm_worker_units_options {
    struct tm_worker_link *link;
    struct tm_work_pool *pool;
    const struct tm_encode_setup *setup; /* when it reads sources, nothing is fetched */
    uint64_t cache_bytes;
};

struct tm_worker_units;
tm_status tm_worker_units_new(const struct tm_worker_units_options *options,
                              struct tm_worker_units **out) TM_MUST_USE;
/* The pool must have been destroyed before: its jobs point to sources held here. */
void tm_worker_units_destroy(struct tm_worker_units **units);

/* FETCH, ENCODE, UPLOAD and FORGET. */
tm_status tm_worker_units_act(struct tm_worker_units *units, const struct tm_worker_action *action,
                              uint64_t now_ms) TM_MUST_USE;
/* DATA and CREDIT. */
void tm_worker_units_message(struct tm_worker_units *units, const struct tm_msg *msg,
                             uint64_t now_ms);
/* Sends what credit and queue allow, gives up on fetches that stand still; at least every 100 ms.
 */
void tm_worker_units_pump(struct tm_worker_units *units, uint64_t now_ms);
/* After a reconnection: unfinished fetches and uploads start over. */
void tm_worker_units_restart(struct tm_worker_units *units, uint64_t now_ms);
/* The next thing that happened, for the state machine; false when there is none. */
bool tm_worker_units_event(struct tm_worker_units *units, struct tm_worker_event *out);
/* Why the last unit failed, for the log. */
const struct tm_err *tm_worker_units_error(const struct tm_worker_units *units);

#endif
