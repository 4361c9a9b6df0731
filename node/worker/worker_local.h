/* SPDX-License-Identifier: Apache-2.0
 * A worker inside the coordinator's process: same state machine and messages over inproc, but it
 * reads source units from the job itself instead of having them sent. */
#ifndef TM_NODE_WORKER_LOCAL_H
#define TM_NODE_WORKER_LOCAL_H

#include "node/transport/actor.h"
#include "node/worker/worker_actor.h"

/* Where source bytes come from when they need not travel: into out (cleared first), checked against
 * their digest. Called from compute threads. */
struct tm_worker_source {
    tm_status (*read)(void *context, uint32_t unit, struct tm_buf *out, struct tm_err *err);
    void *context;
};

struct tm_worker_local {
    struct tm_transport *transport; /* of the coordinator */
    struct tm_worker_source source;
    struct tm_pipe *stop; /* any item on it ends the worker; may be NULL */
};

/* tm_worker_run over `local`; options->endpoint is an inproc one, server_key is not used. */
tm_status tm_worker_run_local(const struct tm_worker_run_options *options,
                              const struct tm_worker_local *local, struct tm_err *err) TM_MUST_USE;

#endif
