/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's side of its gate: a child process with a memory limit that owns the public
 * sockets (gate_serve.h). It gets the transport key over an inherited unix socket, never the
 * signing key. A gate that dies is started again on the same ports; its connections and what was on
 * its way are lost, as when a network fails. When the coordinator ends, its gate ends.
 *
 * A message to a peer may lie in the gate when the peer reads slowly: the caller sends at most
 * TM_GATE_WINDOW bulk messages a route beyond those that TM_GATE_SENT has answered. One thread. */
#ifndef TM_NODE_GATE_H
#define TM_NODE_GATE_H

#include "base/event.h"
#include "node/transport/actor.h"

#define TM_GATE_WINDOW 16
#define TM_GATE_MEMORY_BYTES (384u * 1024 * 1024) /* beyond what an idle gate maps */

struct tm_gate_options {
    const char *program; /* executable whose command TM_GATE_COMMAND it is: "/proc/self/exe" */
    const struct tm_identity *identity; /* its transport key is handed over */
    const char *listen;                 /* tcp endpoint of control; bulk is the next port */
    uint64_t memory_bytes;              /* 0: TM_GATE_MEMORY_BYTES */
    bool allow_any;                     /* else only these; copied */
    const struct tm_public_key *allow;
    size_t allow_count;
    const struct tm_sink *sink; /* gate.ended, gate.restarted, gate.failed */
};

struct tm_gate;
/* Returns when the gate listens; program, identity and sink must outlive it. */
tm_status tm_gate_new(const struct tm_gate_options *options, struct tm_gate **out,
                      struct tm_err *err) TM_MUST_USE;
/* Ends the process when its last messages are out, at most some seconds later. */
void tm_gate_destroy(struct tm_gate **gate);
const char *tm_gate_endpoint(const struct tm_gate *gate);
int64_t tm_gate_process(const struct tm_gate *gate); /* its process id; 0 while there is none */

enum tm_gate_news {
    TM_GATE_NOTHING,
    TM_GATE_FRAME, /* a message of a peer: frame; ended by tm_frame_deinit */
    TM_GATE_SENT,  /* one bulk message for frame.route is out of the gate */
    TM_GATE_LOST,  /* frame.route leads nowhere (any more) */
    TM_GATE_ENDED, /* every route leads nowhere any more; a new gate comes by itself */
};
struct tm_gate_event {
    enum tm_gate_news news;
    int kind; /* enum tm_port_kind */
    struct tm_frame frame;
};
/* What is next; data of a frame is valid until the next call. Also watches over the process. */
enum tm_gate_news tm_gate_receive(struct tm_gate *gate, struct tm_gate_event *event);
/* Never blocks. TM_E_LIMIT: try later; TM_E_NOT_FOUND: no gate at the moment. */
tm_status tm_gate_send(struct tm_gate *gate, int kind, const struct tm_route *route,
                       struct tm_view data) TM_MUST_USE;
/* Lets the transport key in no more and drops what it says; also by later gates. */
tm_status tm_gate_deny(struct tm_gate *gate, const uint8_t key[TM_CURVE_KEY_BYTES]) TM_MUST_USE;
/* One item, or none while there is no gate. */
size_t tm_gate_poll(const struct tm_gate *gate, struct tm_poll_item *items);

#endif
