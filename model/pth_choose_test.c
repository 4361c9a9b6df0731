/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth_parts.h"

#include "tests/support/pth_open.h"
#include "tests/support/suite.h"

/* {key: {"w": tensor}} for a dictionary that is open. */
static void put_dict(struct tm_buf *p, const char *key)
{
    pk_str(p, key);
    pk_op(p, "}(");
    put_item(p, "w");
    pk_op(p, "u");
}

static void training(struct tm_buf *p)
{
    pk_begin(p);
    pk_op(p, "}(");
    put_dict(p, "optimizer_state_dict");
    put_dict(p, "ema");
    put_dict(p, "model_state_dict");
    pk_str(p, "epoch");
    pk_int(p, 3);
    pk_str(p, "best_loss"); /* a tensor, but no weight */
    pk_put_tensor(p, &(struct pk_tensor){"FloatStorage", "0", 6, 0, 0, {0}, {0}});
    pk_op(p, "u.");
}

START_TEST(the_model_of_a_training_is_found)
{
    struct tm_buf p;
    struct tm_err err;
    training(&p);
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
    ck_assert_ptr_nonnull(c);
    expect_names(c, "w");
    const struct tm_inventory *inventory = tm_checkpoint_inventory(c);
    ck_assert_uint_eq(inventory->warning_count, 2);
    ck_assert_ptr_nonnull(
        strstr(inventory->warnings[0],
               "optimizer_state_dict: 1 tensors left out (state of the training)"));
    ck_assert_ptr_nonnull(strstr(inventory->warnings[1], "--tensors-under ema"));
    tm_checkpoint_close(&c);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(another_can_be_chosen)
{
    struct tm_buf p;
    struct tm_err err;
    training(&p);
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, "optimizer_state_dict", &err);
    ck_assert_ptr_nonnull(c);
    expect_names(c, "w");
    ck_assert_uint_eq(tm_checkpoint_inventory(c)->warning_count, 0);
    tm_checkpoint_close(&c);
    ck_assert_ptr_null(open_pickle(&p, 1, 6, "model_state_dict.x", &err));
    ck_assert_int_eq(err.status, TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.why, "no 'x' in it; the keys there are 'w'"));
    ck_assert_ptr_null(open_pickle(&p, 1, 6, "model", &err));
    ck_assert_ptr_nonnull(strstr(err.why, "'optimizer_state_dict', 'ema', 'model_state_dict'"));
    ck_assert_ptr_null(open_pickle(&p, 1, 6, "epoch", &err));
    ck_assert_int_eq(err.status, TM_E_MALFORMED);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(keys_may_have_dots)
{
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "}(");
    put_dict(&p, "a.b");
    put_dict(&p, "a");
    pk_op(&p, "u.");
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, "a.b", &err);
    ck_assert_ptr_nonnull(c);
    expect_names(c, "w");
    tm_checkpoint_close(&c);
    c = open_pickle(&p, 1, 6, "a.b.w", &err);
    ck_assert_ptr_nonnull(c);
    expect_names(c, "tensor");
    tm_checkpoint_close(&c);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(tensors_beside_a_training)
{
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "}(");
    put_item(&p, "optim.embedding"); /* a tensor is no state, whatever it is called */
    put_dict(&p, "optimizer");
    put_dict(&p, "layer");
    pk_op(&p, "u.");
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
    ck_assert_ptr_nonnull(c);
    expect_names(c, "layer.w optim.embedding");
    ck_assert_uint_eq(tm_checkpoint_inventory(c)->warning_count, 1);
    tm_checkpoint_close(&c);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(nothing_in_it)
{
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "}.");
    ck_assert_ptr_null(open_pickle(&p, 0, 0, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.why, "no tensor in it"));
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(other_formats_have_no_keys)
{
    struct tm_buf file;
    struct tm_err err;
    st_file(&file, "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    ck_assert_ptr_null(open_bytes(&file, "model", &err));
    ck_assert_int_eq(err.status, TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.hint, "--tensors-under"));
    tm_buf_deinit(&file);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pth_choose");
    TCase *tc = tcase_create("pth_choose");
    tcase_add_test(tc, the_model_of_a_training_is_found);
    tcase_add_test(tc, another_can_be_chosen);
    tcase_add_test(tc, keys_may_have_dots);
    tcase_add_test(tc, tensors_beside_a_training);
    tcase_add_test(tc, nothing_in_it);
    tcase_add_test(tc, other_formats_have_no_keys);
    suite_add_tcase(suite, tc);
    return suite;
}
