/* SPDX-License-Identifier: Apache-2.0
 * A real package of the small model (small_job.h), made in this process without a mesh: every unit
 * encoded, signed, measured, journaled and merged as the coordinator does it. */
#ifndef TM_TESTS_MADE_PACKAGE_H
#define TM_TESTS_MADE_PACKAGE_H

#include "base/bytes.h"
#include "model/convert.h"
#include "node/coordinator/check.h"
#include "tests/support/small_job.h"

/* The chunk of a unit; `twist` is added to the first source byte before (a cheating owner). */
static inline void made_encode(struct small_job *s, uint32_t u, uint8_t twist, struct tm_buf *chunk)
{
    struct tm_job *job = s->job;
    const struct tm_unit *unit = &job->split.units[u];
    struct tm_buf source;
    tm_buf_init(&source, 1 << 24);
    ck_assert_int_eq(tm_job_read_unit(job, u, &source, NULL), TM_OK);
    source.data[0] = (uint8_t)(source.data[0] + twist);
    source.data[1] = (uint8_t)(source.data[1] + twist);
    source.data[2] = (uint8_t)(source.data[2] ^ (twist & 0x40));
    tm_buf_clear(chunk);
    if (unit->lossless) {
        ck_assert_int_eq(tm_pipeline_encode_bytes(&job->pipelines[unit->pipeline],
                                                  tm_buf_view(&source), chunk, NULL),
                         TM_OK);
    } else {
        struct tm_encode_request request = {
            .pipeline = &job->pipelines[unit->pipeline],
            .dtype = tm_checkpoint_inventory(job->checkpoint)->tensors[unit->tensor].dtype,
            .shape = {unit->rows, unit->cols},
            .source = tm_buf_view(&source),
        };
        ck_assert_int_eq(tm_encode_unit(&request, chunk, NULL), TM_OK);
    }
    tm_buf_deinit(&source);
}

static inline void made_unit(struct small_job *s, uint32_t u, uint8_t twist)
{
    struct tm_job *job = s->job;
    struct tm_buf chunk;
    uint8_t statement[TM_PKG_STATEMENT_MAX];
    tm_buf_init(&chunk, 1 << 24);
    made_encode(s, u, twist, &chunk);
    struct tm_journal_result result = {
        .unit = u,
        .node = *tm_identity_public(s->owner),
        .leaf = tm_merkle_leaf(tm_buf_view(&chunk)),
        .bytes = (uint32_t)chunk.bytes,
        .checks = TM_CHECK_DECODED | TM_CHECK_OWNER,
        .squared_error_bits = tm_f64_bits(1.0),
        .squared_norm_bits = tm_f64_bits(100.0),
    };
    result.sig =
        tm_sign(s->owner, TM_SIGN_RESULT,
                tm_pkg_statement(&job->plan_digest, u, &job->unit_source[u], &result.leaf,
                                 job->plan.pipelines[job->split.units[u].pipeline], statement));
    ck_assert_int_eq(tm_store_put(job->chunks, &result.leaf, tm_buf_view(&chunk), NULL), TM_OK);
    ck_assert_int_eq(tm_journal_begin(job->journal, NULL), TM_OK);
    ck_assert_int_eq(tm_journal_put_result(job->journal, &result, NULL), TM_OK);
    ck_assert_int_eq(tm_journal_commit(job->journal, NULL), TM_OK);
    tm_buf_deinit(&chunk);
}

/* All units; twist applies to `twisted` alone. */
static inline void made_units(struct small_job *s, uint32_t twisted, uint8_t twist)
{
    for (uint32_t u = 0; u < s->job->split.unit_count; u++) {
        made_unit(s, u, u == twisted ? twist : 0);
    }
}

/* The folder with model and package; the job is closed. */
static inline void made_package_with(struct small_job *s, const char *recipe)
{
    struct tm_err err = {0};
    char line[1600];
    small_job_setup(s);
    small_job_prepare_with(s, recipe);
    made_units(s, UINT32_MAX, 0);
    tm_status status = tm_job_merge(s->job, s->owner, true, &err);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&err, line, sizeof line));
    tm_job_close(&s->job);
}

#endif
