/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/split.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define BLOCK_WEIGHTS_MAX (16u * 1024 * 1024)
#define UNITS_MAX ((uint64_t)1 << 31)
#define LAYERS_MAX 65536 /* larger numbers in names are no layers */

int64_t tm_layer_of_name(const char *name)
{
    for (const char *part = name; *part != '\0';) {
        size_t bytes = strcspn(part, "./");
        uint64_t number = 0;
        if (tm_parse_u64(tm_view_of(part, bytes), &number) == TM_OK && number < LAYERS_MAX) {
            return (int64_t)number;
        }
        part += bytes + (part[bytes] != '\0' ? 1 : 0);
    }
    return -1;
}

/* How the units of one tensor or attachment tile it: `bands` bands of `band_rows` rows (the last
 * may be shorter), each cut into `cuts` parts of `cut_cols` columns (the last may be shorter). */
struct tiling {
    uint64_t rows, cols;
    uint64_t band_rows, cut_cols;
    uint64_t bands, cuts;
    uint32_t block_elements, block_bytes; /* of the dtype; 1 and 1 for bytes */
};

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    TM_ASSERT(b > 0);
    return a / b + (a % b != 0 ? 1 : 0);
}

static struct tiling tile_bytes(uint64_t bytes, uint32_t block_weights)
{
    uint64_t piece = (uint64_t)block_weights * 4;
    return (struct tiling){.rows = 1,
                           .cols = bytes,
                           .band_rows = 1,
                           .cut_cols = piece,
                           .bands = bytes > 0 ? 1 : 0,
                           .cuts = ceil_div(bytes, piece),
                           .block_elements = 1,
                           .block_bytes = 1};
}

/* A dtype's block divides the last dimension and 256, so that every cut falls between blocks. */
static struct tiling tile_matrix(const struct tm_tensor *tensor, uint32_t block_weights)
{
    struct tiling t = {.block_elements = tm_dtype_block_elements(tensor->dtype),
                       .block_bytes = tm_dtype_block_bytes(tensor->dtype)};
    tm_shape_matrix(&tensor->shape, &t.rows, &t.cols);
    bool whole_rows = t.cols <= block_weights;
    t.band_rows = whole_rows && t.cols > 0 ? block_weights / t.cols : 1;
    t.cut_cols = whole_rows ? t.cols : block_weights;
    t.bands = ceil_div(t.rows, t.band_rows);
    t.cuts = t.cols > 0 ? ceil_div(t.cols, t.cut_cols) : 0;
    return t;
}

static struct tiling tile(const struct tm_inventory *inventory, const struct tm_plan *plan,
                          size_t index, uint32_t block_weights)
{
    if (index >= inventory->tensor_count) {
        return tile_bytes(inventory->attachments[index - inventory->tensor_count].bytes,
                          block_weights);
    }
    const struct tm_tensor *tensor = &inventory->tensors[index];
    return plan->lossless[plan->tensors[index].pipeline] ? tile_bytes(tensor->bytes, block_weights)
                                                         : tile_matrix(tensor, block_weights);
}

static struct tm_unit *put_units(const struct tiling *t, struct tm_unit model, struct tm_unit *out)
{
    for (uint64_t band = 0; band < t->bands; band++) {
        uint64_t row = band * t->band_rows;
        uint64_t rows = t->rows - row < t->band_rows ? t->rows - row : t->band_rows;
        for (uint64_t cut = 0; cut < t->cuts; cut++) {
            uint64_t col = cut * t->cut_cols;
            uint64_t cols = t->cols - col < t->cut_cols ? t->cols - col : t->cut_cols;
            model.rows = (uint32_t)rows;
            model.cols = (uint32_t)cols;
            model.source_offset =
                (row * t->cols + col) / t->block_elements * (uint64_t)t->block_bytes;
            model.source_bytes =
                (uint32_t)(rows * cols / t->block_elements * (uint64_t)t->block_bytes);
            *out++ = model;
        }
    }
    return out;
}

/* Group of each layer number, given out in order of first appearance. */
struct groups {
    uint32_t *of_layer; /* [LAYERS_MAX], group + 1 or 0 */
    uint32_t count;
    bool in_loose;  /* the last tensor belonged to no layer */
    uint32_t loose; /* its group */
};

static uint32_t group_of(struct groups *groups, const char *name)
{
    int64_t layer = name != NULL ? tm_layer_of_name(name) : -1;
    if (layer < 0) {
        if (!groups->in_loose) {
            groups->loose = groups->count++;
        }
        groups->in_loose = true;
        return groups->loose;
    }
    groups->in_loose = false;
    if (groups->of_layer[layer] == 0) {
        groups->of_layer[layer] = ++groups->count;
    }
    return groups->of_layer[layer] - 1;
}

