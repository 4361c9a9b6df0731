/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/decode.h"

#include <math.h>
#include <string.h>

#include "model/convert.h"
#include "tests/support/made_package.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"

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

/* ---- packages of chosen tensors ---- */

static struct tensor_package tp;
static char path[96];
static float x[64 * 64];

/* Values with four bits behind the point: exact in every type. */
static void setup_tensors(void)
{
    memset(&err, 0, sizeof err);
    snprintf(path, sizeof path, "/tmp/tm-decode-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(path + strlen(path), 16, "/p.tmpk");
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
        x[i] = (float)((int)(i * 7 % 31) - 15) / 16;
    }
    tp_begin(&tp);
}

static void teardown_tensors(void)
{
    tm_decoder_destroy(&decoder);
    tm_package_close(&package);
    tp_end(&tp);
    *strrchr(path, '/') = '\0';
    ck_assert_int_eq(tm_dir_remove_tree(path, &err), TM_OK);
}

static tm_status open_tensors(void)
{
    tp_write(&tp, path);
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    return tm_decoder_new(package, &decoder, &err);
}

static void values_of(uint32_t tensor, struct tm_buf *out, size_t count)
{
    char line[1600];
    tm_buf_init(out, 1 << 24);
    tm_status status = tm_decoder_tensor(decoder, tensor, TM_F32, collect, out, &err);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&err, line, sizeof line));
    ck_assert_uint_eq(out->bytes, count * sizeof(float));
}

/* Rows that are no whole groups, and a last chunk that is shorter than the others. */
START_TEST(odd_rows_come_as_floats)
{
    struct tm_buf out;
    tp_weights(&tp, "odd", "int.1(bits=8,group=32) > rans.1", 7, 40, 3, x);
    tp_weights(&tp, "odd4", "int.1(bits=4,group=32)", 5, 64, 2, x);
    tp_weights(&tp, "odd3", "ternary.1(group=128) > rans.1", 3, 33, 2, x);
    ck_assert_int_eq(open_tensors(), TM_OK);
    ck_assert_int_eq(tm_decoder_keep_dtype(decoder, 0), TM_F32);
    ck_assert_int_eq(tm_decoder_keep_dtype(decoder, 1), TM_Q4_0);
    ck_assert_int_eq(tm_decoder_keep_dtype(decoder, 2), TM_F16);
    values_of(0, &out, 7 * 40);
    for (size_t i = 0; i < 7 * 40; i++) {
        float y = tm_f32_from_bits(tm_get_u32(out.data + 4 * i));
        ck_assert_float_le_tol(y > x[i] ? y - x[i] : x[i] - y, 15.0f / 16 * 1.05f / 127, 1e-6f);
    }
    tm_buf_deinit(&out);
    values_of(1, &out, 5 * 64);
    tm_buf_deinit(&out);
    values_of(2, &out, 3 * 33);
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_decoder_tensor(decoder, 0, TM_Q8_0, collect, &out, &err),
                     TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.where, "'odd'"));
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(tensors_without_elements)
{
    struct tm_buf out;
    tp_kept(&tp, "none", TM_F32, (struct tm_shape){.rank = 2, .dim = {0, 4}}, 8, x);
    tp_kept(&tp, "scalar", TM_F32, (struct tm_shape){.rank = 0}, 8, x);
    ck_assert_int_eq(open_tensors(), TM_OK);
    values_of(0, &out, 0);
    tm_buf_deinit(&out);
    values_of(1, &out, 1);
    ck_assert_uint_eq(tm_get_u32(out.data), tm_f32_bits(x[0]));
    tm_buf_deinit(&out);
}
END_TEST

