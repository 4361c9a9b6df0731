/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/check.h"

#include <math.h>

#include "model/convert.h"
#include "tests/support/small_job.h"
#include "tests/support/suite.h"

static struct small_job g_job;
static struct tm_identity *g_node;
static struct tm_err g_err;
static uint32_t g_unit;
static struct tm_buf g_source, g_chunk;

static const struct tm_unit *unit(void)
{
    return &g_job.job->split.units[g_unit];
}

static const struct tm_pipeline *pipeline(void)
{
    return &g_job.job->pipelines[unit()->pipeline];
}

static struct tm_encode_request request(void)
{
    return (struct tm_encode_request){.pipeline = pipeline(),
                                      .dtype = tm_unit_dtype(g_job.job, g_unit),
                                      .shape = {unit()->rows, unit()->cols},
                                      .source = tm_buf_view(&g_source)};
}

static void set_up(void)
{
    small_job_open(&g_job);
    g_node = small_job_identity(5);
    g_unit = small_job_lossy_unit(&g_job);
    tm_buf_init(&g_source, 1u << 20);
    tm_buf_init(&g_chunk, 1u << 20);
    ck_assert_int_eq(tm_unit_source(g_job.job, g_unit, &g_source, &g_err), TM_OK);
    struct tm_encode_request r = request();
    ck_assert_int_eq(tm_encode_unit(&r, &g_chunk, &g_err), TM_OK);
}

