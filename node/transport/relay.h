/* SPDX-License-Identifier: Apache-2.0
 * Messages between two processes of ours over a connected unix socket: the coordinator and its gate
 * (gate.h). What waits to be written is bounded by the caller, what is read by one message; nothing
 * blocks. The other end is parsed like a stranger: a gate may have been taken over. Both ends are
 * the same program, so the layout has no version:
 *   u32 bytes of data, little-endian; u8 type; u8 kind; u8 bytes of route; u8 zero;
 *   route (16 bytes); transport key (32 bytes); data.
 * One thread. */
#ifndef TM_NODE_RELAY_H
#define TM_NODE_RELAY_H

#include "node/transport/actor.h"

#define TM_RELAY_DATA_MAX (512u * 1024)

enum tm_relay_type {
    TM_RELAY_ALLOW, /* to the gate: an Ed25519 key that is let in */
    TM_RELAY_SETUP, /* to the gate: key is the secret of its sockets, data u64 bytes of memory; kind
                     * 1: every key is let in */
    TM_RELAY_DENY,  /* to the gate: a transport key that is let in no more */
    TM_RELAY_LISTEN, /* to the gate: data is the endpoint of control */
    TM_RELAY_READY,  /* from the gate: data is the endpoint that it got */
    TM_RELAY_FAILED, /* from the gate: data is a struct tm_err */
    TM_RELAY_FRAME,  /* both ways: a message of the socket `kind`, by its route */
    TM_RELAY_SENT,   /* from the gate: a bulk FRAME went out of its hands */
    TM_RELAY_LOST,   /* from the gate: no such connection (any more) */
    TM_RELAY_TYPES
};

struct tm_relay_head {
    enum tm_relay_type type;
    uint8_t kind; /* 0 control, 1 bulk */
    struct tm_route route;
    uint8_t key[TM_CURVE_KEY_BYTES];
};

struct tm_relay;
/* Takes the descriptor, also on failure. */
tm_status tm_relay_new(int fd, struct tm_relay **out, struct tm_err *err) TM_MUST_USE;
void tm_relay_destroy(struct tm_relay **relay);
/* TM_E_LIMIT: older messages wait, more than waiting_max bytes with this one; TM_E_NETWORK: the
 * other end is gone. */
tm_status tm_relay_send(struct tm_relay *relay, const struct tm_relay_head *head,
                        struct tm_view data, size_t waiting_max) TM_MUST_USE;
/* Writes of what waits as much as goes. */
tm_status tm_relay_flush(struct tm_relay *relay) TM_MUST_USE;
/* After the last message: the other end reads what came and then an end. */
void tm_relay_finish(struct tm_relay *relay);
size_t tm_relay_waiting(const struct tm_relay *relay);
/* TM_E_NOTHING when no whole message is there; TM_E_NETWORK: the other end is gone; TM_E_MALFORMED.
 * data is valid until the next call. */
tm_status tm_relay_receive(struct tm_relay *relay, struct tm_relay_head *head,
                           struct tm_view *data) TM_MUST_USE;
struct tm_poll_item tm_relay_poll(const struct tm_relay *relay);

#endif
