/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/stage.h"

#include <stdio.h>

static const struct {
    const char *name;
    uint32_t version;
} stages[] = {
#define ROW(code, value, text, number) [code] = {text, number},
    TM_STAGE_LIST(ROW)
#undef ROW
};

#define STAGE_END (sizeof stages / sizeof stages[0])

static bool known(enum tm_stage_id id)
{
    return (size_t)id < STAGE_END && stages[id].name != NULL;
}

void tm_symbols_init(struct tm_symbols *symbols)
{
    symbols->alphabet = 0;
    symbols->count = 0;
    tm_buf_init(&symbols->codes, TM_BLOCK_WEIGHTS_MAX);
    tm_buf_init(&symbols->side, 2 * (size_t)TM_BLOCK_WEIGHTS_MAX);
}

void tm_symbols_deinit(struct tm_symbols *symbols)
{
    tm_buf_deinit(&symbols->codes);
    tm_buf_deinit(&symbols->side);
    symbols->alphabet = 0;
    symbols->count = 0;
}

const char *tm_stage_name(enum tm_stage_id id)
{
    TM_ASSERT(known(id));
    return stages[id].name;
}

uint32_t tm_stage_version(enum tm_stage_id id)
{
    TM_ASSERT(known(id));
    return stages[id].version;
}

bool tm_stage_parse(struct tm_view name, enum tm_stage_id *out)
{
    for (size_t id = 0; id < STAGE_END; id++) {
        if (stages[id].name != NULL && tm_view_eq_str(name, stages[id].name)) {
            *out = (enum tm_stage_id)id;
            return true;
        }
    }
    return false;
}

enum tm_data_kind tm_stage_input(enum tm_stage_id id)
{
    switch (id) {
    case TM_STAGE_INT:
    case TM_STAGE_TERNARY:
        return TM_DATA_FLOAT;
    case TM_STAGE_RANS:
        return TM_DATA_SYMBOLS;
    case TM_STAGE_ZSTD:
    case TM_STAGE_RAW:
        return TM_DATA_BYTES;
    }
    TM_ASSERT(!"a stage id");
    return TM_DATA_BYTES;
}

enum tm_data_kind tm_stage_output(enum tm_stage_id id)
{
    return tm_stage_input(id) == TM_DATA_FLOAT ? TM_DATA_SYMBOLS : TM_DATA_BYTES;
}

bool tm_shape_is_block(struct tm_block_shape shape)
{
    return (uint64_t)shape.rows * shape.cols <= TM_BLOCK_WEIGHTS_MAX;
}

void tm_stage_symbol_counts(enum tm_stage_id id, const struct tm_stage_params *params,
                            struct tm_block_shape shape, size_t *symbols, size_t *side_bytes,
                            uint32_t *alphabet)
{
    TM_ASSERT(tm_stage_input(id) == TM_DATA_FLOAT && params->group > 0);
    size_t weights = (size_t)shape.rows * shape.cols;
    *side_bytes = 2 * (size_t)shape.rows * tm_row_groups(shape.cols, params->group);
    if (id == TM_STAGE_INT) {
        *symbols = weights;
        *alphabet = params->bits == 4 ? 16 : 256;
    } else {
        *symbols = weights / TM_TRITS + (weights % TM_TRITS != 0);
        *alphabet = TM_TRIT_ALPHABET;
    }
}

/* Whether the trits of the last symbol that no weight uses are code 0. */
static bool spare_trits_clear(struct tm_block_shape shape, const struct tm_symbols *symbols)
{
    size_t used = (size_t)shape.rows * shape.cols % TM_TRITS;
    if (used == 0) {
        return true;
    }
    unsigned last = symbols->codes.data[symbols->count - 1];
    for (size_t i = 0; i < TM_TRITS; i++, last /= 3) {
        if (i >= used && last % 3 != 1) {
            return false;
        }
    }
    return true;
}

tm_status tm_symbols_check(enum tm_stage_id id, const struct tm_stage_params *params,
                           struct tm_block_shape shape, const struct tm_symbols *symbols,
                           struct tm_err *err)
{
    static const char what[] = "cannot decode weights";
    uint32_t groups = tm_row_groups(shape.cols, params->group);
    for (size_t i = 0; i < symbols->side.bytes / 2; i++) {
        if ((symbols->side.data[2 * i + 1] & 0x7c) == 0x7c) {
            return tm_err_set(err, TM_E_MALFORMED, NULL, what, NULL,
                              "the scale of row %zu, group %zu is not finite", i / groups,
                              i % groups);
        }
    }
    if (id == TM_STAGE_TERNARY && !spare_trits_clear(shape, symbols)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what, NULL,
                          "a trit after the last weight is used");
    }
    return TM_OK;
}

const char *tm_unfit_text(enum tm_unfit unfit)
{
    switch (unfit) {
    case TM_FITS:
        return "fits";
    case TM_UNFIT_NAN:
        return "holds NaN";
    case TM_UNFIT_INF:
        return "holds an infinite value";
    case TM_UNFIT_SCALE_RANGE:
        return "needs a scale that float16 cannot hold";
    }
    return "does not fit";
}

tm_status tm_misfit_refuse(struct tm_misfit misfit, struct tm_err *err)
{
    char where[64];
    snprintf(where, sizeof where, "row %u, column %u of the block", misfit.row, misfit.col);
    return tm_err_set(err, TM_E_REFUSED, where, "cannot quantize", "leave this tensor as it is",
                      "it %s", tm_unfit_text(misfit.why));
}
