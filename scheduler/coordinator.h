/* SPDX-License-Identifier: Apache-2.0
 * The coordinator of one job as a pure state machine: step(state, event, now) -> actions. It knows
 * no sockets, files, clock or keys. node/coordinator carries the actions out; the simulator too.
 *
 * A unit:  OPEN -> LEASED -> CHECKING -> SAVING -> DONE, back to OPEN when a lease ends, a check
 * fails or its node is banned. A node: NEW -> READY -> GONE, or BANNED for good.
 * Rules: a result is acknowledged only after PERSISTED; a lease carries token, epoch and deadline;
 * heartbeats and results renew it; a late result with an old token is welcome while the unit is not
 * SAVING or DONE; a stale unit near the end gets a second lease (backup) on another node; a node
 * whose result fails a check is banned, and every unit it made is done again. */
#ifndef TM_SCHEDULER_COORDINATOR_H
#define TM_SCHEDULER_COORDINATOR_H

#include "proto/message.h"

#define TM_MESH_NODES_MAX 4096

struct tm_coord_unit {
    uint32_t pipeline; /* index into pipelines */
    uint32_t group;
    uint32_t rows, cols, dtype, source_bytes;
    struct tm_digest source;
    bool owner_made; /* lossless: never leased; reported by TM_EV_OWNER_DONE */
};

struct tm_coordinator_options {
    const struct tm_coord_unit *units; /* copied */
    uint32_t unit_count;
    const char (*pipelines)[TM_MSG_TEXT_MAX]; /* copied */
    uint32_t pipeline_count;                  /* <= TM_MSG_SPEEDS_MAX */
    struct tm_digest plan;
    struct tm_digest encoders; /* nodes with another digest get no lease (BYE with the reason) */
    uint64_t epoch;            /* one more than at the last start */
    uint32_t lease_target_ms;  /* work a lease should hold; 0: 2,000 */
    uint32_t lease_min_ms;     /* shortest deadline; 0: 30,000 */
    uint32_t heartbeat_ms;     /* 0: 2,000; a node is gone after 5 of them */
    uint32_t audit_first;      /* all results of a node are audited until so many have passed */
    uint32_t audit_every;      /* then one in so many, by audit_seed; 0: none */
    uint8_t audit_seed[32];    /* secret of the owner: nodes cannot tell which units */
    uint8_t token_seed[32];    /* secret: lease tokens derive from it, the epoch and a counter */
    uint32_t uploads_max;      /* results received and checked at once; 0: 64 */
};

/* How a checked result came out. */
enum tm_verdict {
    TM_VERDICT_GOOD,
    TM_VERDICT_BAD_SIGNATURE,
    TM_VERDICT_MALFORMED,  /* does not decode canonically, wrong size or leaf */
    TM_VERDICT_BAD_ERROR,  /* decodes to something that is not the source */
    TM_VERDICT_MISMATCH,   /* audit: encoding again gives other bytes */
    TM_VERDICT_NOT_CHECKED /* our own failure (I/O): unit goes back, node keeps its name */
};
const char *tm_verdict_text(enum tm_verdict verdict);

enum tm_coord_event_type {
    TM_EV_MESSAGE,   /* from node `node`: HELLO, WANT, HEARTBEAT, RESULT */
    TM_EV_RECEIVED,  /* all bytes of a RESULT have come and hash to its leaf; needs node, unit, leaf
                      */
    TM_EV_CHECKED,   /* answer to TM_ACT_CHECK */
    TM_EV_PERSISTED, /* everything up to seq is durable */
    TM_EV_GONE,      /* the transport lost the node */
    TM_EV_TICK,      /* at least every 100 ms */
    TM_EV_OWNER_DONE /* a lossless unit made by the owner is durable */
};

