/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/claim.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "tests/support/suite.h"

struct fixture {
    struct tm_board board;
    struct tm_peers peers;
    struct tm_claims claims;
};

static void setup(struct fixture *f, uint32_t units, uint32_t nodes, uint32_t uploads_max)
{
    struct tm_coord_unit spec[300];
    for (uint32_t i = 0; i < units; i++) {
        spec[i] = (struct tm_coord_unit){.rows = 1, .cols = 1};
    }
    ck_assert_int_eq(tm_board_init(&f->board, spec, units), TM_OK);
    tm_peers_init(&f->peers, 1);
    for (uint32_t i = 0; i < nodes; i++) {
        struct tm_node_id id = {{0}};
        uint32_t index = 0;
        tm_set_u32(id.b, i);
        ck_assert_int_eq(tm_peers_add(&f->peers, &id, &index), TM_OK);
    }
    tm_claims_init(&f->claims, &f->board, &f->peers, uploads_max);
}

static void teardown(struct fixture *f)
{
    tm_claims_deinit(&f->claims);
    tm_peers_deinit(&f->peers);
    tm_board_deinit(&f->board);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static uint32_t claim(struct fixture *f, uint32_t node, uint32_t unit)
{
    struct tm_msg_result result = {.unit = unit};
    ck_assert_int_eq(tm_claim_new(&f->claims, node, &result, 10), TM_OK);
    return f->board.units[unit].claim;
}

START_TEST(stages)
{
    struct fixture f;
    setup(&f, 3, 1, 8);
    uint32_t a = claim(&f, 0, 2), b = claim(&f, 0, 1);
    ck_assert_int_eq(f.board.units[2].state, TM_UNIT_CHECKING);
    ck_assert_uint_eq(f.peers.items[0].claimed, 2);
    ck_assert_uint_eq(tm_claim_next_upload(&f.claims), a);
    tm_claim_move(&f.claims, a, TM_CLAIM_RECEIVING, 20);
    ck_assert_uint_eq(f.peers.items[0].uploads, 1);
    ck_assert_uint_eq(f.claims.items[a].since_ms, 20);
    tm_claim_move(&f.claims, a, TM_CLAIM_CHECKING, 30);
    ck_assert_uint_eq(f.peers.items[0].uploads, 0);
    tm_claim_move(&f.claims, a, TM_CLAIM_SAVING, 40);
    ck_assert_int_eq(f.board.units[2].state, TM_UNIT_SAVING);
    tm_claim_end(&f.claims, b);
    ck_assert_int_eq(f.board.units[1].state, TM_UNIT_OPEN);
    tm_claim_end(&f.claims, a);
    ck_assert_int_eq(f.board.units[2].state, TM_UNIT_OPEN);
    ck_assert_uint_eq(f.peers.items[0].claimed, 0);
    ck_assert_uint_eq(f.peers.items[0].claims, TM_NONE);
    ck_assert_uint_eq(claim(&f, 0, 0), a); /* entries are used again */
    teardown(&f);
}
END_TEST

START_TEST(disputes_are_counted)
{
    struct fixture f;
    setup(&f, 1, 1, 8);
    struct tm_digest leaf = {{1}};
    tm_board_accept(&f.board, 0, 0, &leaf, &f.peers.items[0].made);
    uint32_t a = claim(&f, 0, 0);
    ck_assert(f.claims.items[a].dispute);
    ck_assert_uint_eq(f.claims.disputes, 1);
    ck_assert_int_eq(f.board.units[0].state, TM_UNIT_DONE);
    tm_claim_end(&f.claims, a);
    ck_assert_uint_eq(f.claims.disputes, 0);
    ck_assert_int_eq(f.board.units[0].state, TM_UNIT_DONE);
    teardown(&f);
}
END_TEST

/* No more than uploads_max at once, four a node, one for a node that stalls; and a node with many
 * claims in front does not bar the way of the others. */
START_TEST(uploads)
{
    struct fixture f;
    setup(&f, 300, 3, 8);
    f.peers.items[2].stalls = 1;
    for (uint32_t u = 0; u < 290; u++) {
        claim(&f, 0, u);
    }
    for (uint32_t u = 290; u < 295; u++) {
        claim(&f, 1, u);
        claim(&f, 2, u + 5);
    }
    uint32_t started[3] = {0}, idle_rounds = 0;
    while (idle_rounds < 3) {
        uint32_t next = tm_claim_next_upload(&f.claims);
        idle_rounds = next == TM_NONE ? idle_rounds + 1 : 0;
        if (next != TM_NONE) {
            started[f.claims.items[next].node]++;
            tm_claim_move(&f.claims, next, TM_CLAIM_RECEIVING, 1);
        }
    }
    ck_assert_uint_eq(started[0], 4);
    ck_assert_uint_eq(started[1] + started[2], 4);
    ck_assert_uint_le(started[2], 1);
    /* checking counts too */
    tm_claim_move(&f.claims, f.claims.queues[TM_CLAIM_RECEIVING].head, TM_CLAIM_CHECKING, 2);
    ck_assert_uint_eq(tm_claim_next_upload(&f.claims), TM_NONE);
    teardown(&f);
}
END_TEST

START_TEST(no_memory)
{
    struct fixture f;
    setup(&f, 1, 1, 8);
    struct tm_msg_result result = {.unit = 0};
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_claim_new(&f.claims, 0, &result, 10), TM_E_NOMEM);
    ck_assert_int_eq(f.board.units[0].state, TM_UNIT_OPEN);
    claim(&f, 0, 0);
    teardown(&f);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("claim");
    TCase *tc = tcase_create("claim");
    tcase_add_test(tc, stages);
    tcase_add_test(tc, disputes_are_counted);
    tcase_add_test(tc, uploads);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
