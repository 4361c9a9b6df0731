/* SPDX-License-Identifier: Apache-2.0
 * A recipe says what to do with tensors by pattern; a plan says it for each tensor of one model. Both
 * are TOML (docs/formats/plan.md). Pipelines are texts here: stages/ gives them meaning.
 *
 *   schema = 1
 *   rule = [ { match = "*", codec = "int4" },              # the last matching rule wins
 *            { match = "*norm*", codec = "keep" },         # "*" and "?" globs over the whole name
 *            { match = "token_embd.weight", codec = "int.1(bits=8,group=32) > rans.1" } ] */
#ifndef TM_SCHEDULER_PLAN_H
#define TM_SCHEDULER_PLAN_H

#include "model/inventory.h"

#define TM_PLAN_PIPELINE_MAX 256
#define TM_CODEC_KEEP "zstd.1(level=9)"

struct tm_recipe;
/* Built-in names: int8, int4, ternary. TM_E_NOT_FOUND lists them. */
tm_status tm_recipe_builtin(const char *name, struct tm_recipe **out,
                            struct tm_err *err) TM_MUST_USE;
/* Strict: unknown keys are errors with line:column. */
tm_status tm_recipe_parse(struct tm_view text, const char *name, struct tm_recipe **out,
                          struct tm_err *err) TM_MUST_USE;
void tm_recipe_destroy(struct tm_recipe **recipe);

/* Turns a codec of a recipe ("int4", "keep", or a pipeline text) into a canonical pipeline text and
 * says whether it is lossless; given by node/ over stages/, so that this folder need not know them. */
struct tm_codec_resolver {
    tm_status (*resolve)(void *context, const char *codec, char out[TM_PLAN_PIPELINE_MAX],
                         bool *lossless, struct tm_err *err);
    void *context;
};

struct tm_plan_tensor {
    uint32_t pipeline;  /* index into pipelines */
    const char *reason; /* static text when the tensor is kept though a rule would compress it:
                         * "integer type", "one-dimensional", "rows shorter than 32", "holds NaN" */
};

struct tm_plan {
    char (*pipelines)[TM_PLAN_PIPELINE_MAX]; /* unique, in order of first use */
    bool *lossless;
    uint32_t pipeline_count;
    struct tm_plan_tensor *tensors; /* as in the inventory */
    size_t tensor_count;
};
void tm_plan_deinit(struct tm_plan *plan);

/* Applies a recipe. One-dimensional tensors, integer types and matrices with columns < 32 (see
 * tm_shape_matrix) are kept unless a rule names them exactly (no glob). A name that no rule matches
 * is TM_E_USAGE. */
tm_status tm_plan_make(const struct tm_recipe *recipe, const struct tm_inventory *inventory,
                       const struct tm_codec_resolver *resolver, struct tm_plan *out,
                       struct tm_err *err) TM_MUST_USE;
/* Keeps tensor `index` losslessly for a static reason (preflight found it unfit). */
tm_status tm_plan_keep(struct tm_plan *plan, size_t index, const char *reason) TM_MUST_USE;
/* plan.toml: per tensor name, dtype, shape, pipeline, reason, and its source digest when digests[i]
 * is not NULL. Deterministic bytes. */
tm_status tm_plan_write(const struct tm_plan *plan, const struct tm_inventory *inventory,
                        const char *const *digests, struct tm_buf *out) TM_MUST_USE;
tm_status tm_plan_read(struct tm_view text, const char *name,
                       const struct tm_inventory *inventory, struct tm_plan *out,
                       struct tm_err *err) TM_MUST_USE;

#endif
