/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth.h"

#include "tests/support/pth_open.h"
#include "tests/support/suite.h"

static void make(struct tm_buf *p)
{
    const struct pk_tensor turned = {"FloatStorage", "0", 6, 0, 2, {3, 2}, {1, 3}};
    pk_begin(p);
    pk_op(p, "}(");
    put_item(p, "w");
    pk_str(p, "turned");
    pk_put_tensor(p, &turned);
    pk_op(p, "u.");
}

START_TEST(tensors_of_one_storage)
{
    struct tm_buf p;
    struct tm_err err;
    struct tm_digest digest;
    make(&p);
    struct tm_checkpoint *c = open_pickle(&p, 1, 6, NULL, &err);
    ck_assert_ptr_nonnull(c);
    expect_names(c, "turned w");
    ck_assert_int_eq(tm_checkpoint_inventory(c)->format, TM_FORMAT_PYTORCH);
    ck_assert(element(c, "w", 4) == 4.0f);
    ck_assert(element(c, "turned", 1) == 3.0f);
    ck_assert(element(c, "turned", 2) == 1.0f);
    ck_assert_int_eq(tm_checkpoint_hash(c, 0, &digest, &err), TM_OK);
    tm_checkpoint_close(&c);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(every_cut_is_refused)
{
    struct tm_buf p;
    struct zip_maker z;
    struct tm_err err;
    make(&p);
    pth_zip(&z, &p, 1, 6);
    for (size_t bytes = 8; bytes < z.file.bytes; bytes++) {
        struct tm_buf cut = z.file;
        cut.bytes = bytes;
        ck_assert_ptr_null(open_bytes(&cut, NULL, &err));
        ck_assert_int_eq(err.status, TM_E_MALFORMED);
    }
    tm_buf_deinit(&z.file);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(memory_runs_out)
{
    struct test_dir dir = test_dir_make();
    struct zip_maker z;
    struct tm_buf p;
    make(&p);
    pth_zip(&z, &p, 1, 6);
    const char *path = test_put_buf(&dir, "m.pth", &z.file);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_checkpoint *c = NULL;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_checkpoint_open(path, &c, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_checkpoint_close(&c);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&z.file);
    tm_buf_deinit(&p);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pth");
    TCase *tc = tcase_create("pth");
    tcase_add_test(tc, tensors_of_one_storage);
    tcase_add_test(tc, every_cut_is_refused);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}
