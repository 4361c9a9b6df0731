/* SPDX-License-Identifier: Apache-2.0
 * plan.toml: writing and reading. */
#include "scheduler/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/toml.h"

#define REASONS_MAX 64
#define REASON_BYTES_MAX 255

/* ---- writing --------------------------------------------------------------------------------- */

static tm_status put_key(struct tm_buf *out, const char *key, struct tm_view text)
{
    TM_TRY(tm_buf_printf(out, "%s = ", key));
    TM_TRY(tm_toml_put_str(out, text));
    return tm_buf_put_str(out, "\n");
}

static tm_status put_tensor(const struct tm_plan *plan, const struct tm_tensor *tensor,
                            const struct tm_plan_tensor *planned, const char *digest,
                            struct tm_buf *out)
{
    TM_TRY(tm_buf_put_str(out, "\n[[tensor]]\n"));
    TM_TRY(put_key(out, "name", tm_view_of(tensor->name, tensor->name_bytes)));
    TM_TRY(put_key(out, "dtype", tm_view_str(tm_dtype_name(tensor->dtype))));
    TM_TRY(tm_buf_put_str(out, "shape = ["));
    for (uint32_t d = 0; d < tensor->shape.rank; d++) {
        TM_TRY(tm_buf_printf(out, "%s%" PRIu64, d > 0 ? ", " : "", tensor->shape.dim[d]));
    }
    TM_TRY(tm_buf_put_str(out, "]\n"));
    TM_TRY(put_key(out, "pipeline", tm_view_str(plan->pipelines[planned->pipeline])));
    if (planned->reason != NULL) {
        TM_TRY(put_key(out, "reason", tm_view_str(planned->reason)));
    }
    return digest != NULL ? put_key(out, "sha256", tm_view_str(digest)) : TM_OK;
}

tm_status tm_plan_write(const struct tm_plan *plan, const struct tm_inventory *inventory,
                        const char *const *digests, struct tm_buf *out)
{
    TM_ASSERT(plan->tensor_count == inventory->tensor_count);
    TM_TRY(tm_buf_put_str(out, "schema = 1\n"));
    for (uint32_t i = 0; i < plan->pipeline_count; i++) {
        TM_TRY(tm_buf_put_str(out, "\n[[pipeline]]\n"));
        TM_TRY(put_key(out, "text", tm_view_str(plan->pipelines[i])));
        TM_TRY(tm_buf_printf(out, "lossless = %s\n", plan->lossless[i] ? "true" : "false"));
    }
    for (size_t i = 0; i < plan->tensor_count; i++) {
        TM_TRY(put_tensor(plan, &inventory->tensors[i], &plan->tensors[i],
                          digests != NULL ? digests[i] : NULL, out));
    }
    return TM_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const char *name;
    struct tm_plan *plan;
    struct tm_err *err;
};

static tm_status refuse(const struct reading *r, const struct tm_toml *at, tm_status status,
                        const char *why)
{
    char where[512];
    snprintf(where, sizeof where, "%.400s:%u:%u", r->name, at->line, at->column);
    const char *hint = status == TM_E_INCOMPATIBLE ? "make the plan anew for this model" : NULL;
    return tm_err_set(r->err, status, where, "cannot use the plan", hint, "%s", why);
}

/* A member that must be a text without NUL. */
static tm_status get_text(const struct reading *r, const struct tm_toml *table, const char *key,
                          const char **out)
{
    const struct tm_toml *item = tm_toml_get(table, key);
    char why[64];
    if (item == NULL) {
        snprintf(why, sizeof why, "%s is missing", key);
        return refuse(r, table, TM_E_USAGE, why);
    }
    if (item->kind != TM_TOML_STRING || strlen(item->string.data) != item->string.bytes) {
        snprintf(why, sizeof why, "%s must be a text", key);
        return refuse(r, item, TM_E_USAGE, why);
    }
    *out = item->string.data;
    return TM_OK;
}

