/* SPDX-License-Identifier: Apache-2.0
 * Runs a prepared job to its end: the coordinator actor around scheduler/coordinator.h with
 * journal, chunk store, checker thread and sockets; plus any number of local workers over inproc.
 * `compress` uses local workers only, `submit` listens too: same code path. */
#ifndef TM_NODE_MESH_H
#define TM_NODE_MESH_H

#include "node/coordinator/job.h"

struct tm_mesh_options {
    struct tm_job *job;
    const struct tm_identity *identity; /* the owner's */
    unsigned local_workers;             /* threads that encode; 0 with listen: others do the work */
    const char *listen;                 /* "tcp://0.0.0.0:8471"; NULL: embedded only. Bulk uses the
                                         * next port (or a free one when the port is 0) */
    const char *gate_program;           /* with listen: the public sockets live in a process of this
                                         * program (node/transport/gate.h); NULL: in this process */
    const char *ready_file;             /* tests: written with the bound endpoint and server key */
    uint32_t audit_every; /* with listen: after the first results of a node, which are all audited,
                           * one in so many; 0: no audits at all */
    bool allow_any_node;  /* else only keys in allow */
    const struct tm_public_key *allow;
    size_t allow_count;
    bool quiet;
    const struct tm_sink *sink; /* events: node.joined, node.banned, unit.rejected, lease.expired */
    const volatile int *stop;   /* set by a signal handler: TM_E_STOPPED, resumable */
};

struct tm_mesh_report {
    uint32_t units, units_resumed, nodes, nodes_banned;
    uint64_t audits, rejected, redone, leases_expired, source_bytes_sent;
    uint64_t wall_ms;
    uint64_t work_ms; /* from the first lease to the last durable unit */
};

/* TM_OK: every unit is in the journal (then tm_job_merge). TM_E_STOPPED: asked to stop or
 * cancelled. */
tm_status tm_mesh_run(const struct tm_mesh_options *options, struct tm_mesh_report *report,
                      struct tm_err *err) TM_MUST_USE;

/* Upper bound of the memory (resident bytes) of an embedded job with that many local workers: what
 * `inspect` prints and tests/whole/test_memory.py holds it to. Weights are never held whole; what
 * grows with the model are its tables, by a few KiB a tensor and one a unit. */
uint64_t tm_mesh_memory_bound(const struct tm_inventory *inventory, unsigned local_workers);

#endif