/* Q4_1 of two values a block: m = -1, d = 0.25, codes 3 and 9 give -0.25 and 1.25. */
START_TEST(blocks_cut_in_the_middle)
{
    enum { BLOCKS = 8 };
    uint8_t q[BLOCKS * 20];
    struct tm_buf out;
    for (size_t b = 0; b < BLOCKS; b++) {
        tm_set_u16(q + b * 20, tm_f32_to_f16(0.25f));
        tm_set_u16(q + b * 20 + 2, tm_f32_to_f16(-1.0f));
        memset(q + b * 20 + 4, 0x93, 16);
    }
    /* Chunks of 33 bytes end within a block, and some hold no whole block's end. */
    tp_kept(&tp, "q", TM_Q4_1, (struct tm_shape){.rank = 2, .dim = {2, 128}}, 33, q);
    tp_kept(&tp, "small", TM_Q4_1, (struct tm_shape){.rank = 1, .dim = {64}}, 7, q);
    ck_assert_int_eq(open_tensors(), TM_OK);
    for (uint32_t t = 0; t < 2; t++) {
        size_t count = t == 0 ? 256 : 64;
        values_of(t, &out, count);
        for (size_t i = 0; i < count; i++) {
            float y = tm_f32_from_bits(tm_get_u32(out.data + 4 * i));
            ck_assert_float_eq(y, i % 32 < 16 ? -0.25f : 1.25f);
        }
        tm_buf_clear(&out);
        ck_assert_int_eq(tm_decoder_tensor(decoder, t, TM_Q4_1, collect, &out, &err), TM_OK);
        ck_assert_mem_eq(out.data, q, count / 32 * 20);
        tm_buf_deinit(&out);
    }
}
END_TEST

START_TEST(integers_leave_as_they_are_only)
{
    struct tm_buf out;
    tp_kept(&tp, "ids", TM_I32, (struct tm_shape){.rank = 1, .dim = {16}}, 24, x);
    ck_assert_int_eq(open_tensors(), TM_OK);
    tm_buf_init(&out, 1 << 20);
    ck_assert_int_eq(tm_decoder_tensor(decoder, 0, TM_I32, collect, &out, &err), TM_OK);
    ck_assert_uint_eq(out.bytes, 64);
    ck_assert_mem_eq(out.data, x, 64);
    ck_assert_int_eq(tm_decoder_tensor(decoder, 0, TM_F32, collect, &out, &err), TM_E_INCOMPATIBLE);
    tm_buf_deinit(&out);
}
END_TEST

/* 65519 is rounded to 65504, 65520 would be infinity; infinity itself is one in float16 too. */
START_TEST(what_f16_cannot_hold_is_refused)
{
    static const float good[4] = {65519.0f, -65519.0f, 1.0f, INFINITY}, bad[2] = {1.0f, -65520.0f};
    struct tm_buf out;
    tp_kept(&tp, "good", TM_F32, (struct tm_shape){.rank = 1, .dim = {4}}, 64, good);
    tp_kept(&tp, "bad", TM_F32, (struct tm_shape){.rank = 1, .dim = {2}}, 64, bad);
    ck_assert_int_eq(open_tensors(), TM_OK);
    tm_buf_init(&out, 1 << 20);
    ck_assert_int_eq(tm_decoder_tensor(decoder, 0, TM_F16, collect, &out, &err), TM_OK);
    ck_assert_uint_eq(tm_get_u16(out.data), 0x7bff);
    ck_assert_int_eq(tm_decoder_tensor(decoder, 1, TM_F16, collect, &out, &err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.where, "'bad' chunk 1"));
    ck_assert_ptr_nonnull(strstr(err.why, "-65520"));
    ck_assert_int_eq(tm_decoder_tensor(decoder, 1, TM_BF16, collect, &out, &err), TM_OK);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(attachments_come_whole_and_checked)
{
    struct tm_buf out;
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {4}}, 64, x);
    tp_attach(&tp, "config.json", tm_view_str("{\"model_type\": \"llama\"}"), 10);
    tp_attach(&tp, "empty.txt", tm_view_str(""), 10);
    tp_attach(&tp, "bad.txt", tm_view_str("abc"), 10)->source = tm_digest_of(tm_view_str("abd"));
    ck_assert_int_eq(open_tensors(), TM_OK);
    tm_buf_init(&out, 1 << 20);
    ck_assert_int_eq(tm_buf_put_str(&out, "> "), TM_OK);
    ck_assert_int_eq(tm_decoder_attachment(decoder, 0, &out, &err), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "> {\"model_type\": \"llama\"}"));
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_decoder_attachment(decoder, 1, &out, &err), TM_OK);
    ck_assert_uint_eq(out.bytes, 0);
    ck_assert_int_eq(tm_decoder_attachment(decoder, 2, &out, &err), TM_E_VERIFY);
    ck_assert_str_eq(err.where, "bad.txt");
    tm_buf_deinit(&out);
}
END_TEST

/* ---- tables that are signed and wrong ---- */

static void refused(tm_status status, const char *word)
{
    char line[1600];
    ck_assert_int_eq(open_tensors(), status);
    tm_err_line(&err, line, sizeof line);
    ck_assert_msg(strstr(line, word) != NULL, "%s", line);
    ck_assert_ptr_null(decoder);
}

