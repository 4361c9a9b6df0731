/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/source_cache.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

/* 1,000 bytes that differ by n, and their name. */
static struct tm_digest sample(unsigned n, uint8_t out[1000])
{
    for (unsigned i = 0; i < 1000; i++) {
        out[i] = (uint8_t)(i * 7 + n);
    }
    return tm_digest_of(tm_view_of(out, 1000));
}

static struct tm_source *add_whole(struct tm_source_cache *cache, unsigned n)
{
    uint8_t data[1000];
    struct tm_digest id = sample(n, data);
    struct tm_source *s = NULL;
    ck_assert_int_eq(tm_source_add(cache, &id, 1000, &s), TM_OK);
    ck_assert_int_eq(tm_source_put(s, 0, tm_view_of(data, 600), 1), TM_OK);
    ck_assert(!s->whole);
    ck_assert_int_eq(tm_source_put(s, 600, tm_view_of(data + 600, 400), 2), TM_OK);
    ck_assert(s->whole);
    ck_assert_mem_eq(s->bytes.data, data, 1000);
    return s;
}

static bool has(struct tm_source_cache *cache, unsigned n)
{
    uint8_t data[1000];
    struct tm_digest id = sample(n, data);
    return tm_source_find(cache, &id) != NULL;
}

START_TEST(least_recently_used_goes_first)
{
    struct tm_source_cache *cache = NULL;
    ck_assert_int_eq(tm_source_cache_new(3000, &cache), TM_OK);
    struct tm_source *one = add_whole(cache, 1);
    struct tm_source *two = add_whole(cache, 2);
    struct tm_source *three = add_whole(cache, 3);
    tm_source_unpin(cache, one);
    tm_source_unpin(cache, two);
    tm_source_unpin(cache, three);
    tm_source_pin(cache, one); /* used again: now two is the oldest */
    tm_source_unpin(cache, one);
    struct tm_source *four = add_whole(cache, 4);
    ck_assert(has(cache, 1) && !has(cache, 2) && has(cache, 3) && has(cache, 4));
    ck_assert_uint_eq(tm_source_cache_bytes(cache), 3000);
    /* Pinned ones stay, and when all are pinned there is no room. */
    tm_source_pin(cache, one);
    tm_source_pin(cache, three);
    uint8_t data[1000];
    struct tm_digest id = sample(5, data);
    struct tm_source *five = NULL;
    ck_assert_int_eq(tm_source_add(cache, &id, 1000, &five), TM_E_LIMIT);
    ck_assert_ptr_null(five);
    tm_source_unpin(cache, four);
    ck_assert_int_eq(tm_source_add(cache, &id, 1000, &five), TM_OK);
    ck_assert(!has(cache, 4));
    /* An unfinished one goes with its last pin. */
    tm_source_unpin(cache, five);
    ck_assert(!has(cache, 5));
    tm_source_cache_destroy(&cache);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(one_always_fits)
{
    struct tm_source_cache *cache = NULL;
    ck_assert_int_eq(tm_source_cache_new(10, &cache), TM_OK);
    tm_source_unpin(cache, add_whole(cache, 1));
    tm_source_unpin(cache, add_whole(cache, 2));
    ck_assert(!has(cache, 1) && has(cache, 2));
    tm_source_cache_destroy(&cache);
}
END_TEST

START_TEST(only_what_continues_is_taken)
{
    struct tm_source_cache *cache = NULL;
    uint8_t data[1000];
    struct tm_digest id = sample(9, data);
    struct tm_source *s = NULL;
    ck_assert_int_eq(tm_source_cache_new(10000, &cache), TM_OK);
    ck_assert_int_eq(tm_source_add(cache, &id, 1000, &s), TM_OK);
    ck_assert_int_eq(tm_source_put(s, 1, tm_view_of(data + 1, 10), 1), TM_E_NOTHING);
    ck_assert_int_eq(tm_source_put(s, 0, tm_view_of(data, 0), 1), TM_E_NOTHING);
    ck_assert_int_eq(tm_source_put(s, 0, tm_view_of(data, 500), 1), TM_OK);
    ck_assert_int_eq(tm_source_put(s, 0, tm_view_of(data, 500), 1), TM_E_NOTHING);
    uint8_t more[600] = {0};
    ck_assert_int_eq(tm_source_put(s, 500, tm_view_of(more, 501), 1), TM_E_NOTHING);
    /* The right size but other bytes: refused, and empty again. */
    ck_assert_int_eq(tm_source_put(s, 500, tm_view_of(more, 500), 1), TM_E_VERIFY);
    ck_assert(!s->whole);
    ck_assert_uint_eq(s->bytes.bytes, 0);
    size_t at = 0;
    ck_assert_ptr_eq(tm_source_unfinished(cache, &at), s);
    ck_assert_ptr_null(tm_source_unfinished(cache, &at));
    ck_assert_int_eq(tm_source_put(s, 0, tm_view_of(data, 1000), 7), TM_OK);
    ck_assert(s->whole);
    ck_assert_uint_eq(s->progress_ms, 7);
    at = 0;
    ck_assert_ptr_null(tm_source_unfinished(cache, &at));
    tm_source_cache_destroy(&cache);
}
END_TEST

START_TEST(memory_failures)
{
    uint8_t data[1000];
    struct tm_digest id = sample(1, data);
    for (uint64_t n = 1;; n++) {
        struct tm_source_cache *cache = NULL;
        struct tm_source *s = NULL;
        tm_mem_fail_at(n);
        tm_status status = tm_source_cache_new(5000, &cache);
        if (status == TM_OK) {
            status = tm_source_add(cache, &id, 1000, &s);
        }
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_source_cache_destroy(&cache);
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
        if (!failed) {
            ck_assert_uint_eq(n, 4); /* cache, entry, bytes */
            return;
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("source_cache");
    TCase *tc = tcase_create("source_cache");
    tcase_add_test(tc, least_recently_used_goes_first);
    tcase_add_test(tc, one_always_fits);
    tcase_add_test(tc, only_what_continues_is_taken);
    tcase_add_test(tc, memory_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
