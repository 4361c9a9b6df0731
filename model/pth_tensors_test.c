/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth_parts.h"

#include "tests/support/pth_open.h"
#include "tests/support/suite.h"

/* One tensor "w" over storages of 24 bytes. */
static const struct {
    struct pk_tensor tensor;
    tm_status status;
    const char *word;
} rows[] = {
    {{"FloatStorage", "0", 6, 0, 2, {2, 3}, {3, 1}}, TM_OK, ""},
    {{"FloatStorage", "0", 6, 5, 0, {0}, {0}}, TM_OK, ""},
    {{"FloatStorage", "0", 6, 6, 1, {0}, {1}}, TM_OK, ""}, /* no elements: anywhere */
    {{"FloatStorage", "0", 6, 2, 2, {100, 2}, {0, 1}}, TM_OK, ""},
    {{"DoubleStorage", "0", 3, 0, 1, {3}, {1}}, TM_OK, ""},
    {{"BoolStorage", "0", 24, 0, 1, {24}, {1}}, TM_OK, ""},
    {{"FloatStorage", "0", 6, 1, 2, {2, 3}, {3, 1}}, TM_E_MALFORMED, "strides lead out"},
    {{"FloatStorage", "0", 6, 0, 2, {2, 3}, {4, 1}}, TM_E_MALFORMED, "strides lead out"},
    {{"FloatStorage", "0", 6, UINT64_MAX, 1, {1}, {1}}, TM_E_MALFORMED, "wrong arguments"},
    {{"FloatStorage", "0", 6, 0, 1, {2}, {INT64_MAX}}, TM_E_MALFORMED, "strides lead out"},
    {{"FloatStorage", "0", 7, 0, 1, {6}, {1}}, TM_E_MALFORMED, "shorter than promised"},
    {{"DoubleStorage", "0", 6, 0, 1, {1}, {1}}, TM_E_MALFORMED, "shorter than promised"},
    {{"FloatStorage", "1", 6, 0, 1, {6}, {1}}, TM_E_MALFORMED, "not in the file"},
    {{"float32", "0", 6, 0, 1, {6}, {1}}, TM_E_MALFORMED, "no type of numbers"},
    {{"UntypedStorage", "0", 24, 0, 1, {6}, {1}}, TM_E_MALFORMED, "bytes without a type"},
    {{"ComplexFloatStorage", "0", 3, 0, 1, {3}, {1}},
     TM_E_INCOMPATIBLE,
     "cannot read type torch.ComplexFloatStorage"},
    {{"FloatStorage", "0", 6, 0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1}},
     TM_E_INCOMPATIBLE,
     "more than 8 dimensions"},
    {{"FloatStorage", "0", 6, 0, 2, {UINT64_C(1) << 40, 2}, {0, 1}},
     TM_E_MALFORMED,
     "beyond measure"},
};

START_TEST(views_are_checked_against_their_storage)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_buf p;
        struct tm_err err;
        pk_begin(&p);
        pk_op(&p, "}");
        pk_str(&p, "w");
        pk_put_tensor(&p, &rows[i].tensor);
        pk_op(&p, "s.");
        struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
        ck_assert_msg(err.status == rows[i].status, "case %zu: %s", i, err.why);
        if (c == NULL) {
            ck_assert_msg(strstr(err.why, rows[i].word) != NULL, "case %zu: %s", i, err.why);
            ck_assert_msg(strstr(err.where, "'w'") != NULL, "case %zu: %s", i, err.where);
        }
        tm_checkpoint_close(&c);
        tm_buf_deinit(&p);
    }
}
END_TEST

/* Wraps the tensor of put_item as torch does: Parameter, and a class of its own. */
START_TEST(wrapped_tensors)
{
    static const uint64_t sizes[] = {6}, strides[] = {1};
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "}(");
    pk_str(&p, "parameter");
    pk_global(&p, "torch._utils", "_rebuild_parameter");
    pk_op(&p, "(");
    pk_put_tensor(&p, &(struct pk_tensor){"FloatStorage", "0", 6, 0, 1, {6}, {1}});
    pk_op(&p, "\x88");
    pk_global(&p, "collections", "OrderedDict");
    pk_op(&p, ")RtR");
    pk_str(&p, "typed");
    pk_global(&p, "torch._tensor", "_rebuild_from_type_v2");
    pk_op(&p, "(");
    pk_global(&p, "torch._utils", "_rebuild_tensor_v2");
    pk_global(&p, "torch", "Tensor");
    pk_op(&p, "((");
    pk_str(&p, "storage");
    pk_global(&p, "torch", "FloatStorage");
    pk_str(&p, "0");
    pk_str(&p, "cpu");
    pk_int(&p, 6);
    pk_op(&p, "tQ");
    pk_int(&p, 0);
    pk_tuple(&p, 1, sizes);
    pk_tuple(&p, 1, strides);
    pk_op(&p, "\x89NtNtRu.");
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
    ck_assert_msg(c != NULL, "%s", err.why);
    expect_names(c, "parameter typed");
    ck_assert(element(c, "typed", 5) == 5.0f);
    tm_checkpoint_close(&c);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(tensors_that_cannot_be_read)
{
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "}");
    pk_str(&p, "q");
    pk_global(&p, "torch._utils", "_rebuild_qtensor");
    pk_op(&p, ")Rs.");
    ck_assert_ptr_null(open_pickle(&p, 1, 6, NULL, &err));
    ck_assert_int_eq(err.status, TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.where, "'q'"));
    tm_buf_deinit(&p);
    pk_begin(&p);
    pk_op(&p, "}");
    pk_str(&p, "bad \xff name");
    pk_put_tensor(&p, &rows[0].tensor);
    pk_op(&p, "s.");
    ck_assert_ptr_null(open_pickle(&p, 1, 6, NULL, &err));
    ck_assert_int_eq(err.status, TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "no UTF-8"));
    tm_buf_deinit(&p);
}
END_TEST

/* Each view is below the limit of one, and together they are not. */
START_TEST(many_views_of_one_storage)
{
    struct tm_buf p;
    struct tm_err err;
    for (int count = 4; count <= 7; count += 3) {
        pk_begin(&p);
        pk_op(&p, "](");
        for (int i = 0; i < count; i++) {
            pk_put_tensor(&p, &(struct pk_tensor){
                                  "FloatStorage", "0", 6, 0, 2, {UINT64_C(1) << 20, 4}, {0, 1}});
        }
        pk_op(&p, "e.");
        struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
        ck_assert_msg((c != NULL) == (count == 4), "%s", err.why);
        ck_assert_msg(c != NULL || strstr(err.why, "together repeat") != NULL, "%s", err.why);
        tm_checkpoint_close(&c);
        tm_buf_deinit(&p);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pth_tensors");
    TCase *tc = tcase_create("pth_tensors");
    tcase_add_test(tc, views_are_checked_against_their_storage);
    tcase_add_test(tc, many_views_of_one_storage);
    tcase_add_test(tc, wrapped_tensors);
    tcase_add_test(tc, tensors_that_cannot_be_read);
    suite_add_tcase(suite, tc);
    return suite;
}
