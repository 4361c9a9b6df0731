/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/peers.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tests/support/suite.h"

/* Ids that differ in few bits, as an attacker would choose them. */
static struct tm_node_id id_of(uint32_t n)
{
    struct tm_node_id id = {{0}};
    tm_set_u32(id.b, n);
    return id;
}

START_TEST(add_and_find)
{
    struct tm_peers peers;
    tm_peers_init(&peers, 99);
    struct tm_node_id id = id_of(7);
    ck_assert_uint_eq(tm_peers_find(&peers, &id), TM_NONE);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t index = TM_NONE;
        id = id_of(i);
        ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_OK);
        ck_assert_uint_eq(index, i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        id = id_of(i);
        ck_assert_uint_eq(tm_peers_find(&peers, &id), i);
    }
    id = id_of(1000);
    ck_assert_uint_eq(tm_peers_find(&peers, &id), TM_NONE);
    ck_assert_uint_eq(peers.live, 1000);
    tm_peers_deinit(&peers);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* A full table makes room by forgetting one that did nothing, never one that works, made something
 * or is banned. */
START_TEST(full)
{
    struct tm_peers peers;
    tm_peers_init(&peers, 99);
    struct tm_node_id id;
    uint32_t index = TM_NONE;
    for (uint32_t i = 0; i < TM_MESH_NODES_MAX; i++) {
        id = id_of(i);
        ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_OK);
        tm_peers_set_state(&peers, index, TM_PEER_READY);
    }
    id = id_of(TM_MESH_NODES_MAX);
    ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_E_LIMIT);
    tm_peers_set_state(&peers, 5, TM_PEER_GONE);
    peers.items[5].accepted = 1;
    tm_peers_set_state(&peers, 6, TM_PEER_GONE);
    peers.items[6].leases = 0;
    ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_E_LIMIT);
    tm_peers_set_state(&peers, 9, TM_PEER_GONE);
    ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_OK);
    ck_assert_uint_eq(index, 9);
    ck_assert_uint_eq(tm_peers_find(&peers, &id), 9);
    id = id_of(9);
    ck_assert_uint_eq(tm_peers_find(&peers, &id), TM_NONE);
    ck_assert_uint_eq(peers.live, TM_MESH_NODES_MAX);
    /* a ban frees a place, and the banned one stays known */
    tm_peers_set_state(&peers, 11, TM_PEER_BANNED);
    ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_OK);
    id = id_of(11);
    ck_assert_uint_eq(tm_peers_find(&peers, &id), 11);
    ck_assert_uint_eq(peers.banned, 1);
    tm_peers_deinit(&peers);
}
END_TEST

START_TEST(bars)
{
    static const uint64_t expected[] = {0, 0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 6400};
    for (uint32_t strikes = 0; strikes < 11; strikes++) {
        struct tm_peer peer = {.barred_ms = 0};
        tm_peer_bar(&peer, strikes, 2, 100, 5);
        ck_assert_uint_eq(peer.barred_ms, expected[strikes] + (strikes > 2 ? 5 : 0));
    }
    struct tm_peer peer = {.barred_ms = 10000};
    tm_peer_bar(&peer, 3, 2, 100, 5);
    ck_assert_uint_eq(peer.barred_ms, 10000);
}
END_TEST

START_TEST(no_memory)
{
    for (uint64_t n = 1; n <= 2; n++) {
        struct tm_peers peers;
        tm_peers_init(&peers, 1);
        struct tm_node_id id = id_of(1);
        uint32_t index = TM_NONE;
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_E_NOMEM);
        ck_assert_int_eq(tm_peers_add(&peers, &id, &index), TM_OK);
        ck_assert_uint_eq(tm_peers_find(&peers, &id), index);
        tm_peers_deinit(&peers);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("peers");
    TCase *tc = tcase_create("peers");
    tcase_add_test(tc, add_and_find);
    tcase_add_test(tc, full);
    tcase_add_test(tc, bars);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
