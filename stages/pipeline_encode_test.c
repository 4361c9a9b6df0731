/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/pipeline_encode.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "model/convert.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

static struct tm_pipeline parse(const char *text)
{
    struct tm_pipeline p;
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str(text), &p, NULL), TM_OK);
    return p;
}

static const char *const float_pipelines[] = {"int > rans",     "int",
                                              "int(bits=4)",    "int(bits=4) > rans",
                                              "ternary > rans", "ternary(group=32)"};

static struct tm_buf encode(const struct tm_pipeline *p, struct tm_block_shape shape,
                            const float *x)
{
    struct tm_buf out;
    tm_buf_init(&out, tm_pipeline_bound(p, shape));
    ck_assert_int_eq(tm_pipeline_encode(p, shape, x, &out, NULL), TM_OK);
    return out;
}

/* Every pipeline, ragged shapes, every kernel: canonical, within the bound, the same bytes, and
 * symbols that encode to these bytes again. */
START_TEST(round_trip)
{
    static const struct tm_block_shape shapes[] = {{1, 1},   {3, 33},   {5, 31},
                                                   {64, 96}, {2, 5000}, {0, 0}};
    struct tm_pipeline p = parse(float_pipelines[_i]);
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        size_t count = (size_t)shapes[k].rows * shapes[k].cols;
        float *x = normal_values(k, count, 0.02f), *y = tm_realloc_array(NULL, count, sizeof *y);
        struct tm_buf first = encode(&p, shapes[k], x);
        FOR_EACH_KERNEL(kernel)
        {
            struct tm_buf out = encode(&p, shapes[k], x), again;
            ck_assert(tm_view_eq(tm_buf_view(&out), tm_buf_view(&first)));
            struct tm_symbols symbols;
            tm_symbols_init(&symbols);
            ck_assert_int_eq(tm_pipeline_decode_symbols(&p, shapes[k], tm_buf_view(&out),
                                                        TM_DECODE_CANONICAL, &symbols, NULL),
                             TM_OK);
            tm_buf_init(&again, 1 << 20);
            ck_assert_int_eq(tm_pipeline_encode_symbols(&p, &symbols, &again), TM_OK);
            ck_assert(tm_view_eq(tm_buf_view(&out), tm_buf_view(&again)));
            ck_assert_int_eq(
                tm_pipeline_decode(&p, shapes[k], tm_buf_view(&out), TM_DECODE_CANONICAL, y, NULL),
                TM_OK);
            struct tm_block_error error;
            tm_block_measure(x, y, count, &error);
            ck_assert(error.squared_error <= error.squared_norm * (_i < 2 ? 1e-4 : 0.5));
            tm_symbols_deinit(&symbols);
            tm_buf_deinit(&again);
            tm_buf_deinit(&out);
        }
        tm_buf_deinit(&first);
        tm_free(x);
        tm_free(y);
    }
}
END_TEST

/* 0.0, -0.0 and whole zero rows decode to +0 in every pipeline. */
START_TEST(zeros_stay_plus_zero)
{
    struct tm_pipeline p = parse(float_pipelines[_i]);
    struct tm_block_shape shape = {3, 100};
    float *x = normal_values(1, 300, 1.0f), y[300];
    for (size_t i = 90; i < 230; i++) {
        x[i] = i % 3 == 0 ? 0.0f : -0.0f;
    }
    struct tm_buf out = encode(&p, shape, x);
    FOR_EACH_KERNEL(kernel)
    {
        ck_assert_int_eq(
            tm_pipeline_decode(&p, shape, tm_buf_view(&out), TM_DECODE_CANONICAL, y, NULL), TM_OK);
        for (size_t i = 0; i < 300; i++) {
            ck_assert(x[i] != 0.0f || tm_f32_bits(y[i]) == 0);
            ck_assert(isfinite(y[i]));
        }
    }
    tm_buf_deinit(&out);
    tm_free(x);
}
END_TEST

