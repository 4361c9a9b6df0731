/* SPDX-License-Identifier: Apache-2.0
 * A worker's two connections, control and bulk, and the messages on them. */
#ifndef TM_NODE_WORKER_LINK_H
#define TM_NODE_WORKER_LINK_H

#include "node/transport/actor.h"
#include "proto/message.h"

struct tm_worker_link_options {
    struct tm_transport *transport;
    const char *endpoint; /* of control; bulk is tm_endpoint_next of it; kept by the caller */
    const struct tm_identity *identity;     /* NULL: inproc */
    const struct tm_public_key *server_key; /* NULL: inproc */
};

struct tm_worker_link;
tm_status tm_worker_link_new(const struct tm_worker_link_options *options,
                             struct tm_worker_link **out, struct tm_err *err) TM_MUST_USE;
void tm_worker_link_destroy(struct tm_worker_link **link);
/* New sockets: what was queued or half sent is gone. */
tm_status tm_worker_link_reconnect(struct tm_worker_link *link, struct tm_err *err) TM_MUST_USE;
/* Sends on the socket of the message's type, HELLO on both. TM_E_LIMIT: its queue is full. */
tm_status tm_worker_link_send(struct tm_worker_link *link, const struct tm_msg *msg) TM_MUST_USE;
/* The next message of either socket, valid until the next call; NULL when none waits. Frames that
 * are no message of their socket are dropped. */
const struct tm_msg *tm_worker_link_receive(struct tm_worker_link *link);
/* Two items for tm_poll. */
size_t tm_worker_link_poll(struct tm_worker_link *link, struct tm_poll_item *items);

#endif
