/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/convert.h"

enum tm_dtype tm_unit_dtype(const struct tm_job *job, uint32_t unit)
{
    const struct tm_unit *u = &job->split.units[unit];
    return u->attachment ? TM_U8
                         : tm_checkpoint_inventory(job->checkpoint)->tensors[u->tensor].dtype;
}

tm_status tm_unit_source(struct tm_job *job, uint32_t unit, struct tm_buf *out, struct tm_err *err)
{
    TM_TRY(tm_job_read_unit(job, unit, out, err));
    struct tm_digest digest = tm_digest_of(tm_buf_view(out));
    if (!tm_digest_eq(&digest, &job->unit_source[unit])) {
        return tm_err_set(err, TM_E_VERIFY, job->model_path, "read the model",
                          "restore the model, then resume the job; or start a new one",
                          "unit %u is not what it was when the job was planned: the file changed",
                          unit);
    }
    return TM_OK;
}

/* Float32 values of a block; *out is freed by the caller. */
static tm_status to_floats(enum tm_dtype dtype, struct tm_block_shape shape, struct tm_view source,
                           float **out, struct tm_err *err)
{
    size_t count = (size_t)shape.rows * shape.cols;
    uint64_t blocks = count / tm_dtype_block_elements(dtype);
    if (count % tm_dtype_block_elements(dtype) != 0 ||
        blocks * tm_dtype_block_bytes(dtype) != source.bytes) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, "read a unit", NULL,
                          "%u x %u of %s are not %zu bytes", shape.rows, shape.cols,
                          tm_dtype_name(dtype), source.bytes);
    }
    float *values = tm_alloc(count * sizeof *values);
    if (values == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "read a unit", NULL, "out of memory");
    }
    tm_status status = tm_convert_to_f32(dtype, source.data, count, values);
    if (status != TM_OK) {
        tm_free(values);
        return tm_err_set(err, status, NULL, "read a unit", NULL, "%s holds no numbers to compress",
                          tm_dtype_name(dtype));
    }
    *out = values;
    return TM_OK;
}

tm_status tm_encode_unit(const struct tm_encode_request *request, struct tm_buf *out,
                         struct tm_err *err)
{
    if (tm_pipeline_input(request->pipeline) == TM_DATA_BYTES) {
        return tm_pipeline_encode_bytes(request->pipeline, request->source, out, err);
    }
    float *values = NULL;
    TM_TRY(to_floats(request->dtype, request->shape, request->source, &values, err));
    tm_status status = tm_pipeline_encode(request->pipeline, request->shape, values, out, err);
    tm_free(values);
    return status;
}

/* ---- checks ---- */

/* Values beyond 127 or 7 steps do not exist on the grids of Q8_0 and Q4_0; a scale is rounded to
 * float16, whose relative error is at most 2^-11 and, near its end, 2^-25 absolute. */
double tm_unit_error_limit(const struct tm_pipeline *pipeline, double abs_max)
{
    if (pipeline->stage[0].id != TM_STAGE_INT) {
        return INFINITY;
    }
    double steps = pipeline->stage[0].params.bits == 8 ? 127.0 : 7.0;
    return abs_max / steps * 1.05 + steps / 33554432.0;
}

struct check {
    struct tm_job *job;
    uint32_t unit;
    const struct tm_unit *plan;
    const struct tm_pipeline *pipeline;
    struct tm_block_shape shape;
    struct tm_view encoded;
    struct tm_buf source;
    struct tm_check_result *out;
};

static bool verdict(struct check *c, enum tm_verdict verdict, const char *format, ...)
    TM_PRINTF(3, 4);

/* Notes a verdict that ends the check; always false. */
static bool verdict(struct check *c, enum tm_verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    c->out->verdict = verdict;
    vsnprintf(c->out->detail, sizeof c->out->detail, format, args);
    va_end(args);
    return false;
}

/* A failure that is the encoding's fault, or ours when memory is out. */
static bool failed(struct check *c, enum tm_verdict if_theirs, tm_status status,
                   const struct tm_err *err)
{
    bool ours = status != TM_E_MALFORMED && status != TM_E_LIMIT;
    return verdict(c, ours ? TM_VERDICT_NOT_CHECKED : if_theirs, "%s", tm_err_why(err, status));
}

static bool check_signature(struct check *c, const struct tm_public_key *node,
                            const struct tm_signature *sig)
{
    uint8_t text[TM_PKG_STATEMENT_MAX];
    char pipeline[TM_PIPELINE_TEXT];
    struct tm_digest leaf = tm_merkle_leaf(c->encoded);
    struct tm_view statement =
        tm_pkg_statement(&c->job->plan_digest, c->unit, &c->job->unit_source[c->unit], &leaf,
                         tm_pipeline_text(c->pipeline, pipeline), text);
    if (tm_sign_verify(node, TM_SIGN_RESULT, statement, sig) != TM_OK) {
        return verdict(c, TM_VERDICT_BAD_SIGNATURE, "the signature is not the node's");
    }
    size_t bound = tm_pipeline_bound(c->pipeline, c->shape);
    if (c->encoded.bytes > bound) {
        return verdict(c, TM_VERDICT_MALFORMED, "%zu bytes, at most %zu can be", c->encoded.bytes,
                       bound);
    }
    return true;
}

static bool read_source(struct check *c)
{
    struct tm_err err = {0};
    tm_buf_init(&c->source, c->plan->source_bytes);
    tm_status status = tm_unit_source(c->job, c->unit, &c->source, &err);
    if (status != TM_OK) {
        return verdict(c, TM_VERDICT_NOT_CHECKED, "%s", tm_err_why(&err, status));
    }
    return true;
}