static void tear_down(void)
{
    tm_buf_deinit(&g_source);
    tm_buf_deinit(&g_chunk);
    tm_identity_destroy(&g_node);
    small_job_close(&g_job);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

/* What a node that has made these bytes would sign. */
static struct tm_signature sign(struct tm_view chunk)
{
    uint8_t text[TM_PKG_STATEMENT_MAX];
    char name[TM_PIPELINE_TEXT];
    struct tm_digest leaf = tm_merkle_leaf(chunk);
    struct tm_view statement =
        tm_pkg_statement(&g_job.job->plan_digest, g_unit, &g_job.job->unit_source[g_unit], &leaf,
                         tm_pipeline_text(pipeline(), name), text);
    return tm_sign(g_node, TM_SIGN_RESULT, statement);
}

static struct tm_check_result check(struct tm_view chunk, bool audit)
{
    struct tm_check_result result;
    struct tm_signature sig = sign(chunk);
    tm_check_unit(g_job.job, g_unit, chunk, tm_identity_public(g_node), &sig, audit, &result);
    return result;
}

/* A valid encoding of the unit's weights times a factor. */
static void encode_scaled(float factor, struct tm_buf *out)
{
    size_t count = (size_t)unit()->rows * unit()->cols;
    float *values = tm_alloc(count * sizeof *values);
    struct tm_block_shape shape = {unit()->rows, unit()->cols};
    ck_assert_int_eq(tm_convert_to_f32(TM_F32, g_source.data, count, values), TM_OK);
    for (size_t i = 0; i < count; i++) {
        values[i] *= factor;
    }
    tm_buf_init(out, 1u << 20);
    ck_assert_int_eq(tm_pipeline_encode(pipeline(), shape, values, out, &g_err), TM_OK);
    tm_free(values);
}

START_TEST(good_results)
{
    struct tm_check_result result = check(tm_buf_view(&g_chunk), false);
    ck_assert_int_eq(result.verdict, TM_VERDICT_GOOD);
    ck_assert(!result.audited);
    /* 8 bits: the error of rounding to steps of about 3/127, against weights of variance 1. */
    double count = (double)unit()->rows * unit()->cols;
    ck_assert_double_gt(result.error.squared_norm, 0.9 * count);
    ck_assert_double_lt(result.error.squared_norm, 1.1 * count);
    ck_assert_double_gt(result.error.squared_error, 0);
    ck_assert_double_lt(result.error.squared_error, 1e-3 * count);
    result = check(tm_buf_view(&g_chunk), true);
    ck_assert_int_eq(result.verdict, TM_VERDICT_GOOD);
    ck_assert(result.audited);
}
END_TEST

START_TEST(signatures)
{
    struct tm_check_result result;
    struct tm_signature sig = sign(tm_buf_view(&g_chunk));
    struct tm_signature bent = sig;
    bent.b[10] ^= 1;
    tm_check_unit(g_job.job, g_unit, tm_buf_view(&g_chunk), tm_identity_public(g_node), &bent, true,
                  &result);
    ck_assert_int_eq(result.verdict, TM_VERDICT_BAD_SIGNATURE);
    tm_check_unit(g_job.job, g_unit, tm_buf_view(&g_chunk), tm_identity_public(g_job.owner), &sig,
                  true, &result);
    ck_assert_int_eq(result.verdict, TM_VERDICT_BAD_SIGNATURE);
    /* The signature for one unit is none for another. */
    tm_check_unit(g_job.job, g_unit + 1, tm_buf_view(&g_chunk), tm_identity_public(g_node), &sig,
                  true, &result);
    ck_assert_int_eq(result.verdict, TM_VERDICT_BAD_SIGNATURE);
}
END_TEST

START_TEST(malformed)
{
    ck_assert_int_eq(check(tm_view_of(g_chunk.data, g_chunk.bytes - 1), true).verdict,
                     TM_VERDICT_MALFORMED);
    ck_assert_int_eq(check(tm_view_str("x"), true).verdict, TM_VERDICT_MALFORMED);
    struct tm_block_shape shape = {unit()->rows, unit()->cols};
    size_t bytes = tm_pipeline_bound(pipeline(), shape) + 1;
    uint8_t *big = tm_calloc(bytes, 1);
    struct tm_check_result result = check(tm_view_of(big, bytes), true);
    ck_assert_int_eq(result.verdict, TM_VERDICT_MALFORMED);
    ck_assert_ptr_nonnull(strstr(result.detail, "at most"));
    tm_free(big);
}
END_TEST

START_TEST(other_weights)
{
    struct tm_buf chunk;
    encode_scaled(0.0f, &chunk);
    struct tm_check_result result = check(tm_buf_view(&chunk), true);
    ck_assert_int_eq(result.verdict, TM_VERDICT_BAD_ERROR);
    ck_assert_ptr_nonnull(strstr(result.detail, "off by"));
    tm_buf_deinit(&chunk);
    encode_scaled(-1.0f, &chunk);
    result = check(tm_buf_view(&chunk), true);
    ck_assert_int_eq(result.verdict, TM_VERDICT_BAD_ERROR);
    ck_assert_ptr_nonnull(strstr(result.detail, "squared error"));
    tm_buf_deinit(&chunk);
    /* A small change passes the error check; only the audit knows. */
    encode_scaled(0.997f, &chunk);
    ck_assert_int_eq(check(tm_buf_view(&chunk), false).verdict, TM_VERDICT_GOOD);
    result = check(tm_buf_view(&chunk), true);
    ck_assert_int_eq(result.verdict, TM_VERDICT_MISMATCH);
    ck_assert(result.audited);
    ck_assert_ptr_nonnull(strstr(result.detail, "first other byte"));
    tm_buf_deinit(&chunk);
}
END_TEST

START_TEST(lossless_units)
{
    for (uint32_t u = 0; u < g_job.job->split.unit_count; u++) {
        if (!g_job.job->split.units[u].lossless) {
            continue;
        }
        g_unit = u;
        struct tm_buf chunk;
        ck_assert_int_eq(tm_unit_source(g_job.job, u, &g_source, &g_err), TM_OK);
        struct tm_encode_request r = request();
        tm_buf_init(&chunk, 1u << 20);
        ck_assert_int_eq(tm_encode_unit(&r, &chunk, &g_err), TM_OK);
        ck_assert_int_eq(check(tm_buf_view(&chunk), true).verdict, TM_VERDICT_GOOD);
        tm_buf_clear(&chunk);
        g_source.data[0] ^= 1;
        r.source = tm_buf_view(&g_source);
        ck_assert_int_eq(tm_encode_unit(&r, &chunk, &g_err), TM_OK);
        ck_assert_int_eq(check(tm_buf_view(&chunk), false).verdict, TM_VERDICT_BAD_ERROR);
        tm_buf_deinit(&chunk);
        return;
    }
    ck_abort_msg("the small job has no lossless unit");
}
END_TEST

START_TEST(our_own_failures)
{
    uint64_t n = 0;
    bool failed = true;
    while (failed) {
        tm_mem_fail_at(++n);
        struct tm_check_result result = check(tm_buf_view(&g_chunk), true);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(result.verdict, failed ? TM_VERDICT_NOT_CHECKED : TM_VERDICT_GOOD);
    }
    ck_assert_uint_gt(n, 4);
    g_job.job->unit_source[g_unit].b[0] ^= 1; /* as if the model had changed since */
    struct tm_check_result result = check(tm_buf_view(&g_chunk), true);
    ck_assert_int_eq(result.verdict, TM_VERDICT_NOT_CHECKED);
    ck_assert_ptr_nonnull(strstr(result.detail, "changed"));
}
END_TEST

START_TEST(requests_that_do_not_fit)
{
    struct tm_encode_request r = request();
    struct tm_buf out;
    tm_buf_init(&out, 1u << 20);
    r.source.bytes -= 4;
    ck_assert_int_eq(tm_encode_unit(&r, &out, &g_err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "are not"));
    r = request();
    r.dtype = TM_I32;
    ck_assert_int_ne(tm_encode_unit(&r, &out, &g_err), TM_OK);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(error_limits)
{
    struct tm_pipeline p;
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str("int(bits=8)"), &p, &g_err), TM_OK);
    ck_assert_double_ge(tm_unit_error_limit(&p, 127.0), 1.05);
    ck_assert_double_lt(tm_unit_error_limit(&p, 127.0), 1.06);
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str("int(bits=4)"), &p, &g_err), TM_OK);
    ck_assert_double_ge(tm_unit_error_limit(&p, 7.0), 1.05);
    ck_assert_double_lt(tm_unit_error_limit(&p, 7.0), 1.06);
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str("ternary"), &p, &g_err), TM_OK);
    ck_assert(isinf(tm_unit_error_limit(&p, 1.0)));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("check");
    TCase *tc = tcase_create("check");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, good_results);
    tcase_add_test(tc, signatures);
    tcase_add_test(tc, malformed);
    tcase_add_test(tc, other_weights);
    tcase_add_test(tc, lossless_units);
    tcase_add_test(tc, our_own_failures);
    tcase_add_test(tc, requests_that_do_not_fit);
    tcase_add_test(tc, error_limits);
    suite_add_tcase(suite, tc);
    return suite;
}
