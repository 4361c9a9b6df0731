/* SPDX-License-Identifier: Apache-2.0
 * What the files of the coordinator share; nobody else includes it. */
#ifndef TM_SCHEDULER_COORDINATOR_STATE_H
#define TM_SCHEDULER_COORDINATOR_STATE_H

#include "scheduler/claim.h"
#include "scheduler/coordinator.h"
#include "scheduler/lease.h"

/* Something that was sent to the journal: an accepted result of a unit, or a ban (TM_NONE). */
struct tm_coord_saving {
    uint64_t seq;
    uint32_t unit;
};

struct tm_coordinator {
    struct tm_board board;
    struct tm_peers peers;
    struct tm_claims claims;
    struct tm_leases leases;
    char pipelines[TM_MSG_SPEEDS_MAX][TM_MSG_TEXT_MAX];
    uint32_t pipeline_count;
    struct tm_digest plan, encoders;
    uint64_t epoch;
    uint32_t heartbeat_ms, upload_ms;
    uint32_t audit_first, audit_every;
    uint8_t audit_seed[32];
    uint64_t seq;                   /* last one given out */
    struct tm_coord_saving *saving; /* in order of seq, from saving_first */
    size_t saving_first, saving_count, saving_capacity;
    bool finished; /* DONE was sent */
    uint64_t now_ms;
    uint64_t results, duplicates, audits, rejected, redone;
    struct tm_coord_actions *out; /* of the step in progress */
};

/* ---- coordinator_actions.c ---- */

/* Appends an action; *out points into the list until the next one. */
tm_status tm_coord_act(struct tm_coordinator *c, enum tm_coord_action_type type,
                       const struct tm_node_id *node, struct tm_coord_action **out) TM_MUST_USE;
/* SEND of an empty message of a type, to be filled by the caller. */
tm_status tm_coord_send(struct tm_coordinator *c, const struct tm_node_id *node,
                        enum tm_msg_type type, struct tm_msg **out) TM_MUST_USE;
/* BAN or BYE. */
tm_status tm_coord_send_reason(struct tm_coordinator *c, const struct tm_node_id *node,
                               enum tm_msg_type type, const char *reason) TM_MUST_USE;
tm_status tm_coord_send_idle(struct tm_coordinator *c, const struct tm_node_id *node,
                             uint32_t retry_ms) TM_MUST_USE;
tm_status tm_coord_send_receipt(struct tm_coordinator *c, const struct tm_node_id *node,
                                uint32_t unit, const struct tm_digest *leaf,
                                enum tm_receipt verdict, const char *reason) TM_MUST_USE;

/* ---- coordinator_results.c ---- */

tm_status tm_coord_on_result(struct tm_coordinator *c, uint32_t node,
                             const struct tm_msg_result *result) TM_MUST_USE;
tm_status tm_coord_on_received(struct tm_coordinator *c,
                               const struct tm_coord_event *event) TM_MUST_USE;
tm_status tm_coord_on_checked(struct tm_coordinator *c,
                              const struct tm_coord_event *event) TM_MUST_USE;
tm_status tm_coord_on_persisted(struct tm_coordinator *c, uint64_t seq) TM_MUST_USE;
/* Drops what the node announced but has not delivered. */
tm_status tm_coord_drop_uploads(struct tm_coordinator *c, uint32_t node) TM_MUST_USE;
/* Drops uploads that take too long. */
tm_status tm_coord_expire_uploads(struct tm_coordinator *c) TM_MUST_USE;
/* Gives free places to waiting claims. */
tm_status tm_coord_start_uploads(struct tm_coordinator *c) TM_MUST_USE;

#endif