START_TEST(a_dtype_of_the_future_is_incompatible)
{
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {4}}, 64, x)->dtype = 77;
    refused(TM_E_INCOMPATIBLE, "tensor 't': cannot decode the package: this build does not know");
}
END_TEST

START_TEST(a_size_that_does_not_fit_the_shape)
{
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {8}}, 64, x)->dtype = TM_F16;
    refused(TM_E_MALFORMED, "dtype, shape and size");
}
END_TEST

/* 16 values in 64 bytes: chunks of 64 weights would suit the package reader. */
START_TEST(chunks_that_add_up_to_the_wrong_thing)
{
    struct tm_pkg_tensor *t = tp_weights(&tp, "t", "int.1(bits=8,group=32)", 2, 32, 2, x);
    t->dim[0] = 1;
    t->dim[1] = 16;
    t->source_bytes = 64;
    refused(TM_E_MALFORMED, "do not add up");
}
END_TEST

START_TEST(bytes_in_rows)
{
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {16}}, 64, x);
    tp.meta.chunks[0].rows = 2;
    tp.meta.chunks[0].cols = 32;
    refused(TM_E_MALFORMED, "do not add up");
}
END_TEST

START_TEST(integers_through_a_quantizer)
{
    tp_weights(&tp, "t", "int.1(bits=8,group=32)", 2, 32, 2, x)->dtype = TM_I32;
    refused(TM_E_MALFORMED, "integers");
}
END_TEST

START_TEST(a_block_beyond_the_limit)
{
    struct tm_pkg_tensor *t = tp_weights(&tp, "t", "int.1(bits=8,group=32)", 2, 32, 2, x);
    t->dim[0] = tp.meta.chunks[0].rows = 1u << 20;
    t->source_bytes = ((uint64_t)1 << 25) * 4;
    refused(TM_E_MALFORMED, "do not add up");
}
END_TEST

START_TEST(an_attachment_through_a_quantizer)
{
    struct tm_pkg_attachment *a;
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {4}}, 64, x);
    a = tp_attach(&tp, "config.json", tm_view_str("{}"), 10);
    tm_free(tp.meta.pipelines[a->pipeline]);
    tp.meta.pipelines[a->pipeline] = tm_strdup("int.1(bits=8,group=32)");
    refused(TM_E_MALFORMED, "config.json");
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    bool failed = true;
    tp_weights(&tp, "w", "int.1(bits=8,group=32) > rans.1", 4, 64, 2, x);
    tp_kept(&tp, "k", TM_F16, (struct tm_shape){.rank = 1, .dim = {64}}, 50, x);
    ck_assert_int_eq(open_tensors(), TM_OK);
    tm_decoder_destroy(&decoder);
    struct tm_buf out;
    tm_buf_init(&out, 1 << 20);
    ck_assert_int_eq(tm_buf_reserve(&out, 1 << 16), TM_OK);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1; failed; n++) {
        tm_buf_clear(&out);
        tm_mem_fail_at(n);
        tm_status status = tm_decoder_new(package, &decoder, &err);
        for (uint32_t t = 0; t < 2 && status == TM_OK; t++) {
            status = tm_decoder_tensor(decoder, t, TM_F32, collect, &out, &err);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_decoder_destroy(&decoder);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    tm_buf_deinit(&out);
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
    tc = tcase_create("tensors");
    tcase_add_checked_fixture(tc, setup_tensors, teardown_tensors);
    tcase_add_test(tc, odd_rows_come_as_floats);
    tcase_add_test(tc, tensors_without_elements);
    tcase_add_test(tc, blocks_cut_in_the_middle);
    tcase_add_test(tc, integers_leave_as_they_are_only);
    tcase_add_test(tc, what_f16_cannot_hold_is_refused);
    tcase_add_test(tc, attachments_come_whole_and_checked);
    tcase_add_test(tc, a_dtype_of_the_future_is_incompatible);
    tcase_add_test(tc, a_size_that_does_not_fit_the_shape);
    tcase_add_test(tc, chunks_that_add_up_to_the_wrong_thing);
    tcase_add_test(tc, bytes_in_rows);
    tcase_add_test(tc, integers_through_a_quantizer);
    tcase_add_test(tc, a_block_beyond_the_limit);
    tcase_add_test(tc, an_attachment_through_a_quantizer);
    tcase_add_test(tc, memory_may_run_out_anywhere);
    suite_add_tcase(suite, tc);
    return suite;
}
