/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/claim.h"

#include "base/mem.h"

#define UPLOADS_A_NODE 4
#define LOOKS_MAX 256 /* at waiting claims, for one whose node has a free place */

void tm_claims_init(struct tm_claims *claims, struct tm_board *board, struct tm_peers *peers,
                    uint32_t uploads_max)
{
    *claims = (struct tm_claims){
        .board = board, .peers = peers, .free = TM_NONE, .uploads_max = uploads_max};
    for (int i = 0; i < TM_CLAIM_STAGES; i++) {
        claims->queues[i] = (struct tm_claim_queue){.head = TM_NONE, .tail = TM_NONE};
    }
}

void tm_claims_deinit(struct tm_claims *claims)
{
    tm_free(claims->items);
    *claims = (struct tm_claims){.free = TM_NONE};
}

static void enqueue(struct tm_claims *claims, uint32_t index)
{
    struct tm_claim *claim = &claims->items[index];
    struct tm_claim_queue *queue = &claims->queues[claim->stage];
    claim->prev = queue->tail;
    claim->next = TM_NONE;
    if (queue->tail != TM_NONE) {
        claims->items[queue->tail].next = index;
    } else {
        queue->head = index;
    }
    queue->tail = index;
    queue->count++;
    if (claim->stage == TM_CLAIM_RECEIVING) {
        claims->peers->items[claim->node].uploads++;
    }
}

static void dequeue(struct tm_claims *claims, uint32_t index)
{
    struct tm_claim *claim = &claims->items[index];
    struct tm_claim_queue *queue = &claims->queues[claim->stage];
    if (claim->prev != TM_NONE) {
        claims->items[claim->prev].next = claim->next;
    } else {
        queue->head = claim->next;
    }
    if (claim->next != TM_NONE) {
        claims->items[claim->next].prev = claim->prev;
    } else {
        queue->tail = claim->prev;
    }
    queue->count--;
    if (claim->stage == TM_CLAIM_RECEIVING) {
        claims->peers->items[claim->node].uploads--;
    }
}

static tm_status take_entry(struct tm_claims *claims, uint32_t *out)
{
    if (claims->free != TM_NONE) {
        *out = claims->free;
        claims->free = claims->items[*out].next;
        return TM_OK;
    }
    if (claims->count == claims->capacity) {
        uint32_t capacity = claims->capacity > 0 ? claims->capacity * 2 : 64;
        struct tm_claim *items = tm_realloc_array(claims->items, capacity, sizeof *items);
        if (items == NULL) {
            return TM_E_NOMEM;
        }
        claims->items = items;
        claims->capacity = capacity;
    }
    *out = claims->count++;
    return TM_OK;
}

tm_status tm_claim_new(struct tm_claims *claims, uint32_t node, const struct tm_msg_result *result,
                       uint64_t now_ms)
{
    struct tm_board_unit *unit = &claims->board->units[result->unit];
    TM_ASSERT(unit->claim == TM_NONE);
    uint32_t index = TM_NONE;
    TM_TRY(take_entry(claims, &index));
    struct tm_peer *peer = &claims->peers->items[node];
    claims->items[index] = (struct tm_claim){.stage = TM_CLAIM_WAITING,
                                             .unit = result->unit,
                                             .node = node,
                                             .result = *result,
                                             .dispute = unit->done,
                                             .since_ms = now_ms,
                                             .node_prev = TM_NONE,
                                             .node_next = peer->claims};
    if (peer->claims != TM_NONE) {
        claims->items[peer->claims].node_prev = index;
    }
    peer->claims = index;
    peer->claimed++;
    claims->disputes += unit->done ? 1 : 0;
    enqueue(claims, index);
    unit->claim = index;
    tm_board_settle(claims->board, result->unit);
    return TM_OK;
}

void tm_claim_move(struct tm_claims *claims, uint32_t index, enum tm_claim_stage stage,
                   uint64_t now_ms)
{
    struct tm_claim *claim = &claims->items[index];
    dequeue(claims, index);
    claim->stage = stage;
    claim->since_ms = now_ms;
    enqueue(claims, index);
    claims->board->units[claim->unit].saving = stage == TM_CLAIM_SAVING;
    tm_board_settle(claims->board, claim->unit);
}

void tm_claim_end(struct tm_claims *claims, uint32_t index)
{
    struct tm_claim *claim = &claims->items[index];
    struct tm_peer *peer = &claims->peers->items[claim->node];
    dequeue(claims, index);
    if (claim->node_prev != TM_NONE) {
        claims->items[claim->node_prev].node_next = claim->node_next;
    } else {
        peer->claims = claim->node_next;
    }
    if (claim->node_next != TM_NONE) {
        claims->items[claim->node_next].node_prev = claim->node_prev;
    }
    peer->claimed--;
    claims->disputes -= claim->dispute ? 1 : 0;
    struct tm_board_unit *unit = &claims->board->units[claim->unit];
    unit->claim = TM_NONE;
    unit->saving = false;
    tm_board_settle(claims->board, claim->unit);
    claim->next = claims->free;
    claims->free = index;
}

uint32_t tm_claim_next_upload(struct tm_claims *claims)
{
    struct tm_claim_queue *waiting = &claims->queues[TM_CLAIM_WAITING];
    uint32_t busy = claims->queues[TM_CLAIM_RECEIVING].count;
    busy += claims->queues[TM_CLAIM_CHECKING].count;
    uint32_t looks = waiting->count < LOOKS_MAX ? waiting->count : LOOKS_MAX;
    for (; looks > 0 && busy < claims->uploads_max; looks--) {
        uint32_t index = waiting->head;
        const struct tm_peer *peer = &claims->peers->items[claims->items[index].node];
        if (peer->uploads < (peer->stalls > 0 ? 1 : UPLOADS_A_NODE)) {
            return index;
        }
        dequeue(claims, index); /* to the end, so that one node's claims cannot bar the way */
        enqueue(claims, index);
    }
    return TM_NONE;
}
