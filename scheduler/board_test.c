/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/board.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

#define UNITS 60

static void make(struct tm_board *board, uint32_t group_size)
{
    struct tm_coord_unit units[UNITS];
    for (uint32_t i = 0; i < UNITS; i++) {
        units[i] = (struct tm_coord_unit){.group = i / group_size, .rows = 2, .cols = 3};
    }
    ck_assert_int_eq(tm_board_init(board, units, UNITS), TM_OK);
}

static void set_lease(struct tm_board *board, uint32_t unit, uint32_t lease)
{
    board->units[unit].lease[0] = lease;
    tm_board_settle(board, unit);
}

/* The state follows from the facts, the strongest first. */
START_TEST(states)
{
    struct tm_coord_unit units[2] = {{.rows = 1, .cols = 1},
                                     {.rows = 1, .cols = 1, .owner_made = true}};
    struct tm_board board;
    ck_assert_int_eq(tm_board_init(&board, units, 2), TM_OK);
    struct tm_board_unit *unit = &board.units[0];
    ck_assert_int_eq(unit->state, TM_UNIT_OPEN);
    ck_assert_int_eq(board.units[1].state, TM_UNIT_OWNER);
    unit->lease[1] = 4;
    tm_board_settle(&board, 0);
    ck_assert_int_eq(unit->state, TM_UNIT_LEASED);
    unit->claim = 3;
    tm_board_settle(&board, 0);
    ck_assert_int_eq(unit->state, TM_UNIT_CHECKING);
    unit->saving = true;
    tm_board_settle(&board, 0);
    ck_assert_int_eq(unit->state, TM_UNIT_SAVING);
    struct tm_digest leaf = {{7}};
    uint32_t made = TM_NONE;
    tm_board_accept(&board, 0, 5, &leaf, &made);
    ck_assert_int_eq(unit->state, TM_UNIT_DONE);
    ck_assert_uint_eq(made, 0);
    ck_assert_uint_eq(unit->maker, 5);
    unit->claim = TM_NONE;
    tm_board_reopen(&board, 0, &made);
    ck_assert_int_eq(unit->state, TM_UNIT_LEASED); /* its lease still stands */
    ck_assert_uint_eq(made, TM_NONE);
    ck_assert_uint_eq(board.counts[TM_UNIT_LEASED], 1);
    ck_assert_uint_eq(board.counts[TM_UNIT_DONE], 0);
    tm_board_deinit(&board);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* Nodes stay in their group; new ones begin fresh groups in order; then they take turns. */
START_TEST(groups)
{
    struct tm_board board;
    make(&board, 20); /* 3 groups */
    ck_assert_uint_eq(tm_board_choose_group(&board, TM_NONE), 0);
    set_lease(&board, board.groups[0].head, 1);
    ck_assert_uint_eq(tm_board_choose_group(&board, TM_NONE), 1);
    set_lease(&board, board.groups[1].head, 1);
    ck_assert_uint_eq(tm_board_choose_group(&board, 0), 0);
    ck_assert_uint_eq(tm_board_choose_group(&board, TM_NONE), 2);
    set_lease(&board, board.groups[2].head, 1);
    uint32_t seen[3] = {0};
    for (int i = 0; i < 6; i++) {
        seen[tm_board_choose_group(&board, TM_NONE)]++;
    }
    ck_assert(seen[0] == 2 && seen[1] == 2 && seen[2] == 2);
    while (board.groups[1].todo > 0) {
        set_lease(&board, board.groups[1].head, 1);
    }
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_ne(tm_board_choose_group(&board, 1), 1);
    }
    set_lease(&board, 25, TM_NONE); /* comes back */
    ck_assert_uint_eq(tm_board_choose_group(&board, 1), 1);
    ck_assert_uint_eq(board.groups[1].head, 25);
    tm_board_deinit(&board);
}
END_TEST

/* Against a model that recounts everything: random facts, then queues and counts must agree. */
START_TEST(random_facts)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 17);
    struct tm_board board;
    make(&board, 7);
    uint32_t made[3] = {TM_NONE, TM_NONE, TM_NONE};
    for (int round = 0; round < 3000; round++) {
        uint32_t u = (uint32_t)tm_rng_below(&rng, UNITS);
        struct tm_board_unit *unit = &board.units[u];
        switch (tm_rng_below(&rng, 4)) {
        case 0:
            unit->lease[tm_rng_below(&rng, 2)] = tm_rng_below(&rng, 2) ? 1 : TM_NONE;
            break;
        case 1:
            unit->claim = tm_rng_below(&rng, 2) ? 1 : TM_NONE;
            break;
        case 2:
            if (!unit->done) {
                struct tm_digest leaf = {{1}};
                uint32_t maker = (uint32_t)tm_rng_below(&rng, 3);
                tm_board_accept(&board, u, maker, &leaf, &made[maker]);
            }
            break;
        default:
            if (unit->done) {
                tm_board_reopen(&board, u, &made[unit->maker]);
            }
            break;
        }
        tm_board_settle(&board, u);
        uint32_t counts[TM_UNIT_STATES] = {0}, queued = 0, listed = 0;
        for (uint32_t i = 0; i < UNITS; i++) {
            counts[board.units[i].state]++;
        }
        for (int s = 0; s < TM_UNIT_STATES; s++) {
            TM_ASSERT(counts[s] == board.counts[s]);
        }
        for (uint32_t g = 0; g < board.group_count; g++) {
            uint32_t before = queued;
            for (uint32_t i = board.groups[g].head; i != TM_NONE; i = board.units[i].todo_next) {
                TM_ASSERT(board.units[i].state == TM_UNIT_OPEN && board.units[i].spec.group == g);
                queued++;
            }
            TM_ASSERT(queued - before == board.groups[g].todo);
        }
        for (uint32_t m = 0; m < 3; m++) {
            for (uint32_t i = made[m]; i != TM_NONE; i = board.units[i].made_next) {
                TM_ASSERT(board.units[i].done && board.units[i].maker == m);
                listed++;
            }
        }
        TM_ASSERT(queued == counts[TM_UNIT_OPEN] && listed == counts[TM_UNIT_DONE]);
        uint32_t group = tm_board_choose_group(&board, TM_NONE);
        TM_ASSERT(queued == 0 ? group == TM_NONE : board.groups[group].todo > 0);
    }
    tm_board_deinit(&board);
}
END_TEST

START_TEST(empty_and_no_memory)
{
    struct tm_board board;
    ck_assert_int_eq(tm_board_init(&board, NULL, 0), TM_OK);
    ck_assert_uint_eq(tm_board_choose_group(&board, TM_NONE), TM_NONE);
    tm_board_deinit(&board);
    struct tm_coord_unit unit = {.rows = 1, .cols = 1};
    for (uint64_t n = 1; n <= 2; n++) {
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_board_init(&board, &unit, 1), TM_E_NOMEM);
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("board");
    TCase *tc = tcase_create("board");
    tcase_add_test(tc, states);
    tcase_add_test(tc, groups);
    tcase_add_test(tc, random_facts);
    tcase_add_test(tc, empty_and_no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
