/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/lease.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tests/support/suite.h"

#define WEIGHTS 1000000u /* of a unit; at 1,000,000/s one core takes a second */

struct fixture {
    struct tm_board board;
    struct tm_peers peers;
    struct tm_leases leases;
};

static void setup(struct fixture *f, uint32_t units, uint32_t group, uint32_t nodes)
{
    static struct tm_coord_unit spec[1000];
    for (uint32_t i = 0; i < units; i++) {
        spec[i] = (struct tm_coord_unit){
            .group = i / group, .rows = 1000, .cols = 1000, .source_bytes = i + 1, .dtype = 2};
    }
    ck_assert_int_eq(tm_board_init(&f->board, spec, units), TM_OK);
    tm_peers_init(&f->peers, 1);
    for (uint32_t i = 0; i < nodes; i++) {
        struct tm_node_id id = {{0}};
        uint32_t index = 0;
        tm_set_u32(id.b, i);
        ck_assert_int_eq(tm_peers_add(&f->peers, &id, &index), TM_OK);
        tm_peers_set_state(&f->peers, index, TM_PEER_READY);
        f->peers.items[index].speed[0] = WEIGHTS;
        f->peers.items[index].accepted = 1;
    }
    struct tm_lease_rules rules = {
        .target_ms = 10000, .min_ms = 30000, .heartbeat_ms = 1000, .epoch = 3};
    tm_leases_init(&f->leases, &f->board, &f->peers, &rules);
}