START_TEST(gguf_blocks)
{
    struct tm_block_shape shape = {6, 128};
    float *x = normal_values(3, 768, 0.05f);
    for (int bits = 4; bits <= 8; bits += 4) {
        struct tm_pipeline p = parse(bits == 4 ? "int(bits=4) > rans" : "int > rans");
        enum tm_dtype dtype = bits == 4 ? TM_Q4_0 : TM_Q8_0;
        uint8_t ours[768 / 32 * 34], theirs[sizeof ours];
        size_t bytes = 768 / 32 * tm_dtype_block_bytes(dtype);
        struct tm_buf out = encode(&p, shape, x);
        ck_assert_int_eq(tm_pipeline_decode_gguf(&p, shape, tm_buf_view(&out), dtype, ours, NULL),
                         TM_OK);
        ck_assert_int_eq(tm_convert_from_f32(dtype, x, 768, theirs), TM_OK);
        ck_assert_mem_eq(ours, theirs, bytes);
        tm_buf_deinit(&out);
    }
    tm_free(x);
}
END_TEST

START_TEST(lossless_round_trip)
{
    static const char *const texts[] = {"raw", "zstd", "zstd(level=1)"};
    uint8_t *source = skewed_symbols(1, 256, 3, 70000), *back = tm_alloc(70000);
    for (size_t i = 0; i < 3; i++) {
        struct tm_pipeline p = parse(texts[i]);
        struct tm_buf out;
        tm_buf_init(&out, tm_pipeline_bound(&p, (struct tm_block_shape){1, 70000}));
        ck_assert_int_eq(tm_pipeline_encode_bytes(&p, tm_view_of(source, 70000), &out, NULL),
                         TM_OK);
        ck_assert_int_eq(tm_pipeline_decode_bytes(&p, 70000, tm_buf_view(&out), back, NULL), TM_OK);
        ck_assert_mem_eq(source, back, 70000);
        ck_assert_int_eq(tm_pipeline_fits(&p, (struct tm_block_shape){1, 70000}, NULL), TM_FITS);
        tm_buf_deinit(&out);
    }
    tm_free(source);
    tm_free(back);
}
END_TEST

START_TEST(refusals)
{
    struct tm_pipeline p = parse(float_pipelines[_i]);
    struct tm_block_shape shape = {2, 40};
    float *x = normal_values(1, 80, 1.0f);
    struct tm_buf out;
    struct tm_err err;
    tm_buf_init(&out, 1000);
    ck_assert_int_eq(tm_buf_put(&out, "xyz", 3), TM_OK);
    ck_assert_int_eq(tm_pipeline_fits(&p, shape, x), TM_FITS);
    x[45] = NAN;
    ck_assert_int_eq(tm_pipeline_fits(&p, shape, x), TM_UNFIT_NAN);
    ck_assert_int_eq(tm_pipeline_encode(&p, shape, x, &out, &err), TM_E_REFUSED);
    ck_assert_str_eq(err.where, "row 1, column 5 of the block");
    x[45] = 1e30f;
    ck_assert_int_eq(tm_pipeline_fits(&p, shape, x), TM_UNFIT_SCALE_RANGE);
    ck_assert_int_eq(tm_pipeline_encode(&p, shape, x, &out, &err), TM_E_REFUSED);
    ck_assert_uint_eq(out.bytes, 3);
    shape = (struct tm_block_shape){1u << 16, 1u << 16};
    ck_assert_int_eq(tm_pipeline_encode(&p, shape, x, &out, &err), TM_E_LIMIT);
    tm_buf_deinit(&out);
    tm_free(x);
}
END_TEST

/* Each allocation of encode and decode fails once: a status, no leak, out as before. */
START_TEST(failed_allocations)
{
    struct tm_pipeline p = parse(float_pipelines[_i]);
    struct tm_block_shape shape = {4, 700};
    float *x = normal_values(1, 2800, 1.0f), *y = normal_values(1, 2800, 1.0f);
    struct tm_buf whole = encode(&p, shape, x);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_buf out;
        tm_buf_init(&out, 1 << 16);
        tm_mem_fail_at(n);
        tm_status status = tm_pipeline_encode(&p, shape, x, &out, NULL);
        if (status == TM_OK) {
            status = tm_pipeline_decode(&p, shape, tm_buf_view(&whole), TM_DECODE_FAST, y, NULL);
        } else {
            ck_assert_uint_eq(out.bytes, 0);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_buf_deinit(&out);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&whole);
    tm_free(x);
    tm_free(y);
}
END_TEST