struct tm_coord_event {
    enum tm_coord_event_type type;
    struct tm_node_id node;
    const struct tm_msg *msg; /* MESSAGE */
    uint32_t unit;            /* RECEIVED, CHECKED, OWNER_DONE */
    struct tm_digest leaf;    /* RECEIVED, CHECKED */
    enum tm_verdict verdict;  /* CHECKED */
    bool audited;             /* CHECKED */
    uint64_t seq;             /* PERSISTED */
};

enum tm_coord_action_type {
    TM_ACT_SEND,          /* msg to node */
    TM_ACT_ACCEPT_UPLOAD, /* a RESULT is wanted: give credit, collect its bytes, then RECEIVED. May
                           * come again for an upload in progress: give credit for what lacks */
    TM_ACT_CHECK,         /* check unit's bytes of node; encode again and compare when audit */
    TM_ACT_PERSIST,       /* write the accepted result (unit, node, leaf, whether it was audited) as
                           * seq, then PERSISTED */
    TM_ACT_DROP, /* node's bytes for unit and leaf are not wanted (any more): forget them */
    TM_ACT_BAN,  /* write the ban as seq (all results of node dropped), drop the peer */
    TM_ACT_DONE  /* every unit is durable: merge. Sent once */
};

struct tm_coord_action {
    enum tm_coord_action_type type;
    struct tm_node_id node;
    struct tm_msg *msg; /* SEND, ACCEPT_UPLOAD (the RESULT); owned by the action list */
    uint32_t unit;
    struct tm_digest leaf;
    bool audit;
    uint64_t seq;
    char reason[TM_MSG_TEXT_MAX]; /* BAN */
};

/* Filled by step, emptied by the caller with tm_coord_actions_clear. */
struct tm_coord_actions {
    struct tm_coord_action *items;
    size_t count, capacity;
};
void tm_coord_actions_init(struct tm_coord_actions *actions);
void tm_coord_actions_clear(struct tm_coord_actions *actions);
void tm_coord_actions_deinit(struct tm_coord_actions *actions);

struct tm_coordinator;
tm_status tm_coordinator_new(const struct tm_coordinator_options *options,
                             struct tm_coordinator **out) TM_MUST_USE;
void tm_coordinator_destroy(struct tm_coordinator **coordinator);
/* From the journal, before the first step: an accepted result (of an owner's unit too, node is then
 * ignored), a banned node (its results are dropped). TM_E_MALFORMED for a unit that does not exist
 * or has a result already. */
tm_status tm_coordinator_restore_result(struct tm_coordinator *coordinator, uint32_t unit,
                                        const struct tm_node_id *node,
                                        const struct tm_digest *leaf) TM_MUST_USE;
tm_status tm_coordinator_restore_ban(struct tm_coordinator *coordinator,
                                     const struct tm_node_id *node) TM_MUST_USE;
/* Appends to actions. Only memory can fail; hostile input never does. After a failure actions are
 * missing: destroy the coordinator and start anew from the journal. */
tm_status tm_coordinator_step(struct tm_coordinator *coordinator,
                              const struct tm_coord_event *event, uint64_t now_ms,
                              struct tm_coord_actions *actions) TM_MUST_USE;

/* For display and tests. */
struct tm_coord_status {
    uint32_t units, done, leased, checking, todo;
    uint32_t nodes, nodes_ready, nodes_banned;
    uint64_t leases, leases_expired, results, duplicates, audits, rejected, redone;
};
void tm_coordinator_status(const struct tm_coordinator *coordinator, struct tm_coord_status *out);
struct tm_coord_node {
    struct tm_node_id id;
    char name[TM_MSG_NAME_MAX];
    const char *state; /* "ready", "gone", "banned" */
    char ban_reason[TM_MSG_TEXT_MAX];
    uint32_t accepted, audited, leased;
    uint64_t weights_per_s;
};
/* Up to `capacity` nodes; returns how many there are. */
size_t tm_coordinator_nodes(const struct tm_coordinator *coordinator, struct tm_coord_node *out,
                            size_t capacity);

#endif