static tm_status read_pipeline(const struct reading *r, const struct tm_toml *item)
{
    static const char *const allowed[] = {"text", "lossless", NULL};
    if (item->kind != TM_TOML_TABLE) {
        return refuse(r, item, TM_E_USAGE, "a pipeline must be a table");
    }
    TM_TRY(tm_toml_check_keys(item, allowed, r->name, r->err));
    const char *text = "";
    TM_TRY(get_text(r, item, "text", &text));
    if (text[0] == '\0' || strlen(text) >= TM_PLAN_PIPELINE_MAX) {
        return refuse(r, item, TM_E_USAGE, "text must have 1 to 255 bytes");
    }
    if (tm_toml_get(item, "lossless") == NULL) {
        return refuse(r, item, TM_E_USAGE, "lossless is missing");
    }
    bool lossless = false;
    TM_TRY(tm_toml_get_bool(item, "lossless", r->name, &lossless, r->err));
    uint32_t before = r->plan->pipeline_count, index = 0;
    TM_TRY(tm_plan_add_pipeline(r->plan, text, lossless, &index));
    return index == before ? TM_OK : refuse(r, item, TM_E_USAGE, "the pipeline is there twice");
}

/* The plan's own copy of a reason; few different ones are expected. */
static tm_status intern_reason(const struct reading *r, const struct tm_toml *at, const char *text,
                               const char **out)
{
    struct tm_plan *plan = r->plan;
    for (uint32_t i = 0; i < plan->reason_count; i++) {
        if (strcmp(plan->reasons[i], text) == 0) {
            *out = plan->reasons[i];
            return TM_OK;
        }
    }
    if (plan->reason_count == REASONS_MAX || strlen(text) > REASON_BYTES_MAX) {
        return refuse(r, at, TM_E_USAGE,
                      "more than 64 different reasons, or a longer one than 255 bytes");
    }
    if (plan->reasons == NULL) {
        plan->reasons = tm_calloc(REASONS_MAX, sizeof *plan->reasons);
        if (plan->reasons == NULL) {
            return TM_E_NOMEM;
        }
    }
    char *copy = tm_strdup(text);
    if (copy == NULL) {
        return TM_E_NOMEM;
    }
    plan->reasons[plan->reason_count++] = copy;
    *out = copy;
    return TM_OK;
}

static tm_status check_shape(const struct reading *r, const struct tm_toml *item,
                             const struct tm_tensor *tensor)
{
    const struct tm_toml *shape = tm_toml_get(item, "shape");
    bool same =
        shape != NULL && shape->kind == TM_TOML_ARRAY && shape->list.count == tensor->shape.rank;
    for (uint32_t d = 0; same && d < tensor->shape.rank; d++) {
        const struct tm_toml *dim = shape->list.items[d];
        same = dim->kind == TM_TOML_INT && dim->integer >= 0 &&
               (uint64_t)dim->integer == tensor->shape.dim[d];
    }
    if (!same) {
        char text[256], why[320];
        snprintf(why, sizeof why, "the model's tensor has the shape %s",
                 tm_shape_text(&tensor->shape, text, sizeof text));
        return refuse(r, shape != NULL ? shape : item, TM_E_INCOMPATIBLE, why);
    }
    return TM_OK;
}

/* Name, dtype and shape must be the model's; its digest only has to look like one. */
static tm_status check_source(const struct reading *r, const struct tm_toml *item,
                              const struct tm_tensor *tensor)
{
    const struct tm_toml *name = tm_toml_get(item, "name");
    if (name == NULL || name->kind != TM_TOML_STRING ||
        !tm_view_eq(tm_view_of(name->string.data, name->string.bytes),
                    tm_view_of(tensor->name, tensor->name_bytes))) {
        char escaped[200], why[300];
        snprintf(why, sizeof why, "the model's tensor here is '%s'",
                 tm_escape(tensor->name, tensor->name_bytes, escaped, sizeof escaped));
        return refuse(r, item, TM_E_INCOMPATIBLE, why);
    }
    const char *dtype = "", *digest = "";
    TM_TRY(get_text(r, item, "dtype", &dtype));
    if (strcmp(dtype, tm_dtype_name(tensor->dtype)) != 0) {
        return refuse(r, item, TM_E_INCOMPATIBLE, "the model's tensor has another dtype");
    }
    if (tm_toml_get(item, "sha256") != NULL) {
        TM_TRY(get_text(r, item, "sha256", &digest));
        if (strlen(digest) != 64 || strspn(digest, "0123456789abcdef") != 64) {
            return refuse(r, item, TM_E_USAGE, "sha256 must have 64 hex digits");
        }
    }
    return check_shape(r, item, tensor);
}

