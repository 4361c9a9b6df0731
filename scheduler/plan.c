/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan.h"

#include <string.h>

#include "base/mem.h"

#define KEEP_COLS_MIN 32 /* shorter rows do not fill one group of any quantizer */

void tm_plan_deinit(struct tm_plan *plan)
{
    for (uint32_t i = 0; i < plan->reason_count; i++) {
        tm_free(plan->reasons[i]);
    }
    tm_free(plan->reasons);
    tm_free(plan->pipelines);
    tm_free(plan->lossless);
    tm_free(plan->tensors);
    *plan = (struct tm_plan){0};
}

tm_status tm_plan_add_pipeline(struct tm_plan *plan, const char *text, bool lossless, uint32_t *out)
{
    for (uint32_t i = 0; i < plan->pipeline_count; i++) {
        if (strcmp(plan->pipelines[i], text) == 0) {
            *out = i;
            return TM_OK;
        }
    }
    if (plan->pipeline_count == TM_PLAN_PIPELINES_MAX || strlen(text) >= TM_PLAN_PIPELINE_MAX) {
        return TM_E_LIMIT;
    }
    if (plan->pipelines == NULL) {
        plan->pipelines = tm_calloc(TM_PLAN_PIPELINES_MAX, sizeof *plan->pipelines);
        if (plan->pipelines == NULL) {
            return TM_E_NOMEM;
        }
    }
    if (plan->lossless == NULL) {
        plan->lossless = tm_calloc(TM_PLAN_PIPELINES_MAX, sizeof *plan->lossless);
        if (plan->lossless == NULL) {
            return TM_E_NOMEM;
        }
    }
    *out = plan->pipeline_count++;
    memcpy(plan->pipelines[*out], text, strlen(text) + 1);
    plan->lossless[*out] = lossless;
    return TM_OK;
}

tm_status tm_plan_keep_pipeline(struct tm_plan *plan, uint32_t *out)
{
    uint32_t found = plan->pipeline_count;
    for (uint32_t i = plan->pipeline_count; i-- > 0;) {
        if (plan->lossless[i]) {
            found = i;
            if (strcmp(plan->pipelines[i], TM_CODEC_KEEP) == 0) {
                break;
            }
        }
    }
    if (found < plan->pipeline_count) {
        *out = found;
        return TM_OK;
    }
    return tm_plan_add_pipeline(plan, TM_CODEC_KEEP, true, out);
}

tm_status tm_plan_keep(struct tm_plan *plan, size_t index, const char *reason)
{
    TM_ASSERT(index < plan->tensor_count);
    uint32_t keep = 0;
    TM_TRY(tm_plan_keep_pipeline(plan, &keep));
    plan->tensors[index] = (struct tm_plan_tensor){.pipeline = keep, .reason = reason};
    return TM_OK;
}

/* Why a tensor is no matrix of numbers to compress, or NULL. */
static const char *unfit(const struct tm_tensor *tensor)
{
    uint64_t rows = 0, cols = 0;
    tm_shape_matrix(&tensor->shape, &rows, &cols);
    if (!tm_dtype_is_float(tensor->dtype)) {
        return "integer type";
    }
    if (rows == 0 || cols == 0) {
        return "no elements";
    }
    if (tensor->shape.rank < 2) {
        return "one-dimensional";
    }
    return cols < KEEP_COLS_MIN ? "rows shorter than 32" : NULL;
}

static tm_status resolve(const struct tm_codec_resolver *resolver, const char *codec,
                         struct tm_plan *plan, uint32_t *out, struct tm_err *err)
{
    char text[TM_PLAN_PIPELINE_MAX] = "";
    bool lossless = false;
    TM_TRY(resolver->resolve(resolver->context, codec, text, &lossless, err));
    tm_status status = tm_plan_add_pipeline(plan, text, lossless, out);
    if (status == TM_E_LIMIT) {
        return tm_err_set(err, status, NULL, "cannot plan", "use fewer different codecs",
                          "more than %d different pipelines", TM_PLAN_PIPELINES_MAX);
    }
    return status;
}

static tm_status plan_tensor(const struct tm_recipe *recipe, const struct tm_tensor *tensor,
                             const struct tm_codec_resolver *resolver, struct tm_plan *plan,
                             struct tm_plan_tensor *out, struct tm_err *err)
{
    struct tm_view name = tm_view_of(tensor->name, tensor->name_bytes);
    struct tm_recipe_match match = tm_recipe_find(recipe, name);
    if (match.codec == NULL) {
        return tm_err_set(err, TM_E_USAGE, tensor->name, "cannot plan the tensor",
                          "add a rule { match = \"*\", codec = ... } as the first one",
                          "no rule of the recipe %s matches this name", tm_recipe_name(recipe));
    }
    /* Pipelines are listed in order of first use, and a codec of which nothing is left is not
     * listed: look whether it is lossless before it is added. */
    char text[TM_PLAN_PIPELINE_MAX] = "";
    bool lossless = false;
    tm_status status = resolver->resolve(resolver->context, match.codec, text, &lossless, err);
    if (status != TM_OK) {
        tm_err_prefix(err, tm_recipe_name(recipe));
        return status;
    }
    const char *reason = lossless ? NULL : unfit(tensor);
    if (reason == NULL || (match.exact && tm_dtype_is_float(tensor->dtype))) {
        return resolve(resolver, match.codec, plan, &out->pipeline, err);
    }
    if (match.exact) {
        return tm_err_set(err, TM_E_USAGE, tensor->name, "cannot plan the tensor",
                          "keep it: codec = \"keep\"",
                          "rule %u of the recipe %s rounds numbers, and these are %s",
                          match.rule + 1, tm_recipe_name(recipe), tm_dtype_name(tensor->dtype));
    }
    out->reason = reason;
    return resolve(resolver, "keep", plan, &out->pipeline, err);
}

tm_status tm_plan_make(const struct tm_recipe *recipe, const struct tm_inventory *inventory,
                       const struct tm_codec_resolver *resolver, struct tm_plan *out,
                       struct tm_err *err)
{
    *out = (struct tm_plan){0};
    tm_status status = TM_OK;
    out->tensors = tm_calloc(inventory->tensor_count, sizeof *out->tensors);
    if (out->tensors == NULL) {
        return TM_E_NOMEM;
    }
    out->tensor_count = inventory->tensor_count;
    for (size_t i = 0; i < inventory->tensor_count && status == TM_OK; i++) {
        status = plan_tensor(recipe, &inventory->tensors[i], resolver, out, &out->tensors[i], err);
    }
    if (status != TM_OK) {
        tm_plan_deinit(out);
    }
    return status;
}
