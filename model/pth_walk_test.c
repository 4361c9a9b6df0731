/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth_parts.h"

#include "base/mem.h"
#include "tests/support/pth_open.h"
#include "tests/support/suite.h"

START_TEST(names_are_joined)
{
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "}(");
    put_item(&p, "a");
    pk_str(&p, "b");
    pk_op(&p, "}(");
    put_item(&p, "c.d");
    pk_int(&p, 7);
    pk_op(&p, "](");
    pk_put_tensor(&p, &(struct pk_tensor){"FloatStorage", "0", 6, 0, 1, {6}, {1}});
    pk_op(&p, "NeN\x85"); /* the list's end, then a key that is no text */
    pk_put_tensor(&p, &(struct pk_tensor){"FloatStorage", "0", 6, 0, 1, {6}, {1}});
    pk_op(&p, "uu.");
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
    ck_assert_msg(c != NULL, "%s", err.why);
    expect_names(c, "a b.7.0 b.c.d");
    tm_checkpoint_close(&c);
    tm_buf_deinit(&p);
}
END_TEST

static void refuse(struct tm_buf *p, const char *word)
{
    struct tm_err err;
    ck_assert_ptr_null(open_pickle(p, 1, 6, NULL, &err));
    ck_assert_int_eq(err.status, TM_E_MALFORMED);
    ck_assert_msg(strstr(err.why, word) != NULL, "%s", err.why);
    tm_buf_deinit(p);
}

START_TEST(depth_and_width_are_bounded)
{
    struct tm_buf p;
    pk_begin(&p);
    for (int i = 0; i < 40; i++) {
        pk_op(&p, "}");
        pk_str(&p, "x");
    }
    pk_op(&p, "N");
    for (int i = 0; i < 40; i++) {
        pk_op(&p, "s");
    }
    pk_op(&p, ".");
    refuse(&p, "32 deep");
    /* Every list twice in the next: 2^25 ways down. */
    pk_begin(&p);
    pk_op(&p, "]");
    for (int i = 0; i < 25; i++) {
        pk_op(&p, "2\x86");
    }
    pk_op(&p, ".");
    refuse(&p, "than a checkpoint of this size");
    /* A dictionary that holds itself. */
    pk_begin(&p);
    pk_op(&p, "}q\1");
    pk_str(&p, "x");
    pk_op(&p, "h\1s.");
    refuse(&p, "32 deep");
}
END_TEST

/* Key 'k0', 'k1'... of the dictionary that is open. */
static void put_key(struct tm_buf *p, int i)
{
    char key[16];
    snprintf(key, sizeof key, "k%d", i);
    pk_str(p, key);
}

/* A dictionary of `count` keys whose value is memo 1, left on the stack and in memo 1 itself. */
static void put_repeated(struct tm_buf *p, int count)
{
    pk_op(p, "q\1"
             "0}(");
    for (int i = 0; i < count; i++) {
        put_key(p, i);
        pk_op(p, "h\1");
    }
    pk_op(p, "u");
}

static void put_tensor(struct tm_buf *p)
{
    pk_put_tensor(p, &(struct pk_tensor){"FloatStorage", "0", 6, 0, 1, {6}, {1}});
}

/* A few bytes for each use of one tensor: what would be made of it is bounded. */
START_TEST(shared_values_are_bounded)
{
    struct tm_buf p;
    char *key = tm_alloc(60001);
    ck_assert_ptr_nonnull(key);
    memset(key, 'k', 60000);
    key[60000] = 0;
    size_t before = tm_mem_live_bytes();
    tm_mem_reset_peak();
    /* 90,000 names of 60,000 bytes. */
    pk_begin(&p);
    pk_op(&p, "}");
    pk_str(&p, key);
    put_tensor(&p);
    put_repeated(&p, 300);
    put_repeated(&p, 300);
    pk_op(&p, "s.");
    refuse(&p, "longer names");
    /* 90,000 tensors. */
    pk_begin(&p);
    put_tensor(&p);
    put_repeated(&p, 300);
    put_repeated(&p, 300);
    pk_op(&p, ".");
    refuse(&p, "more tensors than a checkpoint of this size");
    /* The 90,000 are only counted, under each of 1,000 keys beside the model. */
    pk_begin(&p);
    put_tensor(&p);
    put_repeated(&p, 300);
    put_repeated(&p, 300);
    put_repeated(&p, 1000);
    pk_str(&p, "model");
    pk_op(&p, "}");
    put_item(&p, "w");
    pk_op(&p, "ss.");
    refuse(&p, "more values");
    ck_assert_uint_lt(tm_mem_peak_bytes() - before, 64u << 20);
    tm_free(key);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pth_walk");
    TCase *tc = tcase_create("pth_walk");
    tcase_add_test(tc, names_are_joined);
    tcase_add_test(tc, shared_values_are_bounded);
    tcase_add_test(tc, depth_and_width_are_bounded);
    suite_add_tcase(suite, tc);
    return suite;
}
