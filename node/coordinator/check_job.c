/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/check_job.h"

#include <stdio.h>

#include "base/mem.h"

/* Encodes and signs the unit as its owner. */
static tm_status make(struct tm_check_job *c, struct tm_err *err)
{
    struct tm_job *job = c->job;
    const struct tm_unit *unit = &job->split.units[c->unit];
    struct tm_encode_request request = {.pipeline = &job->pipelines[unit->pipeline],
                                        .dtype = tm_unit_dtype(job, c->unit),
                                        .shape = {unit->rows, unit->cols}};
    struct tm_buf source;
    uint8_t text[TM_PKG_STATEMENT_MAX];
    char pipeline[TM_PIPELINE_TEXT];
    tm_buf_init(&source, unit->source_bytes);
    tm_buf_init(&c->bytes, tm_pipeline_bound(request.pipeline, request.shape));
    tm_status status = tm_unit_source(job, c->unit, &source, err);
    if (status == TM_OK) {
        request.source = tm_buf_view(&source);
        status = tm_encode_unit(&request, &c->bytes, err);
    }
    tm_buf_deinit(&source);
    TM_TRY(status);
    c->leaf = tm_merkle_leaf(tm_buf_view(&c->bytes));
    struct tm_view statement =
        tm_pkg_statement(&job->plan_digest, c->unit, &job->unit_source[c->unit], &c->leaf,
                         tm_pipeline_text(request.pipeline, pipeline), text);
    c->node = *tm_identity_public(c->owner);
    c->sig = tm_sign(c->owner, TM_SIGN_RESULT, statement);
    c->encoded = tm_buf_view(&c->bytes);
    return TM_OK;
}

static void run(struct tm_work *work)
{
    struct tm_check_job *c = (struct tm_check_job *)work;
    struct tm_err err = {0};
    if (c->fault != NULL) {
        c->result.verdict = TM_VERDICT_MALFORMED;
        snprintf(c->result.detail, sizeof c->result.detail, "%s", c->fault);
        return;
    }
    tm_status status = c->owner != NULL ? make(c, &err) : TM_OK;
    if (status != TM_OK) {
        c->result.verdict = TM_VERDICT_NOT_CHECKED;
        snprintf(c->result.detail, sizeof c->result.detail, "%.255s", tm_err_why(&err, status));
        return;
    }
    tm_check_unit(c->job, c->unit, c->encoded, &c->node, &c->sig, c->audit, &c->result);
}

static void drop(struct tm_work *work)
{
    tm_check_job_free((struct tm_check_job *)work);
}

struct tm_check_job *tm_check_job_new(struct tm_job *job, uint32_t unit)
{
    struct tm_check_job *check = tm_calloc(1, sizeof *check);
    if (check != NULL) {
        check->work = (struct tm_work){.run = run, .drop = drop};
        check->job = job;
        check->unit = unit;
        tm_buf_init(&check->bytes, 0);
    }
    return check;
}

void tm_check_job_free(struct tm_check_job *check)
{
    if (check != NULL) {
        tm_buf_deinit(&check->bytes);
        tm_free(check);
    }
}
