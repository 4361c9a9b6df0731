/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/board.h"

#include "base/mem.h"

tm_status tm_board_init(struct tm_board *board, const struct tm_coord_unit *units,
                        uint32_t unit_count)
{
    *board = (struct tm_board){.started = TM_NONE};
    uint32_t groups = 0;
    for (uint32_t i = 0; i < unit_count; i++) {
        TM_ASSERT(units[i].group < unit_count);
        groups = units[i].group >= groups ? units[i].group + 1 : groups;
    }
    board->units = tm_calloc(unit_count, sizeof *board->units);
    board->groups = tm_calloc(groups, sizeof *board->groups);
    if (board->units == NULL || board->groups == NULL) {
        tm_board_deinit(board);
        return TM_E_NOMEM;
    }
    board->unit_count = unit_count;
    board->group_count = groups;
    for (uint32_t i = 0; i < groups; i++) {
        board->groups[i] = (struct tm_board_group){
            .head = TM_NONE, .tail = TM_NONE, .prev = TM_NONE, .next = TM_NONE};
    }
    for (uint32_t i = 0; i < unit_count; i++) {
        board->units[i] = (struct tm_board_unit){.spec = units[i],
                                                 .state = TM_UNIT_OWNER,
                                                 .lease = {TM_NONE, TM_NONE},
                                                 .claim = TM_NONE,
                                                 .maker = TM_NONE};
        board->counts[TM_UNIT_OWNER]++;
        tm_board_settle(board, i);
    }
    return TM_OK;
}

void tm_board_deinit(struct tm_board *board)
{
    tm_free(board->units);
    tm_free(board->groups);
    *board = (struct tm_board){0};
}

uint64_t tm_board_weights(const struct tm_board *board, uint32_t unit)
{
    const struct tm_coord_unit *spec = &board->units[unit].spec;
    return (uint64_t)spec->rows * spec->cols;
}

/* ---- ring of started groups ------------------------------------------------------------------ */

static void ring_add(struct tm_board *board, uint32_t index)
{
    struct tm_board_group *group = &board->groups[index];
    if (board->started == TM_NONE) {
        group->prev = group->next = board->started = index;
        return;
    }
    struct tm_board_group *head = &board->groups[board->started];
    group->next = board->started;
    group->prev = head->prev;
    board->groups[head->prev].next = index;
    head->prev = index;
}

static void ring_remove(struct tm_board *board, uint32_t index)
{
    struct tm_board_group *group = &board->groups[index];
    if (group->next == index) {
        board->started = TM_NONE;
    } else {
        board->groups[group->prev].next = group->next;
        board->groups[group->next].prev = group->prev;
        if (board->started == index) {
            board->started = group->next;
        }
    }
    group->prev = group->next = TM_NONE;
}

uint32_t tm_board_choose_group(struct tm_board *board, uint32_t preferred)
{
    if (preferred != TM_NONE && board->groups[preferred].todo > 0) {
        return preferred;
    }
    while (board->fresh < board->group_count) {
        const struct tm_board_group *group = &board->groups[board->fresh];
        if (!group->started && group->todo > 0) {
            return board->fresh;
        }
        board->fresh++;
    }
    uint32_t chosen = board->started;
    if (chosen != TM_NONE) {
        board->started = board->groups[chosen].next; /* the others have their turn */
    }
    return chosen;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static void enqueue(struct tm_board *board, uint32_t index)
{
    struct tm_board_unit *unit = &board->units[index];
    uint32_t group_index = unit->spec.group;
    struct tm_board_group *group = &board->groups[group_index];
    unit->todo_prev = group->tail;
    unit->todo_next = TM_NONE;
    if (group->tail != TM_NONE) {
        board->units[group->tail].todo_next = index;
    } else {
        group->head = index;
    }
    group->tail = index;
    if (group->todo++ == 0) {
        if (group->started) {
            ring_add(board, group_index);
        } else if (group_index < board->fresh) {
            board->fresh = group_index;
        }
    }
}

static void dequeue(struct tm_board *board, uint32_t index)
{
    struct tm_board_unit *unit = &board->units[index];
    uint32_t group_index = unit->spec.group;
    struct tm_board_group *group = &board->groups[group_index];
    if (unit->todo_prev != TM_NONE) {
        board->units[unit->todo_prev].todo_next = unit->todo_next;
    } else {
        group->head = unit->todo_next;
    }
    if (unit->todo_next != TM_NONE) {
        board->units[unit->todo_next].todo_prev = unit->todo_prev;
    } else {
        group->tail = unit->todo_prev;
    }
    if (--group->todo == 0 && group->started) {
        ring_remove(board, group_index);
    } else if (group->todo > 0 && !group->started) {
        ring_add(board, group_index);
    }
    group->started = true;
}

static enum tm_unit_state derive(const struct tm_board_unit *unit)
{
    if (unit->done) {
        return TM_UNIT_DONE;
    }
    if (unit->spec.owner_made) {
        return TM_UNIT_OWNER;
    }
    if (unit->saving) {
        return TM_UNIT_SAVING;
    }
    if (unit->claim != TM_NONE) {
        return TM_UNIT_CHECKING;
    }
    bool leased = unit->lease[0] != TM_NONE || unit->lease[1] != TM_NONE;
    return leased ? TM_UNIT_LEASED : TM_UNIT_OPEN;
}

void tm_board_settle(struct tm_board *board, uint32_t index)
{
    struct tm_board_unit *unit = &board->units[index];
    enum tm_unit_state state = derive(unit);
    if (state == unit->state) {
        return;
    }
    if (unit->state == TM_UNIT_OPEN) {
        dequeue(board, index);
    }
    board->counts[unit->state]--;
    board->counts[state]++;
    unit->state = state;
    if (state == TM_UNIT_OPEN) {
        enqueue(board, index);
    }
}

/* ---- accepted results ------------------------------------------------------------------------ */

void tm_board_accept(struct tm_board *board, uint32_t index, uint32_t maker,
                     const struct tm_digest *leaf, uint32_t *made)
{
    struct tm_board_unit *unit = &board->units[index];
    TM_ASSERT(!unit->done);
    unit->done = true;
    unit->saving = false;
    unit->maker = maker;
    unit->leaf = *leaf;
    unit->made_prev = TM_NONE;
    unit->made_next = *made;
    if (*made != TM_NONE) {
        board->units[*made].made_prev = index;
    }
    *made = index;
    tm_board_settle(board, index);
}

void tm_board_reopen(struct tm_board *board, uint32_t index, uint32_t *made)
{
    struct tm_board_unit *unit = &board->units[index];
    TM_ASSERT(unit->done && unit->maker != TM_NONE);
    if (unit->made_prev != TM_NONE) {
        board->units[unit->made_prev].made_next = unit->made_next;
    } else {
        *made = unit->made_next;
    }
    if (unit->made_next != TM_NONE) {
        board->units[unit->made_next].made_prev = unit->made_prev;
    }
    unit->done = false;
    unit->maker = TM_NONE;
    unit->leaf = (struct tm_digest){0};
    tm_board_settle(board, index);
}
