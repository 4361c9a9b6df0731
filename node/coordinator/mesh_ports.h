/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's sockets and who is at their other ends. Two ports, each a control and a bulk
 * ROUTER: "local" over inproc, trusted, whose only peer is the owner's own worker; "remote" over
 * tcp with CURVE, whose sockets live in the gate's process, or in this one. A peer is known once
 * its HELLO names a signing key that its transport key is derived from; before that, and from any
 * other transport key, nothing is heard. One thread. */
#ifndef TM_NODE_MESH_PORTS_H
#define TM_NODE_MESH_PORTS_H

#include "node/transport/gate.h"
#include "node/transport/port.h"
#include "proto/message.h"

#define TM_LOCAL_ENDPOINT "inproc://local"

struct tm_mesh_peer {
    struct tm_node_id id;
    struct tm_public_key key;
    char name[TM_MSG_NAME_MAX];
    uint32_t cores;
    bool local;
    bool banned;          /* nothing of it is heard any more */
    bool joined;          /* the caller's */
    bool gone;            /* a connection of it is lost; for the caller, who clears it */
    bool bulk_lost;       /* it must greet again, so that there is a way back on bulk */
    uint32_t bulk_sent;   /* messages on bulk that are in the gate */
    uint64_t heard_ms;    /* its last message */
    uint64_t fetch_bytes; /* source bytes that it may still fetch (the caller grants them) */
    uint8_t curve[TM_CURVE_KEY_BYTES];
    struct tm_route route[TM_PORT_KINDS]; /* bytes 0: none yet */
};

struct tm_mesh_ports_options {
    struct tm_transport *transport;
    const struct tm_identity *identity;
    uint64_t epoch;     /* told to senders that have not said HELLO in this run */
    bool local;         /* opens the inproc port */
    const char *listen; /* tcp endpoint of control; bulk is the next port. NULL: no remote port */
    const struct tm_gate_options *gate; /* remote: through a gate with these options (their listen
                                         * is the one above); NULL: sockets of this process */
    const char *ready_file;             /* may be NULL */
};

struct tm_mesh_ports;
/* A remote port of this process needs a running ZAP handler. With port 0 two neighbouring free
 * ports are found. */
tm_status tm_mesh_ports_new(const struct tm_mesh_ports_options *options, struct tm_mesh_ports **out,
                            struct tm_err *err) TM_MUST_USE;
void tm_mesh_ports_destroy(struct tm_mesh_ports **ports);
/* Where nodes connect ("tcp://127.0.0.1:8471"); "" without a remote port. */
const char *tm_mesh_ports_endpoint(const struct tm_mesh_ports *ports);
/* The next message and its sender; NULL when none waits. Valid until the next call. */
const struct tm_msg *tm_mesh_ports_receive(struct tm_mesh_ports *ports, uint64_t now_ms,
                                           struct tm_mesh_peer **peer);
/* TM_E_LIMIT: its queue is full; TM_E_NOT_FOUND: it is not connected. */
tm_status tm_mesh_ports_send(struct tm_mesh_ports *ports, struct tm_mesh_peer *peer,
                             const struct tm_msg *msg) TM_MUST_USE;
/* NULL when no such node has said HELLO in this run. */
struct tm_mesh_peer *tm_mesh_ports_find(struct tm_mesh_ports *ports, const struct tm_node_id *id);
/* All peers, for index 0.. until NULL. */
struct tm_mesh_peer *tm_mesh_ports_peer(struct tm_mesh_ports *ports, size_t index);
/* Hears nothing more of it and lets no new connection of its key in. */
tm_status tm_mesh_ports_ban(struct tm_mesh_ports *ports, struct tm_mesh_peer *peer) TM_MUST_USE;
size_t tm_mesh_ports_poll(struct tm_mesh_ports *ports, struct tm_poll_item items[4]);
/* Messages thrown away: of unknown senders, malformed, on the wrong socket. */
uint64_t tm_mesh_ports_dropped(const struct tm_mesh_ports *ports);

#endif
