/* SPDX-License-Identifier: Apache-2.0
 * The map against a plain array, with keys that collide. */
#include "package/digest_map.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

/* Few different homes, so that chains are long and wrap around. */
static struct tm_digest key_of(uint32_t i)
{
    struct tm_digest d = {{0}};
    d.b[0] = (uint8_t)(0xfc + i % 5);
    d.b[1] = i % 2 ? 0xff : 0;
    memcpy(&d.b[20], &i, sizeof i);
    return d;
}

START_TEST(test_against_array)
{
    enum { KEYS = 300 };
    uint64_t expected[KEYS] = {0}; /* 0: absent */
    struct tm_digest_map map;
    struct tm_rng rng;
    size_t live = tm_mem_live_blocks(), count = 0;
    tm_rng_init(&rng, 7);
    tm_digest_map_init(&map);
    for (int step = 1; step < 30000; step++) {
        uint32_t k = (uint32_t)tm_rng_below(&rng, KEYS);
        struct tm_digest key = key_of(k);
        if (tm_rng_below(&rng, 2) == 0) {
            count += expected[k] == 0;
            expected[k] = (uint64_t)step << 32 | k;
            ck_assert_int_eq(tm_digest_map_put(&map, &key, expected[k]), TM_OK);
        } else {
            ck_assert_int_eq(tm_digest_map_remove(&map, &key), expected[k] != 0);
            count -= expected[k] != 0;
            expected[k] = 0;
        }
        ck_assert_uint_eq(map.count, count);
        k = (uint32_t)tm_rng_below(&rng, KEYS);
        key = key_of(k);
        uint64_t got = 0;
        ck_assert_int_eq(tm_digest_map_get(&map, &key, &got), expected[k] != 0);
        ck_assert_uint_eq(got, expected[k]);
    }
    tm_digest_map_deinit(&map);
    ck_assert_uint_eq(tm_mem_live_blocks(), live);
}
END_TEST

START_TEST(test_memory_failure_keeps_the_map)
{
    struct tm_digest_map map;
    struct tm_digest key = key_of(1);
    uint64_t got;
    tm_digest_map_init(&map);
    ck_assert(!tm_digest_map_get(&map, &key, &got));
    ck_assert(!tm_digest_map_remove(&map, &key));
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_digest_map_put(&map, &key, 5), TM_E_NOMEM);
    uint32_t n = 0;
    for (; n < 48; n++) { /* three quarters of the first 64 slots */
        key = key_of(n);
        ck_assert_int_eq(tm_digest_map_put(&map, &key, n), TM_OK);
    }
    key = key_of(n);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_digest_map_put(&map, &key, n), TM_E_NOMEM);
    tm_mem_fail_at(0);
    ck_assert_uint_eq(map.count, 48);
    for (uint32_t i = 0; i < 48; i++) {
        key = key_of(i);
        ck_assert(tm_digest_map_get(&map, &key, &got) && got == i);
    }
    tm_digest_map_deinit(&map);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("digest_map");
    TCase *tc = tcase_create("digest_map");
    tcase_add_test(tc, test_against_array);
    tcase_add_test(tc, test_memory_failure_keeps_the_map);
    suite_add_tcase(suite, tc);
    return suite;
}
