/* SPDX-License-Identifier: Apache-2.0
 * Sockets of the mesh over CZMQ, with the settings that its defaults lack: CURVE with keys
 * derived from the Ed25519 identity on every tcp socket, our own ZAP handler (zap.h) without which
 * no server binds, MANDATORY routing, bounded queues, message size, handshake and linger times. A
 * message is exactly one frame; every other shape is dropped and counted. Nothing here blocks but
 * tm_poll.
 *
 * Who sent a message is its transport key, proven by CURVE, never the routing id: routing ids are
 * given by the ROUTER at each connection and only say where an answer goes, so no peer can take
 * another's place. Messages of inproc sockets carry no key; they are trusted by their socket.
 *
 * A socket belongs to the thread that uses it; hand it over only with a thread's start or join. */
#ifndef TM_NODE_TRANSPORT_H
#define TM_NODE_TRANSPORT_H

#include "base/buf.h"
#include "crypto/identity.h"

#define TM_ENDPOINT_MAX 256
#define TM_ROUTE_BYTES_MAX 16

/* The sockets of one run. Their context is CZMQ's one of the process, so fork before the first. */
struct tm_transport;
tm_status tm_transport_new(struct tm_transport **out, struct tm_err *err) TM_MUST_USE;
/* Every socket, pipe and actor must be gone. */
void tm_transport_destroy(struct tm_transport **transport);

enum tm_socket_kind { TM_SOCKET_ROUTER /* binds */, TM_SOCKET_DEALER /* connects */ };

struct tm_socket_options {
    enum tm_socket_kind kind;
    const struct tm_identity *identity;     /* own; NULL: inproc only */
    const uint8_t *curve_secret;            /* ROUTER, instead of identity: its transport key */
    const struct tm_public_key *server_key; /* DEALER over tcp: the pinned key */
    uint32_t message_bytes_max;             /* a peer that sends more is disconnected */
    uint32_t queue_messages;                /* per peer and direction */
};

struct tm_socket;
tm_status tm_socket_new(struct tm_transport *transport, const struct tm_socket_options *options,
                        struct tm_socket **out, struct tm_err *err) TM_MUST_USE;
void tm_socket_destroy(struct tm_socket **socket);
/* The same at once: what is not sent yet never will be. */
void tm_socket_drop(struct tm_socket **socket);
/* endpoint: "tcp://HOST:PORT" (port 0: any free one) or "inproc://NAME". bound gets the true
 * endpoint. TM_E_REFUSED for tcp without identity or without a running ZAP handler, and when the
 * address is in use. */
tm_status tm_socket_bind(struct tm_socket *socket, const char *endpoint,
                         char bound[TM_ENDPOINT_MAX], struct tm_err *err) TM_MUST_USE;
tm_status tm_socket_unbind(struct tm_socket *socket, const char *bound,
                           struct tm_err *err) TM_MUST_USE;
tm_status tm_socket_connect(struct tm_socket *socket, const char *endpoint,
                            struct tm_err *err) TM_MUST_USE;
/* "tcp://host:8471" -> "tcp://host:8472"; inproc names get "-next". TM_E_USAGE: not an endpoint. */
tm_status tm_endpoint_next(const char *endpoint, char out[TM_ENDPOINT_MAX],
                           struct tm_err *err) TM_MUST_USE;
/* TM_E_USAGE unless it is "tcp://HOST:PORT" with PORT <= 65534. */
tm_status tm_endpoint_check_tcp(const char *endpoint, struct tm_err *err) TM_MUST_USE;

/* Where a ROUTER sends: one connection of a peer. */
struct tm_route {
    uint8_t bytes;
    uint8_t b[TM_ROUTE_BYTES_MAX];
};

/* A received message; data lies in the frame until deinit. */
struct tm_frame {
    struct tm_route route;           /* ROUTER only */
    bool has_key;                    /* false on inproc */
    uint8_t key[TM_CURVE_KEY_BYTES]; /* of the sender, proven by CURVE */
    struct tm_view data;
    uint64_t message[8]; /* zmq_msg_t */
    void *copy;          /* of data, under ThreadSanitizer only */
};

/* TM_E_NOTHING when no message waits. */
tm_status tm_socket_receive(struct tm_socket *socket, struct tm_frame *out) TM_MUST_USE;
void tm_frame_deinit(struct tm_frame *frame);
/* Never blocks. TM_E_LIMIT: the peer's queue is full, try later; TM_E_NOT_FOUND: no such connection
 * (any more). route is NULL for a DEALER. */
tm_status tm_socket_send(struct tm_socket *socket, const struct tm_route *route,
                         struct tm_view data) TM_MUST_USE;
/* Messages of a wrong shape that were dropped. */
uint64_t tm_socket_dropped(const struct tm_socket *socket);

#endif