static tm_status read_tensor(const struct reading *r, const struct tm_toml *item,
                             const struct tm_tensor *tensor, struct tm_plan_tensor *out)
{
    static const char *const allowed[] = {"name",   "dtype",  "shape", "pipeline",
                                          "reason", "sha256", NULL};
    if (item->kind != TM_TOML_TABLE) {
        return refuse(r, item, TM_E_USAGE, "a tensor must be a table");
    }
    TM_TRY(tm_toml_check_keys(item, allowed, r->name, r->err));
    TM_TRY(check_source(r, item, tensor));
    const char *text = "";
    TM_TRY(get_text(r, item, "pipeline", &text));
    uint32_t index = 0;
    while (index < r->plan->pipeline_count && strcmp(r->plan->pipelines[index], text) != 0) {
        index++;
    }
    if (index == r->plan->pipeline_count) {
        return refuse(r, item, TM_E_USAGE, "no [[pipeline]] has the tensor's pipeline as its text");
    }
    if (!r->plan->lossless[index] && !tm_dtype_is_float(tensor->dtype)) {
        return refuse(r, item, TM_E_USAGE, "the pipeline rounds numbers, and these are integers");
    }
    out->pipeline = index;
    if (tm_toml_get(item, "reason") == NULL) {
        return TM_OK;
    }
    TM_TRY(get_text(r, item, "reason", &text));
    return intern_reason(r, item, text, &out->reason);
}

static tm_status read_pipelines(const struct reading *r, const struct tm_toml *root)
{
    const struct tm_toml *list = tm_toml_get(root, "pipeline");
    if (list == NULL) {
        return TM_OK; /* a model without tensors */
    }
    if (list->kind != TM_TOML_ARRAY || list->list.count > TM_PLAN_PIPELINES_MAX) {
        return refuse(r, list, TM_E_USAGE, "there must be at most 16 tables [[pipeline]]");
    }
    for (size_t i = 0; i < list->list.count; i++) {
        TM_TRY(read_pipeline(r, list->list.items[i]));
    }
    return TM_OK;
}

static tm_status read_root(const struct reading *r, const struct tm_toml *root,
                           const struct tm_inventory *inventory)
{
    static const char *const allowed[] = {"schema", "pipeline", "tensor", NULL};
    TM_TRY(tm_toml_check_keys(root, allowed, r->name, r->err));
    if (tm_toml_get(root, "schema") == NULL) {
        return refuse(r, root, TM_E_USAGE, "schema is missing");
    }
    uint64_t schema = 0;
    TM_TRY(tm_toml_get_u64(root, "schema", r->name, 1, 1, &schema, r->err));
    TM_TRY(read_pipelines(r, root));
    const struct tm_toml *list = tm_toml_get(root, "tensor");
    if (list != NULL && list->kind != TM_TOML_ARRAY) {
        return refuse(r, list, TM_E_USAGE, "there must be tables [[tensor]]");
    }
    size_t count = list != NULL ? list->list.count : 0;
    if (count != inventory->tensor_count) {
        char why[96];
        snprintf(why, sizeof why, "the plan has %zu tensors, the model %zu", count,
                 inventory->tensor_count);
        return refuse(r, list != NULL ? list : root, TM_E_INCOMPATIBLE, why);
    }
    r->plan->tensors = tm_calloc(count, sizeof *r->plan->tensors);
    if (r->plan->tensors == NULL) {
        return TM_E_NOMEM;
    }
    r->plan->tensor_count = count;
    for (size_t i = 0; i < count; i++) {
        TM_TRY(read_tensor(r, list->list.items[i], &inventory->tensors[i], &r->plan->tensors[i]));
    }
    return TM_OK;
}

tm_status tm_plan_read(struct tm_view text, const char *name, const struct tm_inventory *inventory,
                       struct tm_plan *out, struct tm_err *err)
{
    *out = (struct tm_plan){0};
    struct tm_toml *root = NULL;
    TM_TRY(tm_toml_parse(text, name, &root, err));
    struct reading r = {.name = name, .plan = out, .err = err};
    tm_status status = read_root(&r, root, inventory);
    tm_toml_free(&root);
    if (status != TM_OK) {
        tm_plan_deinit(out);
    }
    return status;
}