static void teardown(struct fixture *f)
{
    tm_leases_deinit(&f->leases);
    tm_peers_deinit(&f->peers);
    tm_board_deinit(&f->board);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static uint32_t grant(struct fixture *f, uint32_t node, uint32_t slots, uint64_t now_ms)
{
    uint32_t lease = TM_NONE;
    ck_assert_int_eq(tm_lease_grant(&f->leases, node, slots, now_ms, &lease), TM_OK);
    return lease;
}

static uint32_t granted(struct fixture *f, uint32_t node, uint32_t slots, uint64_t now_ms)
{
    uint32_t lease = grant(f, node, slots, now_ms);
    return lease == TM_NONE ? 0 : f->leases.items[lease].unit_count;
}

/* Units of about a second each until ten seconds are full: 1 ms over each, so ten. */
START_TEST(size_by_speed)
{
    struct fixture f;
    setup(&f, 1000, 1000, 1);
    ck_assert_uint_eq(granted(&f, 0, 64, 0), 10);
    f.peers.items[0].cores = 4;
    ck_assert_uint_eq(granted(&f, 0, 64, 0), 40);
    ck_assert_uint_eq(granted(&f, 0, 3, 0), 3); /* slots */
    f.peers.items[0].speed[0] = UINT64_MAX;     /* nonsense is clamped */
    ck_assert_uint_eq(granted(&f, 0, 64, 0), 64);
    f.peers.items[0].speed[0] = 1;
    ck_assert_uint_eq(granted(&f, 0, 64, 0), 1);
    f.peers.items[0].speed[0] = UINT64_MAX;
    uint32_t total = 118;
    for (uint32_t got = 1; got > 0; total += got) {
        got = granted(&f, 0, 64, 0);
    }
    ck_assert_uint_eq(total, TM_HELD_A_NODE);
    teardown(&f);
}
END_TEST

START_TEST(size_by_trust_and_share)
{
    struct fixture f;
    setup(&f, 100, 100, 5);
    for (uint32_t i = 0; i < 5; i++) {
        f.peers.items[i].speed[0] = 1000 * WEIGHTS;
    }
    ck_assert_uint_eq(granted(&f, 0, 64, 0), 10); /* 100 / (2 * 5) */
    ck_assert_uint_eq(granted(&f, 1, 64, 0), 9);
    f.peers.items[2].accepted = 0; /* unproven */
    ck_assert_uint_eq(granted(&f, 2, 64, 0), 4);
    f.peers.items[2].cores = 6;
    ck_assert_uint_eq(granted(&f, 2, 64, 0), 6);
    f.peers.items[3].expiries = 5; /* 64 >> 5 */
    ck_assert_uint_eq(granted(&f, 3, 64, 0), 2);
    f.peers.items[4].barred_ms = 50;
    ck_assert_uint_eq(granted(&f, 4, 64, 49), 0);
    ck_assert_uint_gt(granted(&f, 4, 64, 50), 0);
    teardown(&f);
}
END_TEST

/* A lease leaves its group only while it is less than half full. */
START_TEST(stays_in_group)
{
    struct fixture f;
    setup(&f, 1000, 6, 1);
    uint32_t lease = grant(&f, 0, 64, 0);
    ck_assert_uint_eq(f.leases.items[lease].unit_count, 6);
    f.peers.items[0].speed[0] = 4 * WEIGHTS; /* a group is 1.5 s of 10 s */
    lease = grant(&f, 0, 64, 0);
    ck_assert_uint_eq(f.leases.items[lease].unit_count, 24); /* 3 groups are 4.5 s, 4 are 6 s */
    teardown(&f);
}
END_TEST

START_TEST(message)
{
    struct fixture f;
    setup(&f, 10, 10, 1);
    uint32_t lease = grant(&f, 0, 2, 100);
    static struct tm_msg_lease msg;
    tm_lease_message(&f.leases, lease, 100, &msg);
    ck_assert_uint_eq(msg.epoch, 3);
    ck_assert_uint_eq(msg.unit_count, 2);
    ck_assert_uint_eq(msg.deadline_ms, 30000);
    ck_assert_uint_eq(msg.units[1].unit, 1);
    ck_assert_uint_eq(msg.units[1].source_bytes, 2);
    ck_assert_uint_eq(msg.units[1].dtype, 2);
    static struct tm_msg_lease other;
    tm_lease_message(&f.leases, grant(&f, 0, 2, 100), 100, &other);
    ck_assert(memcmp(msg.token.b, other.token.b, sizeof msg.token.b) != 0);
    teardown(&f);
}
END_TEST

static struct tm_msg_heartbeat naming(struct fixture *f, uint32_t lease)
{
    struct tm_msg_heartbeat beat = {.token_count = lease == TM_NONE ? 0 : 1};
    if (lease != TM_NONE) {
        beat.tokens[0] = f->leases.items[lease].token;
    }
    return beat;
}

START_TEST(renewal_has_an_end)
{
    struct fixture f;
    setup(&f, 10, 10, 1);
    uint32_t lease = grant(&f, 0, 1, 0);
    struct tm_msg_heartbeat beat = naming(&f, lease);
    uint64_t now_ms = 0;
    while (f.peers.items[0].held > 0) {
        now_ms += 1000;
        tm_lease_named(&f.leases, 0, &beat, now_ms);
        tm_lease_expire(&f.leases, 0, now_ms);
    }
    ck_assert_uint_eq(now_ms, 8 * 30000);
    ck_assert_uint_eq(f.leases.expired, 1);
    ck_assert_uint_eq(f.peers.items[0].expiries, 1);
    ck_assert_int_eq(f.board.units[0].state, TM_UNIT_OPEN);
    /* a result begins the count anew */
    lease = grant(&f, 0, 2, 0);
    uint32_t unit = f.leases.items[lease].units[0];
    tm_lease_progress(&f.leases, 0, unit, 5000);
    ck_assert_uint_eq(f.leases.items[lease].last_ms, 5000 + 8 * 30000);
    ck_assert_uint_eq(f.leases.items[lease].deadline_ms, 35000);
    teardown(&f);
}
END_TEST

START_TEST(unnamed_leases_end)
{
    struct fixture f;
    setup(&f, 10, 10, 1);
    uint32_t lost = grant(&f, 0, 1, 0), kept = grant(&f, 0, 1, 0);
    struct tm_msg_heartbeat beat = naming(&f, kept);
    tm_lease_named(&f.leases, 0, &beat, 2999);
    ck_assert_uint_eq(f.peers.items[0].held, 2); /* it may be on its way */
    struct tm_msg_heartbeat full = {.token_count = TM_MSG_TOKENS_MAX};
    tm_lease_named(&f.leases, 0, &full, 2999 + 2999);
    tm_lease_greeted(&f.leases, 0, 2500);
    tm_lease_named(&f.leases, 0, &beat, 3000);
    ck_assert_uint_eq(f.peers.items[0].held, 2);
    tm_lease_named(&f.leases, 0, &beat, 5500);
    ck_assert_uint_eq(f.peers.items[0].held, 1);
    ck_assert_uint_eq(f.board.units[f.leases.items[lost].units[0]].state, TM_UNIT_OPEN);
    tm_lease_end_all(&f.leases, 0);
    ck_assert_uint_eq(f.board.counts[TM_UNIT_OPEN], 10);
    teardown(&f);
}
END_TEST

/* When all is leased, what is late gets one backup on another node, and only one. */
START_TEST(backups)
{
    struct fixture f;
    setup(&f, 4, 4, 3);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(granted(&f, 0, 1, 0), 1);
    }
    ck_assert_uint_eq(granted(&f, 1, 64, 9999), 0);  /* not late: less than target_ms */
    ck_assert_uint_eq(granted(&f, 0, 64, 20000), 0); /* its own */
    f.board.units[2].claim = 0;
    tm_board_settle(&f.board, 2);
    uint32_t got = 0;
    for (int i = 0; i < 5; i++) {
        got += granted(&f, 1, 64, 10000);
    }
    ck_assert_uint_eq(got, 3);
    ck_assert_uint_eq(granted(&f, 2, 64, 90000), 0);
    tm_lease_release(&f.leases, 0);
    ck_assert_uint_eq(f.peers.items[0].held, 3);
    ck_assert_uint_eq(f.peers.items[1].held, 2);
    /* the first lease ends: the backup goes on, and may get one itself */
    tm_lease_end_all(&f.leases, 0);
    ck_assert_int_eq(f.board.units[1].state, TM_UNIT_LEASED);
    teardown(&f);
}
END_TEST

START_TEST(no_memory)
{
    struct fixture f;
    setup(&f, 4, 4, 1);
    uint32_t lease = TM_NONE;
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_lease_grant(&f.leases, 0, 1, 0, &lease), TM_E_NOMEM);
    ck_assert_uint_eq(f.board.counts[TM_UNIT_OPEN], 4);
    ck_assert_uint_eq(granted(&f, 0, 1, 0), 1);
    teardown(&f);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("lease");
    TCase *tc = tcase_create("lease");
    tcase_add_test(tc, size_by_speed);
    tcase_add_test(tc, size_by_trust_and_share);
    tcase_add_test(tc, stays_in_group);
    tcase_add_test(tc, message);
    tcase_add_test(tc, renewal_has_an_end);
    tcase_add_test(tc, unnamed_leases_end);
    tcase_add_test(tc, backups);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