static tm_status count_units(const struct tm_inventory *inventory, const struct tm_plan *plan,
                             uint32_t block_weights, struct tm_split *out, struct tm_err *err)
{
    size_t parts = inventory->tensor_count + inventory->attachment_count;
    uint64_t total = 0;
    for (size_t i = 0; i < parts; i++) {
        struct tiling t = tile(inventory, plan, i, block_weights);
        uint64_t count = 0;
        if (!tm_mul_u64(t.bands, t.cuts, &count) || count > UNITS_MAX - total) {
            return tm_err_set(err, TM_E_LIMIT,
                              i < inventory->tensor_count ? inventory->tensors[i].name : NULL,
                              "cannot split the model", "use larger blocks",
                              "more than 2^31 units of %u weights", block_weights);
        }
        out->first[i] = (uint32_t)total;
        total += count;
    }
    out->first[parts] = (uint32_t)total;
    out->unit_count = (uint32_t)total;
    return TM_OK;
}

static void fill_units(const struct tm_inventory *inventory, const struct tm_plan *plan,
                       uint32_t block_weights, uint32_t keep, struct groups *groups,
                       struct tm_split *out)
{
    struct tm_unit *at = out->units;
    size_t parts = inventory->tensor_count + inventory->attachment_count;
    for (size_t i = 0; i < parts; i++) {
        struct tiling t = tile(inventory, plan, i, block_weights);
        if (t.bands == 0 || t.cuts == 0) {
            continue;
        }
        bool attachment = i >= inventory->tensor_count;
        struct tm_unit model = {
            .tensor = (uint32_t)(attachment ? i - inventory->tensor_count : i),
            .attachment = attachment,
            .pipeline = attachment ? keep : plan->tensors[i].pipeline,
            .group = group_of(groups, attachment ? NULL : inventory->tensors[i].name)};
        model.lossless = plan->lossless[model.pipeline];
        at = put_units(&t, model, at);
    }
    TM_ASSERT(at == out->units + out->unit_count);
}

static tm_status check_inputs(const struct tm_inventory *inventory, const struct tm_plan *plan,
                              uint32_t block_weights, struct tm_err *err)
{
    TM_ASSERT(plan->tensor_count == inventory->tensor_count);
    if (block_weights == 0 || block_weights % 256 != 0 || block_weights > BLOCK_WEIGHTS_MAX) {
        return tm_err_set(err, TM_E_USAGE, NULL, "cannot split the model", NULL,
                          "blocks of %u weights; must be a multiple of 256, 256 to %u",
                          block_weights, BLOCK_WEIGHTS_MAX);
    }
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        const struct tm_tensor *tensor = &inventory->tensors[i];
        uint64_t bytes = 0;
        if (!tm_shape_bytes(&tensor->shape, tensor->dtype, &bytes) || bytes != tensor->bytes) {
            return tm_err_set(err, TM_E_MALFORMED, tensor->name, "cannot split the tensor", NULL,
                              "its shape takes %llu bytes, it has %llu", (unsigned long long)bytes,
                              (unsigned long long)tensor->bytes);
        }
    }
    return TM_OK;
}

tm_status tm_split_make(const struct tm_inventory *inventory, struct tm_plan *plan,
                        uint32_t block_weights, struct tm_split *out, struct tm_err *err)
{
    *out = (struct tm_split){0};
    TM_TRY(check_inputs(inventory, plan, block_weights, err));
    struct groups groups = {0};
    uint32_t keep = 0;
    tm_status status = TM_OK;
    if (inventory->attachment_count > 0) {
        TM_TRY(tm_plan_keep_pipeline(plan, &keep));
    }
    size_t parts = inventory->tensor_count + inventory->attachment_count;
    out->first = tm_calloc(parts + 1, sizeof *out->first);
    groups.of_layer = tm_calloc(LAYERS_MAX, sizeof *groups.of_layer);
    if (out->first == NULL || groups.of_layer == NULL) {
        status = TM_E_NOMEM;
        goto done;
    }
    TM_TRY_GOTO(count_units(inventory, plan, block_weights, out, err), done);
    out->units = tm_calloc(out->unit_count, sizeof *out->units);
    if (out->units == NULL) {
        status = TM_E_NOMEM;
        goto done;
    }
    fill_units(inventory, plan, block_weights, keep, &groups, out);
    out->group_count = groups.count;
done:
    tm_free(groups.of_layer);
    if (status != TM_OK) {
        tm_split_deinit(out);
    }
    return status;
}

void tm_split_deinit(struct tm_split *split)
{
    tm_free(split->units);
    tm_free(split->first);
    *split = (struct tm_split){0};
}
