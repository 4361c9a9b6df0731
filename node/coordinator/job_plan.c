/* SPDX-License-Identifier: Apache-2.0
 * From a model and a recipe to a plan, units and source digests: see job_private.h. Reading is two
 * passes over the source: the first looks at every value that would be compressed, the second
 * hashes every unit. */
#include "node/coordinator/job.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/progress.h"
#include "model/convert.h"
#include "node/coordinator/job_private.h"
#include "stages/batch_encode.h"
#include "stages/pipeline_encode.h"

static const struct {
    const char *alias, *text;
} aliases[] = {
    {"int8", "int(bits=8) > rans"},
    {"int4", "int(bits=4) > rans"},
    {"ternary", "ternary > rans"},
    {"keep", TM_CODEC_KEEP},
};

static tm_status resolve(void *context, const char *codec, char out[TM_PLAN_PIPELINE_MAX],
                         bool *lossless, struct tm_err *err)
{
    (void)context;
    struct tm_pipeline pipeline;
    const char *text = codec;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcmp(codec, aliases[i].alias) == 0) {
            text = aliases[i].text;
        }
    }
    TM_TRY(tm_pipeline_parse(tm_view_str(text), &pipeline, err));
    _Static_assert(TM_PIPELINE_TEXT <= TM_PLAN_PIPELINE_MAX, "a pipeline text fits a plan");
    tm_pipeline_text(&pipeline, out);
    *lossless = tm_pipeline_input(&pipeline) == TM_DATA_BYTES;
    return TM_OK;
}

const struct tm_codec_resolver tm_stage_resolver = {resolve, NULL};