static bool check_bytes(struct check *c)
{
    struct tm_err err = {0};
    uint8_t *decoded = tm_alloc(c->source.bytes);
    if (decoded == NULL) {
        return verdict(c, TM_VERDICT_NOT_CHECKED, "out of memory");
    }
    tm_status status =
        tm_pipeline_decode_bytes(c->pipeline, c->source.bytes, c->encoded, decoded, &err);
    bool good = status == TM_OK;
    if (!good) {
        failed(c, TM_VERDICT_MALFORMED, status, &err);
    } else if (memcmp(decoded, c->source.data, c->source.bytes) != 0) {
        good = verdict(c, TM_VERDICT_BAD_ERROR, "decodes to other bytes than the source");
    }
    tm_free(decoded);
    return good;
}

static double abs_max_of(const float *values, size_t count)
{
    struct tm_scan scan = {0};
    tm_scan_f32(values, count, &scan);
    return (double)scan.abs_max;
}

/* A lossy block may be off by the grid's step, and never by more than leaving the block out. */
static bool check_error(struct check *c, const float *source, const float *decoded, size_t count)
{
    struct tm_block_error *e = &c->out->error;
    char a[TM_NUM_TEXT];
    char b[TM_NUM_TEXT];
    tm_block_measure(source, decoded, count, e);
    if (!(e->squared_error <= e->squared_norm)) {
        return verdict(c, TM_VERDICT_BAD_ERROR, "squared error %s is more than the block's own %s",
                       tm_format_f64(e->squared_error, a), tm_format_f64(e->squared_norm, b));
    }
    double limit = tm_unit_error_limit(c->pipeline, abs_max_of(source, count));
    if (!(e->max_abs <= limit)) {
        return verdict(c, TM_VERDICT_BAD_ERROR, "a weight is off by %s, at most %s can be",
                       tm_format_f64(e->max_abs, a), tm_format_f64(limit, b));
    }
    return true;
}

static bool check_floats(struct check *c)
{
    struct tm_err err = {0};
    size_t count = (size_t)c->shape.rows * c->shape.cols;
    float *source = NULL;
    float *decoded = tm_alloc(count * sizeof *decoded);
    bool good = false;
    tm_status status = decoded == NULL ? TM_E_NOMEM : TM_OK;
    if (status == TM_OK) {
        status = to_floats(tm_unit_dtype(c->job, c->unit), c->shape, tm_buf_view(&c->source),
                           &source, &err);
    }
    if (status != TM_OK) {
        verdict(c, TM_VERDICT_NOT_CHECKED, "%s", tm_err_why(&err, status));
    } else if ((status = tm_pipeline_decode(c->pipeline, c->shape, c->encoded, TM_DECODE_CANONICAL,
                                            decoded, &err)) != TM_OK) {
        failed(c, TM_VERDICT_MALFORMED, status, &err);
    } else {
        good = check_error(c, source, decoded, count);
    }
    tm_free(source);
    tm_free(decoded);
    return good;
}

static size_t first_difference(struct tm_view a, struct tm_view b)
{
    size_t i = 0;
    while (i < a.bytes && i < b.bytes && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

static bool check_again(struct check *c)
{
    struct tm_err err = {0};
    struct tm_encode_request request = {.pipeline = c->pipeline,
                                        .dtype = tm_unit_dtype(c->job, c->unit),
                                        .shape = c->shape,
                                        .source = tm_buf_view(&c->source)};
    struct tm_buf ours;
    tm_buf_init(&ours, tm_pipeline_bound(c->pipeline, c->shape));
    tm_status status = tm_encode_unit(&request, &ours, &err);
    bool good = status == TM_OK;
    if (!good) {
        verdict(c, TM_VERDICT_NOT_CHECKED, "%s", tm_err_why(&err, status));
    } else if (!tm_view_eq(tm_buf_view(&ours), c->encoded)) {
        good =
            verdict(c, TM_VERDICT_MISMATCH,
                    "encoded again it has %zu bytes, the node sent %zu; first other byte at %zu",
                    ours.bytes, c->encoded.bytes, first_difference(tm_buf_view(&ours), c->encoded));
    }
    c->out->audited = c->out->verdict != TM_VERDICT_NOT_CHECKED;
    tm_buf_deinit(&ours);
    return good;
}

void tm_check_unit(struct tm_job *job, uint32_t unit, struct tm_view encoded,
                   const struct tm_public_key *node, const struct tm_signature *sig, bool audit,
                   struct tm_check_result *out)
{
    TM_ASSERT(unit < job->split.unit_count);
    const struct tm_unit *plan = &job->split.units[unit];
    struct check c = {.job = job,
                      .unit = unit,
                      .plan = plan,
                      .pipeline = &job->pipelines[plan->pipeline],
                      .shape = {plan->rows, plan->cols},
                      .encoded = encoded,
                      .out = out};
    *out = (struct tm_check_result){.verdict = TM_VERDICT_GOOD};
    tm_buf_init(&c.source, 0);
    bool bytes = tm_pipeline_input(c.pipeline) == TM_DATA_BYTES;
    bool good = check_signature(&c, node, sig) && read_source(&c) &&
                (bytes ? check_bytes(&c) : check_floats(&c));
    if (good && audit) {
        check_again(&c);
    }
    tm_buf_deinit(&c.source);
}
