/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/decode.h"

#include <string.h>

#include "tests/support/made_package.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static struct small_job s;
static struct tm_err err;
static struct tm_package *package;
static struct tm_decoder *decoder;

static void open_package(const char *recipe)
{
    memset(&err, 0, sizeof err);
    made_package_with(&s, recipe);
    ck_assert_int_eq(tm_package_open(s.out, &package, &err), TM_OK);
    ck_assert_int_eq(tm_decoder_new(package, &decoder, &err), TM_OK);
}

static void teardown(void)
{
    tm_decoder_destroy(&decoder);
    tm_package_close(&package);
    small_job_close(&s);
}

static tm_status collect(void *context, const void *data, size_t bytes, struct tm_err *e)
{
    (void)e;
    return tm_buf_put(context, data, bytes);
}

static tm_status refuse(void *context, const void *data, size_t bytes, struct tm_err *e)
{
    (void)context;
    (void)data;
    (void)bytes;
    return tm_err_set(e, TM_E_IO, "sink", "full", NULL, "no room");
}

static uint32_t named(const char *name)
{
    uint32_t i = tm_package_find(package, name, strlen(name));
    ck_assert_uint_lt(i, tm_package_meta(package)->tensor_count);
    return i;
}

START_TEST(what_a_tensor_can_leave_as)
{
    open_package("int8");
    ck_assert(tm_decoder_is_lossless(decoder, named("norm")));
    ck_assert_int_eq(tm_decoder_keep_dtype(decoder, named("norm")), TM_F32);
    ck_assert(!tm_decoder_is_lossless(decoder, named("layers.0.weight")));
    ck_assert_int_eq(tm_decoder_keep_dtype(decoder, named("layers.0.weight")), TM_Q8_0);
    struct tm_shape shape = tm_decoder_shape(decoder, named("layers.0.weight"));
    ck_assert_uint_eq(shape.rank, 2);
    ck_assert_uint_eq(shape.dim[1], SMALL_JOB_COLS);
}
END_TEST

START_TEST(a_tensor_comes_whole)
{
    struct tm_buf out;
    open_package("ternary");
    tm_buf_init(&out, 1 << 24);
    ck_assert_int_eq(
        tm_decoder_tensor(decoder, named("layers.2.weight"), TM_F32, collect, &out, &err), TM_OK);
    ck_assert_uint_eq(out.bytes, SMALL_JOB_ROWS * SMALL_JOB_COLS * 4);
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_decoder_tensor(decoder, named("norm"), TM_F32, collect, &out, &err), TM_OK);
    ck_assert_uint_eq(out.bytes, 400);
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_decoder_tensor(decoder, named("norm"), TM_BF16, collect, &out, &err),
                     TM_OK);
    ck_assert_uint_eq(out.bytes, 200);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(a_failing_sink_ends_it_and_is_told)
{
    open_package("int4");
    ck_assert_int_eq(
        tm_decoder_tensor(decoder, named("layers.1.weight"), TM_F32, refuse, NULL, &err), TM_E_IO);
    ck_assert_ptr_nonnull(strstr(err.where, "tensor 'layers.1.weight' chunk"));
}
END_TEST

START_TEST(a_pipeline_of_the_future_is_incompatible)
{
    struct tm_package *p = NULL;
    struct tm_decoder *d = NULL;
    struct sample sample;
    char path[128];
    open_package("int8");
    sample_make(&sample, (const uint8_t[]){1, 2, 3, 4, 5});
    tm_free(sample.meta.pipelines[0]);
    sample.meta.pipelines[0] = tm_strdup("int.9(bits=4,group=32) > rans.1");
    snprintf(path, sizeof path, "%s/future.tmpk", s.dir);
    ck_assert_int_eq(sample_write(&sample, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    ck_assert_int_eq(tm_decoder_new(p, &d, &err), TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.where, "int.9"));
    ck_assert_ptr_nonnull(strstr(err.hint, "newer"));
    tm_package_close(&p);
    sample_free(&sample);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("decode");
    TCase *tc = tcase_create("decode");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, what_a_tensor_can_leave_as);
    tcase_add_test(tc, a_tensor_comes_whole);
    tcase_add_test(tc, a_failing_sink_ends_it_and_is_told);
    tcase_add_test(tc, a_pipeline_of_the_future_is_incompatible);
    suite_add_tcase(suite, tc);
    return suite;
}
