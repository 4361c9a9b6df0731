/* SPDX-License-Identifier: Apache-2.0
 * A worker node: the actor around scheduler/worker.h with its sockets, source cache and compute
 * thread. */
#ifndef TM_NODE_WORKER_ACTOR_H
#define TM_NODE_WORKER_ACTOR_H

#include "base/event.h"
#include "crypto/identity.h"

/* How a node makes a result of a unit. The product uses tm_worker_encode; a test adversary passes
 * its own. Called from the compute thread. Appends the chunk to out. */
struct tm_encode_request;
struct tm_worker_hooks {
    tm_status (*encode)(void *context, uint32_t unit, const struct tm_encode_request *request,
                        struct tm_buf *out, struct tm_err *err);
    void *context;
};

struct tm_worker_run_options {
    const char *endpoint;                   /* "tcp://host:8471" */
    const struct tm_public_key *server_key; /* pinned; required for tcp */
    const struct tm_identity *identity;     /* the node's own */
    const char *name;
    unsigned threads;     /* units encoded at once; 0: one per CPU */
    uint64_t cache_bytes; /* source cache in memory; 0: 64 MiB */
    bool exit_when_done;  /* else wait for the next job until stopped */
    uint32_t patience_ms; /* with exit_when_done: give up when nobody has answered for so long from
                           * the start; 0: 30 s */
    struct tm_worker_hooks hooks; /* encode NULL: the real one */
    const struct tm_sink *sink;
    const volatile int *stop;
};

/* Runs until the job is done (exit_when_done), stopped, or banned (TM_E_REFUSED with the reason).
 * The golden self-test runs first: TM_E_VERIFY and no join when it fails. TM_E_NETWORK: nobody
 * answered (patience_ms); TM_E_INCOMPATIBLE: the coordinator wants another build. */
tm_status tm_worker_run(const struct tm_worker_run_options *options,
                        struct tm_err *err) TM_MUST_USE;

#endif
