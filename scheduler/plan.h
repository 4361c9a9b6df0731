/* SPDX-License-Identifier: Apache-2.0
 * A plan says which pipeline encodes each tensor of one model; a recipe (scheduler/recipe.h) makes
 * it, plan.toml (docs/formats/plan.md) keeps it. Pipelines are texts here: stages/ gives them
 * meaning. */
#ifndef TM_SCHEDULER_PLAN_H
#define TM_SCHEDULER_PLAN_H

#include "model/inventory.h"
#include "scheduler/recipe.h"

#define TM_PLAN_PIPELINE_MAX 256
#define TM_PLAN_PIPELINES_MAX 16 /* as many as WELCOME can name */
#define TM_CODEC_KEEP "zstd.1(level=9)"

/* Turns a codec of a recipe ("int4", "keep", or a pipeline text) into a canonical pipeline text and
 * says whether it is lossless; given by node/ over stages/, so that this folder need not know them.
 */
struct tm_codec_resolver {
    tm_status (*resolve)(void *context, const char *codec, char out[TM_PLAN_PIPELINE_MAX],
                         bool *lossless, struct tm_err *err);
    void *context;
};

struct tm_plan_tensor {
    uint32_t pipeline; /* index into pipelines */
    /* NULL, or why the tensor is kept though a rule would compress it: "integer type",
     * "one-dimensional", "rows shorter than 32", "no elements", "holds NaN". Static, or the plan's.
     */
    const char *reason;
};

struct tm_plan {
    char (*pipelines)[TM_PLAN_PIPELINE_MAX]; /* unique, in order of first use */
    bool *lossless;
    uint32_t pipeline_count;
    struct tm_plan_tensor *tensors; /* as in the inventory */
    size_t tensor_count;
    char **reasons; /* texts of the tensors' reasons that were read from a file */
    uint32_t reason_count;
};
void tm_plan_deinit(struct tm_plan *plan);

/* Applies a recipe. One-dimensional tensors, integer types and matrices with columns < 32 (see
 * tm_shape_matrix) are kept unless a rule names them exactly (no glob). TM_E_USAGE: a name that no
 * rule matches; a rule that names an integer tensor exactly and would round it. */
tm_status tm_plan_make(const struct tm_recipe *recipe, const struct tm_inventory *inventory,
                       const struct tm_codec_resolver *resolver, struct tm_plan *out,
                       struct tm_err *err) TM_MUST_USE;
/* Index of a pipeline text, added when it is new. TM_E_LIMIT beyond TM_PLAN_PIPELINES_MAX. */
tm_status tm_plan_add_pipeline(struct tm_plan *plan, const char *text, bool lossless,
                               uint32_t *out) TM_MUST_USE;
/* Index of the pipeline that keeps things: TM_CODEC_KEEP, else the first lossless one, else
 * TM_CODEC_KEEP is added. TM_E_LIMIT when the plan is full of others. */
tm_status tm_plan_keep_pipeline(struct tm_plan *plan, uint32_t *out) TM_MUST_USE;
/* Keeps tensor `index` losslessly for a static reason (preflight found it unfit). */
tm_status tm_plan_keep(struct tm_plan *plan, size_t index, const char *reason) TM_MUST_USE;
/* plan.toml: per tensor name, dtype, shape, pipeline, reason, and its source digest (64 hex digits)
 * when digests and digests[i] are not NULL. Deterministic bytes. */
tm_status tm_plan_write(const struct tm_plan *plan, const struct tm_inventory *inventory,
                        const char *const *digests, struct tm_buf *out) TM_MUST_USE;
/* TM_E_USAGE with line:column for a text that is no plan, TM_E_INCOMPATIBLE for a plan of another
 * model. Digests are checked for their form only. */
tm_status tm_plan_read(struct tm_view text, const char *name, const struct tm_inventory *inventory,
                       struct tm_plan *out, struct tm_err *err) TM_MUST_USE;

#endif
