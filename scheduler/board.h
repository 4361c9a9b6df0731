/* SPDX-License-Identifier: Apache-2.0
 * The board of units. Facts about a unit (its leases, its claim, its accepted result) are set by
 * the other parts of the coordinator, then tm_board_settle derives its state from them and keeps
 * queues and counts right. No operation looks at more than one unit. */
#ifndef TM_SCHEDULER_BOARD_H
#define TM_SCHEDULER_BOARD_H

#include "scheduler/peers.h"

#define TM_UNIT_LEASES 2 /* the first lease and a backup */

enum tm_unit_state {
    TM_UNIT_OPEN,     /* in the queue of its group */
    TM_UNIT_LEASED,   /* one or two nodes work on it */
    TM_UNIT_CHECKING, /* a result is announced, coming or being checked */
    TM_UNIT_SAVING,   /* good, on its way into the journal */
    TM_UNIT_DONE,     /* durable */
    TM_UNIT_OWNER,    /* the owner makes it; then DONE */
    TM_UNIT_STATES
};

struct tm_board_unit {
    struct tm_coord_unit spec;
    enum tm_unit_state state;
    /* Facts. */
    uint32_t lease[TM_UNIT_LEASES]; /* index (lease.h) or TM_NONE */
    uint32_t claim;                 /* index (claim.h) or TM_NONE; also of a dispute when done */
    bool saving;                    /* the claim is good */
    bool done;
    uint32_t maker; /* peer of the accepted result, or TM_NONE */
    struct tm_digest leaf;
    /* Links. */
    uint32_t todo_prev, todo_next; /* queue of the group */
    uint32_t made_prev, made_next; /* units of the maker */
};

struct tm_board_group {
    uint32_t head, tail, todo; /* its queue */
    bool started;              /* a unit of it was leased once */
    uint32_t prev, next;       /* ring of started groups with units to do */
};

struct tm_board {
    struct tm_board_unit *units;
    uint32_t unit_count;
    struct tm_board_group *groups;
    uint32_t group_count;
    uint32_t fresh;   /* no group before it is unstarted with units to do */
    uint32_t started; /* head of the ring, or TM_NONE */
    uint32_t counts[TM_UNIT_STATES];
};

tm_status tm_board_init(struct tm_board *board, const struct tm_coord_unit *units,
                        uint32_t unit_count) TM_MUST_USE;
void tm_board_deinit(struct tm_board *board);
/* After any change of facts. */
void tm_board_settle(struct tm_board *board, uint32_t unit);
/* The group to take a unit from: preferred while it has any, else one that nobody has begun, else
 * the one whose turn it is. TM_NONE when nothing is to do. */
uint32_t tm_board_choose_group(struct tm_board *board, uint32_t preferred);
/* Records the accepted result of a unit, in the list that begins at *made; and takes it back. */
void tm_board_accept(struct tm_board *board, uint32_t unit, uint32_t maker,
                     const struct tm_digest *leaf, uint32_t *made);
void tm_board_reopen(struct tm_board *board, uint32_t unit, uint32_t *made);
uint64_t tm_board_weights(const struct tm_board *board, uint32_t unit);

#endif
