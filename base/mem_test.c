/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

#include "tests/support/suite.h"

START_TEST(counts)
{
    size_t blocks = tm_mem_live_blocks();
    size_t bytes = tm_mem_live_bytes();
    void *a = tm_alloc(0);
    void *b = tm_alloc(100);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    ck_assert_uint_eq(tm_mem_live_blocks() - blocks, 2);
    ck_assert_uint_eq(tm_mem_live_bytes() - bytes, 100);
    b = tm_realloc(b, 300);
    ck_assert_uint_eq(tm_mem_live_bytes() - bytes, 300);
    b = tm_realloc(b, 10);
    ck_assert_uint_eq(tm_mem_live_bytes() - bytes, 10);
    ck_assert_uint_ge(tm_mem_peak_bytes(), bytes + 300);
    tm_mem_reset_peak();
    ck_assert_uint_eq(tm_mem_peak_bytes(), bytes + 10);
    tm_free(a);
    tm_free(b);
    tm_free(NULL);
    ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
    ck_assert_uint_eq(tm_mem_live_bytes(), bytes);
}
END_TEST

START_TEST(alignment)
{
    for (size_t align = 1; align <= 4096; align *= 2) {
        for (size_t bytes = 0; bytes < 100; bytes += 33) {
            uint8_t *p = tm_alloc_aligned(align, bytes);
            ck_assert_ptr_nonnull(p);
            ck_assert_uint_eq((uintptr_t)p % align, 0);
            ck_assert_uint_eq((uintptr_t)p % 16, 0);
            memset(p, 0x5a, bytes);
            p = tm_realloc(p, bytes + 50);
            ck_assert_ptr_nonnull(p);
            for (size_t i = 0; i < bytes; i++) {
                ck_assert_uint_eq(p[i], 0x5a);
            }
            memset(p, 0x5b, bytes + 50);
            tm_free(p);
        }
    }
    void *p = tm_alloc(1);
    ck_assert_uint_eq((uintptr_t)p % 16, 0);
    tm_free(p);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(zeroed_and_overflow)
{
    uint8_t *p = tm_calloc(1000, 3);
    for (size_t i = 0; i < 3000; i++) {
        ck_assert_uint_eq(p[i], 0);
    }
    ck_assert_ptr_null(tm_calloc(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(tm_calloc(3, SIZE_MAX / 2));
    ck_assert_ptr_null(tm_realloc_array(p, SIZE_MAX / 2, 3));
    ck_assert_ptr_null(tm_realloc(p, SIZE_MAX - 8));
    ck_assert_ptr_null(tm_alloc(SIZE_MAX));
    ck_assert_ptr_null(tm_alloc_aligned(64, SIZE_MAX - 64));
    ck_assert_ptr_null(tm_strndup("a", SIZE_MAX));
    p[2999] = 7; /* still valid after the failures */
    tm_free(p);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(copies)
{
    char *a = tm_strdup("abc");
    char *b = tm_strndup("abcdef", 2);
    uint8_t *c = tm_memdup("x\0y", 3);
    void *d = tm_memdup(NULL, 0);
    ck_assert_str_eq(a, "abc");
    ck_assert_str_eq(b, "ab");
    ck_assert_mem_eq(c, "x\0y", 3);
    ck_assert_ptr_nonnull(d);
    tm_free(a);
    tm_free(b);
    tm_free(c);
    tm_free(d);
}
END_TEST

START_TEST(fails_once_at_n)
{
    for (uint64_t n = 1; n <= 6; n++) {
        tm_mem_fail_at(n);
        void *p[6] = {tm_alloc(1),    tm_calloc(1, 1),   tm_alloc_aligned(64, 1),
                      tm_strdup("a"), tm_memdup("a", 1), tm_realloc(NULL, 4)};
        for (uint64_t i = 0; i < 6; i++) {
            ck_assert_int_eq(p[i] == NULL, i + 1 == n);
            tm_free(p[i]);
        }
        ck_assert(tm_mem_failed());
    }
    tm_mem_fail_at(2);
    char *kept = tm_strdup("kept");
    ck_assert_ptr_null(tm_realloc(kept, 1000));
    ck_assert_str_eq(kept, "kept");
    tm_free(kept);
    tm_mem_fail_at(1);
    tm_mem_fail_at(0);
    void *p = tm_alloc(1);
    ck_assert_ptr_nonnull(p);
    ck_assert(!tm_mem_failed());
    tm_free(p);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

static void *churn(void *seed)
{
    void *held[16] = {NULL};
    for (size_t i = 0; i < 20000; i++) {
        size_t slot = (i * 7 + (size_t)(uintptr_t)seed) % 16;
        tm_free(held[slot]);
        held[slot] = i % 3 == 0 ? tm_alloc_aligned(64, i % 500) : tm_alloc(i % 500);
    }
    for (size_t i = 0; i < 16; i++) {
        tm_free(held[i]);
    }
    return NULL;
}

START_TEST(many_threads)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
    ck_assert_uint_eq(tm_mem_live_bytes(), 0);
    ck_assert_uint_gt(tm_mem_peak_bytes(), 0);
    ck_assert_uint_le(tm_mem_peak_bytes(), 4 * 16 * 500);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("mem");
    TCase *tc = tcase_create("mem");
    tcase_add_test(tc, counts);
    tcase_add_test(tc, alignment);
    tcase_add_test(tc, zeroed_and_overflow);
    tcase_add_test(tc, copies);
    tcase_add_test(tc, fails_once_at_n);
    tcase_add_test(tc, many_threads);
    suite_add_tcase(suite, tc);
    return suite;
}