/* Every cut and every flipped byte of a small block: a status, never a crash, and under CANONICAL
 * only byte strings that the symbols encode to. */
START_TEST(damaged_blocks)
{
    struct tm_pipeline p = parse(float_pipelines[_i]);
    struct tm_block_shape shape = {3, 333};
    float *x = normal_values(1, 999, 1.0f), *y = normal_values(1, 999, 1.0f);
    struct tm_buf out = encode(&p, shape, x);
    for (size_t cut = 0; cut < out.bytes; cut++) {
        struct tm_err err;
        ck_assert_int_eq(
            tm_pipeline_decode(&p, shape, tm_view_of(out.data, cut), TM_DECODE_FAST, y, &err),
            TM_E_MALFORMED);
        ck_assert(err.why[0] != '\0');
    }
    for (size_t i = 0; i < out.bytes; i++) {
        out.data[i] ^= 0x5a;
        struct tm_symbols symbols;
        tm_symbols_init(&symbols);
        tm_status status = tm_pipeline_decode_symbols(&p, shape, tm_buf_view(&out),
                                                      TM_DECODE_CANONICAL, &symbols, NULL);
        if (status == TM_OK) {
            struct tm_buf again;
            tm_buf_init(&again, 1 << 16);
            ck_assert_int_eq(tm_pipeline_encode_symbols(&p, &symbols, &again), TM_OK);
            ck_assert(tm_view_eq(tm_buf_view(&out), tm_buf_view(&again)));
            tm_buf_deinit(&again);
        } else {
            ck_assert_int_eq(status, TM_E_MALFORMED);
        }
        tm_symbols_deinit(&symbols);
        out.data[i] ^= 0x5a;
    }
    tm_buf_deinit(&out);
    tm_free(x);
    tm_free(y);
}
END_TEST

struct job {
    const struct tm_pipeline *pipeline;
    struct tm_block_shape shape;
    const float *x;
    struct tm_view want;
    size_t wrong;
};

static void *encode_repeatedly(void *context)
{
    struct job *job = context;
    for (int i = 0; i < 20; i++) {
        struct tm_buf out;
        tm_buf_init(&out, tm_pipeline_bound(job->pipeline, job->shape));
        tm_status status = tm_pipeline_encode(job->pipeline, job->shape, job->x, &out, NULL);
        job->wrong += status != TM_OK || !tm_view_eq(tm_buf_view(&out), job->want);
        tm_buf_deinit(&out);
    }
    return NULL;
}

/* Eight threads at once give what one gives. */
START_TEST(threads_do_not_matter)
{
    struct tm_pipeline p = parse(float_pipelines[_i]);
    struct tm_block_shape shape = {16, 300};
    float *x = normal_values(8, 4800, 0.1f);
    struct tm_buf want = encode(&p, shape, x);
    pthread_t threads[8];
    struct job jobs[8];
    for (size_t i = 0; i < 8; i++) {
        jobs[i] = (struct job){&p, shape, x, tm_buf_view(&want), 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, encode_repeatedly, &jobs[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(jobs[i].wrong, 0);
    }
    tm_buf_deinit(&want);
    tm_free(x);
}
END_TEST

START_TEST(speed_is_measured)
{
    struct tm_pipeline p = parse("int(bits=4) > rans"), raw = parse("raw");
    ck_assert_uint_gt(tm_pipeline_speed(&p), 100000);
    ck_assert_uint_gt(tm_pipeline_speed(&raw), tm_pipeline_speed(&p));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pipeline_encode");
    TCase *tc = tcase_create("pipeline_encode");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, round_trip, 0, 6);
    tcase_add_loop_test(tc, zeros_stay_plus_zero, 0, 6);
    tcase_add_test(tc, gguf_blocks);
    tcase_add_test(tc, lossless_round_trip);
    tcase_add_loop_test(tc, refusals, 0, 6);
    tcase_add_loop_test(tc, failed_allocations, 0, 6);
    tcase_add_loop_test(tc, damaged_blocks, 0, 6);
    tcase_add_loop_test(tc, threads_do_not_matter, 0, 6);
    tcase_add_test(tc, speed_is_measured);
    suite_add_tcase(suite, tc);
    return suite;
}
