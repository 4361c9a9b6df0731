/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/encode_job.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/merkle.h"
#include "node/coordinator/check.h"

static void sign(struct tm_encode_job *job)
{
    uint8_t text[TM_PKG_STATEMENT_MAX];
    job->leaf = tm_merkle_leaf(tm_buf_view(&job->bytes));
    struct tm_view statement = tm_pkg_statement(&job->plan, job->desc.unit, &job->desc.source,
                                                &job->leaf, job->pipeline, text);
    job->sig = tm_sign(job->setup->identity, TM_SIGN_RESULT, statement);
}

static tm_status encode_from(struct tm_encode_job *job, const struct tm_encode_request *request)
{
    const struct tm_worker_hooks *hooks = &job->setup->hooks;
    tm_buf_init(&job->bytes, tm_pipeline_bound(request->pipeline, request->shape));
    if (hooks->encode != NULL) {
        return hooks->encode(hooks->context, job->desc.unit, request, &job->bytes, &job->err);
    }
    return tm_encode_unit(request, &job->bytes, &job->err);
}

static tm_status encode(struct tm_encode_job *job)
{
    const struct tm_worker_source *source = &job->setup->source;
    struct tm_pipeline pipeline;
    TM_TRY(tm_pipeline_parse(tm_view_str(job->pipeline), &pipeline, &job->err));
    uint64_t weights = (uint64_t)job->desc.rows * job->desc.cols;
    if (!tm_dtype_known(job->desc.dtype) || weights == 0 || weights > TM_BLOCK_BYTES_MAX) {
        return tm_err_set(&job->err, TM_E_MALFORMED, NULL, "encode a unit", NULL,
                          "%u x %u weights of element type %u", job->desc.rows, job->desc.cols,
                          job->desc.dtype);
    }
    struct tm_encode_request request = {.pipeline = &pipeline,
                                        .dtype = (enum tm_dtype)job->desc.dtype,
                                        .shape = {job->desc.rows, job->desc.cols},
                                        .source = job->source};
    struct tm_buf read;
    tm_buf_init(&read, TM_BLOCK_BYTES_MAX);
    tm_status status = TM_OK;
    if (source->read != NULL) {
        status = source->read(source->context, job->desc.unit, &read, &job->err);
        request.source = tm_buf_view(&read);
    }
    if (status == TM_OK) {
        status = encode_from(job, &request);
    }
    tm_buf_deinit(&read);
    return status;
}

static void run(struct tm_work *work)
{
    struct tm_encode_job *job = (struct tm_encode_job *)work;
    const struct tm_clock *clock = tm_clock_os();
    uint64_t start = tm_clock_ms(clock);
    job->status = encode(job);
    if (job->status == TM_OK) {
        sign(job);
    }
    job->compute_ms = (uint32_t)(tm_clock_ms(clock) - start);
}

static void drop(struct tm_work *work)
{
    tm_encode_job_free((struct tm_encode_job *)work);
}

struct tm_encode_job *tm_encode_job_new(const struct tm_encode_setup *setup)
{
    struct tm_encode_job *job = tm_calloc(1, sizeof *job);
    if (job != NULL) {
        job->work = (struct tm_work){.run = run, .drop = drop};
        job->setup = setup;
        tm_buf_init(&job->bytes, 0);
    }
    return job;
}

void tm_encode_job_free(struct tm_encode_job *job)
{
    if (job != NULL) {
        tm_buf_deinit(&job->bytes);
        tm_free(job);
    }
}
