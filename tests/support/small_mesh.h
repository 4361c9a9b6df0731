/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's inproc port and a worker's link to it, in one thread: both ends of the wire
 * under the test's control. */
#ifndef TM_TESTS_SMALL_MESH_H
#define TM_TESTS_SMALL_MESH_H

#include <check.h>

#include "base/clock.h"
#include "node/coordinator/mesh_ports.h"
#include "node/worker/worker_link.h"

#define SMALL_MESH_WAIT_MS 5000u

struct small_mesh {
    struct tm_transport *transport;
    struct tm_mesh_ports *ports;
    struct tm_worker_link *link;
    struct tm_mesh_peer *peer; /* of the link, after the greeting */
};

/* The next message that reaches the coordinator, within the time. */
static inline const struct tm_msg *small_mesh_at_ports(struct small_mesh *s,
                                                       struct tm_mesh_peer **peer)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + SMALL_MESH_WAIT_MS;
    const struct tm_msg *msg;
    struct tm_poll_item items[4];
    while ((msg = tm_mesh_ports_receive(s->ports, 1, peer)) == NULL) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(items, tm_mesh_ports_poll(s->ports, items), 100);
    }
    return msg;
}

/* The next message that reaches the worker, within the time. */
static inline const struct tm_msg *small_mesh_at_link(struct small_mesh *s)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + SMALL_MESH_WAIT_MS;
    const struct tm_msg *msg;
    struct tm_poll_item items[2];
    while ((msg = tm_worker_link_receive(s->link)) == NULL) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(items, tm_worker_link_poll(s->link, items), 100);
    }
    return msg;
}

static inline struct tm_msg small_mesh_hello(const struct tm_identity *identity)
{
    return (struct tm_msg){.type = TM_MSG_HELLO,
                           .hello = {.protocol = TM_PROTOCOL_VERSION,
                                     .software = "test",
                                     .key = *tm_identity_public(identity),
                                     .name = "small",
                                     .cores = 1}};
}

static inline void small_mesh_open(struct small_mesh *s, const struct tm_identity *owner)
{
    struct tm_err err;
    *s = (struct small_mesh){0};
    ck_assert_int_eq(tm_transport_new(&s->transport, &err), TM_OK);
    struct tm_mesh_ports_options ports = {
        .transport = s->transport, .identity = owner, .local = true};
    ck_assert_int_eq(tm_mesh_ports_new(&ports, &s->ports, &err), TM_OK);
    struct tm_worker_link_options link = {.transport = s->transport, .endpoint = TM_LOCAL_ENDPOINT};
    ck_assert_int_eq(tm_worker_link_new(&link, &s->link, &err), TM_OK);
    struct tm_msg hello = small_mesh_hello(owner);
    ck_assert_int_eq(tm_worker_link_send(s->link, &hello), TM_OK);
    const struct tm_msg *msg = small_mesh_at_ports(s, &s->peer);
    ck_assert_int_eq(msg->type, TM_MSG_HELLO);
    /* The HELLO on bulk shows the way back there and is not given on. */
    struct tm_mesh_peer *peer;
    uint64_t end = tm_clock_ms(tm_clock_os()) + SMALL_MESH_WAIT_MS;
    while (s->peer->route[1].bytes == 0) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        ck_assert_ptr_null(tm_mesh_ports_receive(s->ports, 1, &peer));
    }
}

static inline void small_mesh_close(struct small_mesh *s)
{
    tm_worker_link_destroy(&s->link);
    tm_mesh_ports_destroy(&s->ports);
    tm_transport_destroy(&s->transport);
}

#endif
