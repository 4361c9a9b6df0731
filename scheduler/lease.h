/* SPDX-License-Identifier: Apache-2.0
 * Leases: who may work on which units until when. How large a lease is, when it is renewed, when it
 * ends, and which units get a second one (backup) near the end of the job.
 *
 * Size: units of one layer group until the node's announced speed fills target_ms; fewer near the
 * end (guided self-scheduling: half of an equal share of what is left), for a node that has not yet
 * proved itself, and for one whose leases ran out.
 * Life: max(min_ms, 3 x the estimate of all that the node holds); renewed by heartbeats that name
 * the token, up to 8 lives without a result; ended by a heartbeat that does not name it (the LEASE
 * was lost), by the node's silence, or with its last unit. */
#ifndef TM_SCHEDULER_LEASE_H
#define TM_SCHEDULER_LEASE_H

#include "scheduler/board.h"

#define TM_HELD_A_NODE 256

struct tm_lease_rules {
    uint32_t target_ms, min_ms, heartbeat_ms;
    uint64_t epoch;
    uint8_t token_seed[32];
};

struct tm_lease {
    struct tm_lease_token token;
    uint32_t node;
    uint32_t units[TM_MSG_LEASE_UNITS_MAX]; /* as granted; those that left it no longer name it */
    uint32_t unit_count, live;
    uint64_t estimate_ms, life_ms;
    uint64_t issued_ms, named_ms, deadline_ms, last_ms; /* last_ms: no renewal beyond */
    uint32_t node_prev, node_next;
    uint32_t older, newer; /* all leases by age; newer: list of free entries */
};

struct tm_leases {
    struct tm_board *board;
    struct tm_peers *peers;
    struct tm_lease_rules rules;
    struct tm_lease *items;
    uint32_t count, capacity, free;
    uint32_t oldest, newest;
    uint64_t issued, expired;
};

void tm_leases_init(struct tm_leases *leases, struct tm_board *board, struct tm_peers *peers,
                    const struct tm_lease_rules *rules);
void tm_leases_deinit(struct tm_leases *leases);
/* Answers a WANT of so many slots: a new lease, or TM_NONE when there is nothing for this node. */
tm_status tm_lease_grant(struct tm_leases *leases, uint32_t node, uint32_t slots, uint64_t now_ms,
                         uint32_t *out) TM_MUST_USE;
void tm_lease_message(const struct tm_leases *leases, uint32_t lease, uint64_t now_ms,
                      struct tm_msg_lease *out);
/* A heartbeat of the node that names these tokens. */
void tm_lease_named(struct tm_leases *leases, uint32_t node,
                    const struct tm_msg_heartbeat *heartbeat, uint64_t now_ms);
/* The node greeted again: its leases live on if the next heartbeats name them. */
void tm_lease_greeted(struct tm_leases *leases, uint32_t node, uint64_t now_ms);
/* A result of the unit came from the node: renews its lease on it, if there is one. */
void tm_lease_progress(struct tm_leases *leases, uint32_t node, uint32_t unit, uint64_t now_ms);
/* The unit leaves all leases: it is good. */
void tm_lease_release(struct tm_leases *leases, uint32_t unit);
/* Ends those of the node's leases whose deadline has passed, or all. */
void tm_lease_expire(struct tm_leases *leases, uint32_t node, uint64_t now_ms);
void tm_lease_end_all(struct tm_leases *leases, uint32_t node);

#endif
