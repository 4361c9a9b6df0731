/* SPDX-License-Identifier: Apache-2.0
 * A worker as a pure state machine: step(state, event, now) -> actions.
 *
 * OFFLINE -> GREETING (HELLO sent) -> WORKING -> DONE or BANNED. In WORKING it asks for work while
 * fewer than half of `prefetch` units wait: each FETCHING (its source comes) -> QUEUED -> ENCODING
 * -> SENDING (RESULT, repeated) until its RECEIPT. Silence of 5 heartbeats or a new epoch leads
 * back to GREETING. Under a new epoch units that are not begun are dropped; begun and finished ones
 * are kept and sent, since a result is good under any epoch. Another plan is another job: all is
 * dropped. */
#ifndef TM_SCHEDULER_WORKER_H
#define TM_SCHEDULER_WORKER_H

#include "proto/message.h"

#define TM_WORKER_UNITS_MAX 128 /* units of any stage held at once */

struct tm_worker_options {
    struct tm_msg_hello hello;                   /* what to announce */
    uint32_t prefetch;                           /* units held at once, 1..64 */
    uint32_t compute_slots;                      /* units encoded at once */
    uint32_t reconnect_min_ms, reconnect_max_ms; /* back-off of HELLO; 0: 500 and 30,000 */
    uint64_t jitter_seed;
};

enum tm_worker_event_type {
    TM_WEV_MESSAGE,       /* from the coordinator: WELCOME LEASE IDLE HEARTBEAT RECEIPT BAN BYE */
    TM_WEV_FETCHED,       /* source of unit is in the cache (hash checked) */
    TM_WEV_FETCH_FAILED,  /* it could not be had */
    TM_WEV_ENCODED,       /* leaf, bytes, signature of unit are ready */
    TM_WEV_ENCODE_FAILED, /* our own failure */
    TM_WEV_UPLOADING,     /* bytes of the unit's result are flowing: no need to announce it again */
    TM_WEV_TICK           /* at least every 100 ms */
};

struct tm_worker_event {
    enum tm_worker_event_type type;
    const struct tm_msg *msg;
    uint32_t unit;
    struct tm_digest leaf;
    uint32_t bytes, compute_ms;
    struct tm_signature sig;
};

enum tm_worker_action_type {
    TM_WACT_SEND,   /* msg on its socket */
    TM_WACT_FETCH,  /* get the source of the unit (desc) */
    TM_WACT_ENCODE, /* encode the unit (desc, pipeline) and sign it under plan */
    TM_WACT_UPLOAD, /* send the RESULT msg, then the bytes of leaf as credit comes; repeated
                     * until the receipt */
    TM_WACT_FORGET, /* drop everything about unit */
    TM_WACT_STOP    /* done, banned, or refused with BYE: reason. Sent once, nothing follows */
};

struct tm_worker_action {
    enum tm_worker_action_type type;
    struct tm_msg *msg; /* SEND, UPLOAD; owned by the list */
    struct tm_msg_unit desc;
    char pipeline[TM_MSG_TEXT_MAX];
    struct tm_digest plan;
    uint32_t unit;
    struct tm_digest leaf;
    bool banned; /* STOP */
    char reason[TM_MSG_TEXT_MAX];
};

struct tm_worker_actions {
    struct tm_worker_action *items;
    size_t count, capacity;
};
void tm_worker_actions_init(struct tm_worker_actions *actions);
void tm_worker_actions_clear(struct tm_worker_actions *actions);
void tm_worker_actions_deinit(struct tm_worker_actions *actions);

struct tm_worker;
tm_status tm_worker_new(const struct tm_worker_options *options,
                        struct tm_worker **out) TM_MUST_USE;
void tm_worker_destroy(struct tm_worker **worker);
tm_status tm_worker_step(struct tm_worker *worker, const struct tm_worker_event *event,
                         uint64_t now_ms, struct tm_worker_actions *actions) TM_MUST_USE;

struct tm_worker_status {
    const char *state; /* "offline", "greeting", "working", "done", "banned" */
    uint32_t held, encoding;
    uint64_t accepted, rejected, epoch;
};
void tm_worker_status(const struct tm_worker *worker, struct tm_worker_status *out);

#endif
