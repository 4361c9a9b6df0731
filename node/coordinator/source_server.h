/* SPDX-License-Identifier: Apache-2.0
 * Source units on their way out: answers FETCH with pieces within the peer's credit, never more
 * than the peer may fetch (tm_peer.fetch_bytes: what it was leased, with some room for repetition).
 * Never blocks: what a peer's queue does not take is sent later. One thread. */
#ifndef TM_NODE_SOURCE_SERVER_H
#define TM_NODE_SOURCE_SERVER_H

#include "node/coordinator/job.h"
#include "node/coordinator/mesh_ports.h"

struct tm_source_server;
tm_status tm_source_server_new(struct tm_mesh_ports *ports, struct tm_job *job,
                               uint64_t memory_bytes, struct tm_source_server **out) TM_MUST_USE;
void tm_source_server_destroy(struct tm_source_server **sources);
/* FETCH and CREDIT of a peer. A FETCH of what is on its way already starts it over. */
tm_status tm_source_server_message(struct tm_source_server *sources, struct tm_mesh_peer *peer,
                                   const struct tm_msg *msg) TM_MUST_USE;
/* Sends what can be sent now; *stalled: a peer's queue is full, try again in some milliseconds.
 * Fails when the model cannot be read, or has changed (found when a unit is asked for again). */
tm_status tm_source_server_pump(struct tm_source_server *sources, bool *stalled,
                                struct tm_err *err) TM_MUST_USE;
void tm_source_server_drop_peer(struct tm_source_server *sources, const struct tm_mesh_peer *peer);
uint64_t tm_source_server_sent(const struct tm_source_server *sources); /* bytes */

#endif