static tm_status load_recipe(const char *name, struct tm_recipe **out, struct tm_err *err)
{
    if (strchr(name, '/') == NULL && strchr(name, '.') == NULL) {
        return tm_recipe_builtin(name, out, err);
    }
    struct tm_buf text;
    tm_buf_init(&text, 16 << 20);
    tm_status status = tm_file_read(name, &text, err);
    if (status == TM_OK) {
        status = tm_recipe_parse(tm_buf_view(&text), name, out, err);
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status warn(struct tm_job *job, const char *text)
{
    char **grown = tm_realloc_array(job->warnings, job->warning_count + 1, sizeof job->warnings[0]);
    if (grown == NULL) {
        return TM_E_NOMEM;
    }
    job->warnings = grown;
    job->warnings[job->warning_count] = tm_strdup(text);
    if (job->warnings[job->warning_count] == NULL) {
        return TM_E_NOMEM;
    }
    job->warning_count++;
    return TM_OK;
}

static tm_status warn_kept(struct tm_job *job, size_t tensor, const char *reason)
{
    const struct tm_tensor *t = &tm_checkpoint_inventory(job->checkpoint)->tensors[tensor];
    char name[512], line[700];
    snprintf(line, sizeof line, "tensor '%s' is kept without loss: %s",
             tm_escape(t->name, t->name_bytes, name, sizeof name), reason);
    return warn(job, line);
}

static tm_status stopped(const struct tm_job_options *options, struct tm_err *err)
{
    if (options->stop != NULL && *options->stop != 0) {
        return tm_err_set(err, TM_E_STOPPED, options->model_path, "stopped",
                          "run the same command again", "asked to stop while reading the model");
    }
    return TM_OK;
}

/* A look at one unit's values. */
struct look {
    uint32_t unit;
    enum tm_unfit unfit;
    tm_status status;
    struct tm_err err;
};

struct look_batch {
    struct tm_job *job;
    struct look *looks;
};

static tm_status look_at(struct tm_job *job, struct look *look, struct tm_buf *source)
{
    const struct tm_unit *unit = &job->split.units[look->unit];
    const struct tm_tensor *tensor =
        &tm_checkpoint_inventory(job->checkpoint)->tensors[unit->tensor];
    uint64_t count = (uint64_t)unit->rows * unit->cols;
    struct tm_block_shape shape = {unit->rows, unit->cols};
    TM_TRY(tm_job_read_unit(job, look->unit, source, &look->err));
    float *values = tm_alloc(count * sizeof values[0]);
    if (values == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = tm_convert_to_f32(tensor->dtype, source->data, count, values);
    if (status == TM_OK) {
        look->unfit = tm_pipeline_fits(&job->pipelines[unit->pipeline], shape, values);
    }
    tm_free(values);
    return status;
}

static void look_piece(void *context, size_t index)
{
    struct look_batch *batch = context;
    struct look *look = &batch->looks[index];
    struct tm_buf source;
    tm_buf_init(&source, TM_BLOCK_BYTES_MAX);
    look->status = look_at(batch->job, look, &source);
    tm_buf_deinit(&source);
}

/* Looks at several units at once, then keeps the tensors of those that do not fit, in order. */
static tm_status look_at_batch(struct tm_job *job, struct look *looks, size_t count, bool *kept,
                               struct tm_err *err)
{
    struct look_batch batch = {job, looks};
    tm_batch_run(count, look_piece, &batch);
    for (size_t i = 0; i < count; i++) {
        size_t tensor = job->split.units[looks[i].unit].tensor;
        if (looks[i].status != TM_OK) {
            if (err != NULL) {
                *err = looks[i].err;
            }
            return looks[i].status;
        }
        if (looks[i].unfit != TM_FITS && !job->plan.lossless[job->plan.tensors[tensor].pipeline]) {
            *kept = true;
            TM_TRY(tm_plan_keep(&job->plan, tensor, tm_unfit_text(looks[i].unfit)));
            TM_TRY(warn_kept(job, tensor, tm_unfit_text(looks[i].unfit)));
        }
    }
    return TM_OK;
}

/* Whether nobody compresses the unit, or its tensor is kept already. */
static bool is_kept(const struct tm_job *job, const struct tm_unit *unit)
{
    return unit->lossless || unit->attachment ||
           job->plan.lossless[job->plan.tensors[unit->tensor].pipeline];
}

/* Looks at the values of all units that would be compressed; tensors that do not fit are kept.
 * *kept tells whether the plan changed. */
static tm_status preflight(struct tm_job *job, const struct tm_job_options *options,
                           struct tm_progress *progress, bool *kept, struct tm_err *err)
{
    size_t capacity = 4 * tm_batch_threads(), count = 0;
    struct look *looks = tm_calloc(capacity, sizeof looks[0]);
    tm_status status = looks != NULL ? TM_OK : TM_E_NOMEM;
    uint64_t done = 0;
    *kept = false;
    for (uint32_t u = 0; u < job->split.unit_count && status == TM_OK; u++) {
        const struct tm_unit *unit = &job->split.units[u];
        done += unit->source_bytes;
        if (!is_kept(job, unit)) {
            looks[count++] = (struct look){.unit = u};
        }
        if (count == capacity || (u + 1 == job->split.unit_count && count > 0)) {
            status = stopped(options, err);
            if (status == TM_OK) {
                status = look_at_batch(job, looks, count, kept, err);
            }
            count = 0;
            tm_progress_update(progress, done / 2, NULL);
        }
    }
    tm_free(looks);
    return status;
}

static tm_status parse_pipelines(struct tm_job *job, struct tm_err *err)
{
    tm_free(job->pipelines);
    job->pipelines = tm_calloc(job->plan.pipeline_count, sizeof job->pipelines[0]);
    if (job->pipelines == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < job->plan.pipeline_count; i++) {
        TM_TRY(tm_pipeline_parse(tm_view_str(job->plan.pipelines[i]), &job->pipelines[i], err));
    }
    return TM_OK;
}

static tm_status split(struct tm_job *job, const struct tm_job_options *options, struct tm_err *err)
{
    uint32_t weights = options->block_weights != 0 ? options->block_weights : TM_BLOCK_WEIGHTS;
    tm_split_deinit(&job->split);
    TM_TRY(tm_split_make(tm_checkpoint_inventory(job->checkpoint), &job->plan, weights, &job->split,
                         err));
    return parse_pipelines(job, err);
}

/* Bytes of tensors and attachments together. */
static uint64_t source_bytes(const struct tm_job *job)
{
    uint64_t sum = 0;
    for (uint32_t u = 0; u < job->split.unit_count; u++) {
        sum += job->split.units[u].source_bytes;
    }
    return sum;
}

/* SHA-256 of every unit and of every tensor and attachment. */
static tm_status hash_sources(struct tm_job *job, const struct tm_job_options *options,
                              struct tm_progress *progress, struct tm_err *err)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    size_t owners = inv->tensor_count + inv->attachment_count;
    struct tm_hash *hash = NULL;
    struct tm_buf source;
    tm_status status;
    uint64_t done = source_bytes(job); /* read once already */
    tm_buf_init(&source, TM_BLOCK_BYTES_MAX);
    job->unit_source = tm_calloc(job->split.unit_count, sizeof job->unit_source[0]);
    job->tensor_source = tm_calloc(owners, sizeof job->tensor_source[0]);
    status =
        job->unit_source != NULL && job->tensor_source != NULL ? tm_hash_new(&hash) : TM_E_NOMEM;
    for (size_t o = 0; o < owners && status == TM_OK; o++) {
        for (uint32_t u = job->split.first[o]; u < job->split.first[o + 1]; u++) {
            TM_TRY_GOTO(stopped(options, err), done_label);
            TM_TRY_GOTO(tm_job_read_unit(job, u, &source, err), done_label);
            job->unit_source[u] = tm_digest_of(tm_buf_view(&source));
            tm_hash_update(hash, source.data, source.bytes);
            done += source.bytes;
            tm_progress_update(progress, done / 2, NULL);
        }
        job->tensor_source[o] = tm_hash_final(hash);
    }
done_label:
    tm_hash_destroy(&hash);
    tm_buf_deinit(&source);
    return status;
}

static tm_status write_plan_text(struct tm_job *job)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    char(*hex)[TM_DIGEST_TEXT] = tm_calloc(inv->tensor_count, sizeof hex[0]);
    const char **texts = tm_calloc(inv->tensor_count, sizeof texts[0]);
    struct tm_buf out;
    tm_buf_init(&out, TM_PACKAGE_TABLES_MAX / 2);
    tm_status status = hex != NULL && texts != NULL ? TM_OK : TM_E_NOMEM;
    for (size_t i = 0; i < inv->tensor_count && status == TM_OK; i++) {
        texts[i] = tm_digest_hex(&job->tensor_source[i], hex[i]);
    }
    if (status == TM_OK) {
        status = tm_plan_write(&job->plan, inv, texts, &out);
    }
    if (status == TM_OK) {
        job->plan_digest = tm_digest_of(tm_buf_view(&out));
        job->plan_text = tm_strndup((const char *)out.data, out.bytes);
        status = job->plan_text != NULL ? TM_OK : TM_E_NOMEM;
    }
    tm_buf_deinit(&out);
    tm_free(hex);
    tm_free(texts);
    return status;
}

/* Tells of the tensors that a rule would have compressed but their kind keeps (not the usual
 * one-dimensional norms and biases, which nobody expects to be compressed). */
static tm_status warn_planned(struct tm_job *job)
{
    for (size_t i = 0; i < job->plan.tensor_count; i++) {
        const char *reason = job->plan.tensors[i].reason;
        if (reason != NULL && strcmp(reason, "one-dimensional") != 0 &&
            strcmp(reason, "integer type") != 0) {
            TM_TRY(warn_kept(job, i, reason));
        }
    }
    return TM_OK;
}

tm_status tm_job_make_plan(struct tm_job *job, const struct tm_job_options *options,
                           struct tm_err *err)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    struct tm_recipe *recipe = NULL;
    tm_status status;
    for (size_t i = 0; i < inv->warning_count; i++) {
        TM_TRY(warn(job, inv->warnings[i]));
    }
    TM_TRY_GOTO(load_recipe(options->recipe, &recipe, err), done);
    TM_TRY_GOTO(tm_plan_make(recipe, inv, &tm_stage_resolver, &job->plan, err), done);
    TM_TRY_GOTO(warn_planned(job), done);
    status = split(job, options, err);
done:
    tm_recipe_destroy(&recipe);
    return status;
}

tm_status tm_job_read_source(struct tm_job *job, const struct tm_job_options *options,
                             struct tm_err *err)
{
    struct tm_progress *progress = NULL;
    bool kept = false;
    tm_status status;
    progress = tm_progress_new(&(struct tm_progress_options){.label = "read",
                                                             .total = source_bytes(job),
                                                             .unit = TM_PROGRESS_BYTES,
                                                             .quiet = options->quiet});
    TM_TRY_GOTO(preflight(job, options, progress, &kept, err), done);
    if (kept) {
        TM_TRY_GOTO(split(job, options, err), done);
    }
    TM_TRY_GOTO(hash_sources(job, options, progress, err), done);
    status = write_plan_text(job);
done:
    tm_progress_finish(&progress);
    return status;
}
