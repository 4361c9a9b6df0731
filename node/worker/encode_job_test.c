/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/encode_job.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/merkle.h"
#include "node/coordinator/check.h"
#include "tests/support/file_order.h"
#include "tests/support/suite.h"

#define ROWS 4u
#define COLS 64u

static struct tm_identity *g_node;
static struct tm_err g_err;
static float g_values[ROWS * COLS], g_source[ROWS * COLS];

static void set_up(void)
{
    static const uint8_t seed[32] = {3};
    ck_assert_int_eq(tm_crypto_init(&g_err), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &g_node, &g_err), TM_OK);
    for (unsigned i = 0; i < ROWS * COLS; i++) {
        g_values[i] = (float)((int)(i * 37 % 101) - 50) / 16.0f;
    }
    memcpy(g_source, g_values, sizeof g_source);
    floats_to_file_order(g_source, ROWS * COLS);
}

static void tear_down(void)
{
    tm_identity_destroy(&g_node);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static struct tm_encode_job *new_job(const struct tm_encode_setup *setup)
{
    struct tm_encode_job *job = tm_encode_job_new(setup);
    ck_assert_ptr_nonnull(job);
    job->source = tm_view_of(g_source, sizeof g_source);
    job->desc = (struct tm_msg_unit){.unit = 17,
                                     .source = tm_digest_of(job->source),
                                     .source_bytes = sizeof g_values,
                                     .dtype = TM_F32,
                                     .rows = ROWS,
                                     .cols = COLS};
    snprintf(job->pipeline, sizeof job->pipeline, "int.1(bits=8,group=32)");
    job->plan.b[0] = 9;
    return job;
}

static void run(struct tm_encode_job *job)
{
    job->work.run(&job->work);
}

START_TEST(encoded_and_signed)
{
    struct tm_encode_setup setup = {.identity = g_node};
    struct tm_encode_job *job = new_job(&setup);
    run(job);
    ck_assert_int_eq(job->status, TM_OK);
    struct tm_pipeline pipeline;
    struct tm_buf want;
    tm_buf_init(&want, 1u << 16);
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str(job->pipeline), &pipeline, &g_err), TM_OK);
    struct tm_block_shape shape = {ROWS, COLS};
    ck_assert_int_eq(tm_pipeline_encode(&pipeline, shape, g_values, &want, &g_err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&want), tm_buf_view(&job->bytes)));
    struct tm_digest leaf = tm_merkle_leaf(tm_buf_view(&want));
    ck_assert(tm_digest_eq(&leaf, &job->leaf));
    uint8_t text[TM_PKG_STATEMENT_MAX];
    struct tm_view statement =
        tm_pkg_statement(&job->plan, 17, &job->desc.source, &leaf, job->pipeline, text);
    ck_assert_int_eq(
        tm_sign_verify(tm_identity_public(g_node), TM_SIGN_RESULT, statement, &job->sig), TM_OK);
    tm_buf_deinit(&want);
    tm_encode_job_free(job);
    tm_encode_job_free(NULL);
}
END_TEST

static tm_status hook(void *context, uint32_t unit, const struct tm_encode_request *request,
                      struct tm_buf *out, struct tm_err *err)
{
    (void)err;
    ck_assert_uint_eq(request->shape.rows, ROWS);
    *(uint32_t *)context = unit;
    return tm_buf_put_str(out, "mine");
}

static tm_status read_source(void *context, uint32_t unit, struct tm_buf *out, struct tm_err *err)
{
    unsigned *left = context;
    ck_assert_uint_eq(unit, 17);
    if (*left == 0) {
        return tm_err_set(err, TM_E_IO, NULL, "read", NULL, "gone");
    }
    (*left)--;
    tm_buf_clear(out);
    return tm_buf_put(out, g_values, sizeof g_values);
}

START_TEST(hooks_and_sources)
{
    uint32_t seen = 0;
    unsigned left = 1;
    struct tm_encode_setup setup = {
        .identity = g_node, .hooks = {hook, &seen}, .source = {read_source, &left}};
    struct tm_encode_job *job = new_job(&setup);
    job->source = tm_view_of(NULL, 0);
    run(job);
    ck_assert_int_eq(job->status, TM_OK);
    ck_assert_uint_eq(seen, 17);
    ck_assert(tm_view_eq_str(tm_buf_view(&job->bytes), "mine"));
    job->work.drop(&job->work);
    job = new_job(&setup);
    run(job);
    ck_assert_int_eq(job->status, TM_E_IO);
    ck_assert_str_eq(job->err.why, "gone");
    tm_encode_job_free(job);
}
END_TEST

/* A coordinator's words are no more trusted than a worker's. */
START_TEST(hostile_descriptions)
{
    struct tm_encode_setup setup = {.identity = g_node};
    static const struct {
        uint32_t rows, cols, dtype;
        const char *pipeline;
    } bad[] = {{0, COLS, TM_F32, "int"},           {ROWS, 0, TM_F32, "int"},
               {ROWS, COLS, 9999, "int"},          {ROWS, COLS, TM_I32, "int"},
               {ROWS, COLS, TM_F32, "nonsense"},   {ROWS, COLS, TM_F32, ""},
               {ROWS, COLS + 1, TM_F32, "int"},    {65536, 65536, TM_F32, "int"},
               {ROWS, COLS, TM_F16, "int"},        {UINT32_MAX, UINT32_MAX, TM_F32, "int"},
               {ROWS, COLS, TM_Q8_0, "int"},       {1, 3, TM_Q4_0, "int"},
               {ROWS, COLS, TM_F32, "int(bits=9)"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_encode_job *job = new_job(&setup);
        job->desc.rows = bad[i].rows;
        job->desc.cols = bad[i].cols;
        job->desc.dtype = bad[i].dtype;
        snprintf(job->pipeline, sizeof job->pipeline, "%s", bad[i].pipeline);
        run(job);
        ck_assert_msg(job->status != TM_OK, "case %zu", i);
        ck_assert_msg(job->err.why[0] != 0, "case %zu", i);
        tm_encode_job_free(job);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("encode_job");
    TCase *tc = tcase_create("encode_job");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, encoded_and_signed);
    tcase_add_test(tc, hooks_and_sources);
    tcase_add_test(tc, hostile_descriptions);
    suite_add_tcase(suite, tc);
    return suite;
}
