/* SPDX-License-Identifier: Apache-2.0
 * A claim: a node says that it has the result of a unit. It waits for a place among the uploads, is
 * received, checked and saved. A unit has at most one. Places are few, so that the bytes held in
 * memory are bounded, whatever the nodes send.
 *
 *   WAITING -> RECEIVING -> CHECKING -> SAVING -> (accepted)
 *        any but the last -> (dropped) */
#ifndef TM_SCHEDULER_CLAIM_H
#define TM_SCHEDULER_CLAIM_H

#include "scheduler/board.h"

#define TM_CLAIMS_A_NODE 128

enum tm_claim_stage {
    TM_CLAIM_WAITING,
    TM_CLAIM_RECEIVING,
    TM_CLAIM_CHECKING,
    TM_CLAIM_SAVING,
    TM_CLAIM_STAGES
};

struct tm_claim {
    enum tm_claim_stage stage;
    uint32_t unit, node;
    struct tm_msg_result result;
    bool audit;
    bool dispute;                  /* against the accepted result of another leaf */
    uint64_t since_ms;             /* in this stage */
    uint64_t seq;                  /* SAVING */
    uint32_t prev, next;           /* queue of the stage; next: list of free entries */
    uint32_t node_prev, node_next; /* claims of the node */
};

struct tm_claim_queue {
    uint32_t head, tail, count;
};

struct tm_claims {
    struct tm_board *board;
    struct tm_peers *peers;
    struct tm_claim *items;
    uint32_t count, capacity, free;
    struct tm_claim_queue queues[TM_CLAIM_STAGES]; /* oldest first */
    uint32_t uploads_max;                          /* RECEIVING and CHECKING together */
    uint32_t disputes;
};

void tm_claims_init(struct tm_claims *claims, struct tm_board *board, struct tm_peers *peers,
                    uint32_t uploads_max);
void tm_claims_deinit(struct tm_claims *claims);
/* A new claim, WAITING; the unit must have none. */
tm_status tm_claim_new(struct tm_claims *claims, uint32_t node, const struct tm_msg_result *result,
                       uint64_t now_ms) TM_MUST_USE;
void tm_claim_move(struct tm_claims *claims, uint32_t claim, enum tm_claim_stage stage,
                   uint64_t now_ms);
/* Ends it in any stage and settles the unit. */
void tm_claim_end(struct tm_claims *claims, uint32_t claim);
/* A waiting claim whose node may upload one more now, or TM_NONE. Those passed over go to the end.
 */
uint32_t tm_claim_next_upload(struct tm_claims *claims);

#endif
