/* SPDX-License-Identifier: Apache-2.0
 * The coordinator at work: everything that a run holds, and one turn of its loop. Sockets, checks
 * and writes give events to the state machine of scheduler/coordinator.h, whose actions are carried
 * out here. For mesh.c and tests; one thread. */
#ifndef TM_NODE_MESH_LOOP_H
#define TM_NODE_MESH_LOOP_H

#include <stdatomic.h>

#include "base/progress.h"
#include "node/coordinator/check_job.h"
#include "node/coordinator/mesh.h"
#include "node/coordinator/mesh_ports.h"
#include "node/coordinator/saver.h"
#include "node/coordinator/source_server.h"
#include "node/coordinator/uploads.h"

/* Results from their first credit until they are durable, all together. */
#define TM_MESH_RESULT_BYTES (32u * 1024 * 1024)

/* The worker in this process. */
struct tm_mesh_local {
    struct tm_actor *actor;
    struct tm_mesh *mesh;
    bool ended;
    tm_status status;
    struct tm_err err;
    atomic_uint faults; /* sources that could not be read */
    atomic_bool faulty; /* fault is written: the first of them */
    struct tm_err fault;
};

struct tm_mesh {
    const struct tm_mesh_options *options;
    struct tm_job *job;
    struct tm_transport *transport;
    struct tm_mesh_ports *ports;
    struct tm_uploads *uploads;
    struct tm_source_server *sources;
    struct tm_work_pool *pool; /* checks, and lossless units */
    struct tm_saver *saver;
    struct tm_coordinator *machine;
    struct tm_coord_actions actions;
    struct tm_mesh_local local;
    struct tm_progress *progress;
    bool *made;                   /* per lossless unit: done, or on its way */
    uint32_t next_owned;          /* where to look for the next one */
    uint32_t resumed;             /* results found in the journal */
    struct tm_check_job *checked; /* whose verdict is being stepped */
    uint64_t nodes_written_ms, cancel_looked_ms, expired_seen;
    uint64_t first_lease_ms, done_ms; /* for the report */
    bool done, cancelled;
};

/* Events to the state machine, actions out of it. */
tm_status tm_mesh_step(struct tm_mesh *mesh, const struct tm_coord_event *event,
                       struct tm_err *err) TM_MUST_USE;
/* Waits up to some milliseconds, then handles all that came. TM_E_STOPPED: asked to stop, or
 * cancelled (then the journal says so). */
tm_status tm_mesh_turn(struct tm_mesh *mesh, struct tm_err *err) TM_MUST_USE;
/* Writes what is known about the nodes to the journal (for display). */
tm_status tm_mesh_write_nodes(struct tm_mesh *mesh) TM_MUST_USE;

#endif
