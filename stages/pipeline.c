/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/pipeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "stages/int_decode.h"
#include "stages/lossless_decode.h"
#include "stages/packing.h"
#include "stages/rans_decode.h"
#include "stages/ternary_decode.h"

/* ---- text ---- */

/* Every parameter of every stage, in the order of the canonical text. */
static const struct param {
    enum tm_stage_id stage;
    const char *key;
    size_t offset;                      /* in struct tm_stage_params */
    uint32_t usual, min, max, multiple; /* usual: when the text leaves it out */
} param_list[] = {
    {TM_STAGE_INT, "bits", offsetof(struct tm_stage_params, bits), 8, 4, 8, 4},
    {TM_STAGE_INT, "group", offsetof(struct tm_stage_params, group), 32, 32, 32, 32},
    {TM_STAGE_TERNARY, "group", offsetof(struct tm_stage_params, group), 128, 32, 1024, 32},
    {TM_STAGE_ZSTD, "level", offsetof(struct tm_stage_params, level), 9, 1, 19, 1},
};
#define PARAMS (sizeof param_list / sizeof param_list[0])

static uint32_t *param_at(struct tm_stage_params *params, const struct param *param)
{
    return (uint32_t *)(void *)((char *)params + param->offset);
}

struct parser {
    struct tm_view text;
    size_t at;
    struct tm_err *err;
};

static tm_status TM_PRINTF(2, 3) fail(struct parser *p, const char *fmt, ...)
{
    char why[200], text[128], where[192];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    size_t shown = p->text.bytes < 80 ? p->text.bytes : 80;
    tm_escape((const char *)p->text.data, shown, text, sizeof text);
    snprintf(where, sizeof where, "pipeline '%s', column %zu", text, p->at + 1);
    return tm_err_set(p->err, TM_E_USAGE, where, "cannot read the pipeline",
                      "stages: int(bits=8|4), ternary(group=128), rans, zstd(level=9), raw", "%s",
                      why);
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->text.bytes && p->text.data[p->at] == ' ') {
        p->at++;
    }
}

/* Skips blanks and takes the character c if it is next. */
static bool take(struct parser *p, char c)
{
    skip_blanks(p);
    if (p->at < p->text.bytes && p->text.data[p->at] == (uint8_t)c) {
        p->at++;
        return true;
    }
    return false;
}

/* The run of lower-case letters, or of digits, that is next; may be empty. */
static struct tm_view take_run(struct parser *p, char first, char last)
{
    skip_blanks(p);
    size_t start = p->at;
    while (p->at < p->text.bytes && p->text.data[p->at] >= first && p->text.data[p->at] <= last) {
        p->at++;
    }
    return tm_view_of(p->text.data + start, p->at - start);
}

static tm_status take_number(struct parser *p, uint64_t *out)
{
    struct tm_view digits = take_run(p, '0', '9');
    if (tm_parse_u64(digits, out) != TM_OK) {
        return fail(p, "a number is missing or out of range");
    }
    return TM_OK;
}

static tm_status parse_param(struct parser *p, enum tm_stage_id id, struct tm_stage_params *params,
                             bool seen[PARAMS])
{
    struct tm_view key = take_run(p, 'a', 'z');
    size_t i = 0;
    while (i < PARAMS && (param_list[i].stage != id || !tm_view_eq_str(key, param_list[i].key))) {
        i++;
    }
    if (i == PARAMS) {
        return fail(p, "stage %s has no parameter '%.*s'", tm_stage_name(id),
                    (int)(key.bytes < 40 ? key.bytes : 40), (const char *)key.data);
    }
    const struct param *param = &param_list[i];
    if (seen[i]) {
        return fail(p, "parameter '%s' is given twice", param->key);
    }
    seen[i] = true;
    uint64_t value;
    if (!take(p, '=')) {
        return fail(p, "'=' is missing after '%s'", param->key);
    }
    TM_TRY(take_number(p, &value));
    if (value < param->min || value > param->max || value % param->multiple != 0) {
        return fail(p, "%s=%llu is out of range: a multiple of %u from %u to %u", param->key,
                    (unsigned long long)value, param->multiple, param->min, param->max);
    }
    *param_at(params, param) = (uint32_t)value;
    return TM_OK;
}

static tm_status parse_params(struct parser *p, enum tm_stage_id id, struct tm_stage_params *params)
{
    memset(params, 0, sizeof *params);
    for (size_t i = 0; i < PARAMS; i++) {
        if (param_list[i].stage == id) {
            *param_at(params, &param_list[i]) = param_list[i].usual;
        }
    }
    if (!take(p, '(') || take(p, ')')) {
        return TM_OK;
    }
    bool seen[PARAMS] = {false};
    do {
        TM_TRY(parse_param(p, id, params, seen));
    } while (take(p, ','));
    return take(p, ')') ? TM_OK : fail(p, "')' is missing");
}

static tm_status parse_stage(struct parser *p, struct tm_pipeline *out)
{
    if (out->count == TM_PIPELINE_STAGES_MAX) {
        return fail(p, "more than %d stages", TM_PIPELINE_STAGES_MAX);
    }
    struct tm_view name = take_run(p, 'a', 'z');
    enum tm_stage_id id;
    if (!tm_stage_parse(name, &id)) {
        return fail(p, "no stage is called '%.*s'", (int)(name.bytes < 40 ? name.bytes : 40),
                    (const char *)name.data);
    }
    uint64_t version = tm_stage_version(id);
    if (take(p, '.')) {
        TM_TRY(take_number(p, &version));
        if (version != tm_stage_version(id)) {
            return fail(p, "stage %s has no version %llu here, only %u", tm_stage_name(id),
                        (unsigned long long)version, tm_stage_version(id));
        }
    }
    out->stage[out->count].id = id;
    out->stage[out->count].version = (uint32_t)version;
    return parse_params(p, id, &out->stage[out->count++].params);
}

/* float -> symbols -> bytes, or one stage of bytes. */
static tm_status check_kinds(struct parser *p, const struct tm_pipeline *pipeline)
{
    enum tm_stage_id first = pipeline->stage[0].id;
    if (tm_stage_input(first) == TM_DATA_SYMBOLS) {
        return fail(p, "%s takes symbols and cannot come first", tm_stage_name(first));
    }
    for (uint32_t i = 1; i < pipeline->count; i++) {
        enum tm_stage_id id = pipeline->stage[i].id, before = pipeline->stage[i - 1].id;
        if (tm_stage_output(before) != TM_DATA_SYMBOLS || tm_stage_input(id) != TM_DATA_SYMBOLS) {
            return fail(p, "%s cannot take what %s gives", tm_stage_name(id),
                        tm_stage_name(before));
        }
    }
    return TM_OK;
}

tm_status tm_pipeline_parse(struct tm_view text, struct tm_pipeline *out, struct tm_err *err)
{
    struct parser p = {text, 0, err};
    memset(out, 0, sizeof *out);
    do {
        TM_TRY(parse_stage(&p, out));
    } while (take(&p, '>'));
    skip_blanks(&p);
    if (p.at != text.bytes) {
        return fail(&p, "'>' or the end was expected");
    }
    return check_kinds(&p, out);
}

const char *tm_pipeline_text(const struct tm_pipeline *pipeline, char *out)
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < pipeline->count; i++) {
        enum tm_stage_id id = pipeline->stage[i].id;
        struct tm_stage_params params = pipeline->stage[i].params;
        at += (size_t)snprintf(out + at, TM_PIPELINE_TEXT - at, "%s%s.%u", i > 0 ? " > " : "",
                               tm_stage_name(id), pipeline->stage[i].version);
        const char *before = "(";
        for (size_t k = 0; k < PARAMS; k++) {
            if (param_list[k].stage == id) {
                at += (size_t)snprintf(out + at, TM_PIPELINE_TEXT - at, "%s%s=%u", before,
                                       param_list[k].key, *param_at(&params, &param_list[k]));
                before = ",";
            }
        }
        at += (size_t)snprintf(out + at, TM_PIPELINE_TEXT - at, "%s", *before == ',' ? ")" : "");
    }
    TM_ASSERT(at < TM_PIPELINE_TEXT);
    return out;
}

/* ---- what a pipeline is ---- */

enum tm_data_kind tm_pipeline_input(const struct tm_pipeline *pipeline)
{
    return tm_stage_input(pipeline->stage[0].id);
}

bool tm_pipeline_is_lossless(const struct tm_pipeline *pipeline)
{
    return tm_pipeline_input(pipeline) == TM_DATA_BYTES;
}

static bool has_rans(const struct tm_pipeline *pipeline)
{
    return pipeline->stage[pipeline->count - 1].id == TM_STAGE_RANS;
}

size_t tm_pipeline_bound(const struct tm_pipeline *pipeline, struct tm_block_shape shape)
{
    enum tm_stage_id id = pipeline->stage[0].id;
    if (tm_pipeline_is_lossless(pipeline)) {
        size_t bytes = (size_t)shape.rows * shape.cols;
        return id == TM_STAGE_ZSTD ? tm_zstd_bound(bytes) : bytes;
    }
    size_t symbols, side_bytes;
    uint32_t alphabet;
    tm_stage_symbol_counts(id, &pipeline->stage[0].params, shape, &symbols, &side_bytes, &alphabet);
    if (has_rans(pipeline)) {
        return tm_rans_bound(alphabet, symbols) + 2 * tm_rans_bound(256, side_bytes / 2);
    }
    return side_bytes + tm_packed_bytes(alphabet, symbols);
}

/* ---- decoding ---- */

static tm_status malformed(struct tm_err *err, size_t at, const char *why)
{
    char where[48];
    snprintf(where, sizeof where, "byte %zu of the block", at);
    return tm_err_set(err, TM_E_MALFORMED, where, "cannot decode the block", NULL, "%s", why);
}

/* Scales as rans has them: the stream of their low bytes, then of their high bytes. */
static tm_status read_planes(struct tm_cursor *in, enum tm_decode_check check, size_t count,
                             uint8_t *side, struct tm_err *err)
{
    tm_status status = TM_OK;
    uint8_t *plane = tm_alloc(count);
    if (plane == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t k = 0; k < 2; k++) {
        TM_TRY_GOTO(tm_rans_decode(in, 256, count, check, plane, err), done);
        for (size_t i = 0; i < count; i++) {
            side[2 * i + k] = plane[i];
        }
    }
done:
    tm_free(plane);
    return status;
}

static tm_status read_plain(struct tm_cursor *in, struct tm_symbols *out, struct tm_err *err)
{
    struct tm_view side = tm_cursor_take(in, out->side.bytes);
    size_t start = in->at, bad;
    struct tm_view packed = tm_cursor_take(in, tm_packed_bytes(out->alphabet, out->count));
    if (in->overrun) {
        return malformed(err, in->at, "the block is cut short");
    }
    if (side.bytes > 0) {
        memcpy(out->side.data, side.data, side.bytes);
    }
    if (tm_unpack(out->alphabet, packed.data, out->count, out->codes.data, &bad) != TM_OK) {
        return malformed(err, start + bad, "a symbol or padding is out of range");
    }
    return TM_OK;
}

tm_status tm_pipeline_decode_symbols(const struct tm_pipeline *pipeline,
                                     struct tm_block_shape shape, struct tm_view encoded,
                                     enum tm_decode_check check, struct tm_symbols *out,
                                     struct tm_err *err)
{
    TM_ASSERT(!tm_pipeline_is_lossless(pipeline));
    if (!tm_shape_is_block(shape)) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "cannot decode the block", NULL,
                          "%u x %u weights are more than a block may have (%u)", shape.rows,
                          shape.cols, TM_BLOCK_WEIGHTS_MAX);
    }
    enum tm_stage_id id = pipeline->stage[0].id;
    const struct tm_stage_params *params = &pipeline->stage[0].params;
    size_t side_bytes;
    uint8_t *codes, *side;
    tm_stage_symbol_counts(id, params, shape, &out->count, &side_bytes, &out->alphabet);
    TM_TRY(tm_buf_extend(&out->codes, out->count, &codes));
    TM_TRY(tm_buf_extend(&out->side, side_bytes, &side));

    struct tm_cursor in = tm_cursor_of(encoded);
    if (has_rans(pipeline)) {
        TM_TRY(tm_rans_decode(&in, out->alphabet, out->count, check, codes, err));
        TM_TRY(read_planes(&in, check, side_bytes / 2, side, err));
    } else {
        TM_TRY(read_plain(&in, out, err));
    }
    if (tm_cursor_left(&in) > 0) {
        return malformed(err, in.at, "bytes are left after the block");
    }
    return tm_symbols_check(id, params, shape, out, err);
}

tm_status tm_pipeline_decode(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                             struct tm_view encoded, enum tm_decode_check check, float *values,
                             struct tm_err *err)
{
    struct tm_symbols symbols;
    tm_symbols_init(&symbols);
    tm_status status = tm_pipeline_decode_symbols(pipeline, shape, encoded, check, &symbols, err);
    if (status == TM_OK && pipeline->stage[0].id == TM_STAGE_INT) {
        tm_int_decode(&pipeline->stage[0].params, shape, &symbols, values);
    } else if (status == TM_OK) {
        tm_ternary_decode(&pipeline->stage[0].params, shape, &symbols, values);
    }
    tm_symbols_deinit(&symbols);
    return status;
}

tm_status tm_pipeline_decode_bytes(const struct tm_pipeline *pipeline, size_t bytes,
                                   struct tm_view encoded, uint8_t *out, struct tm_err *err)
{
    TM_ASSERT(tm_pipeline_is_lossless(pipeline));
    if (bytes > TM_BLOCK_BYTES_MAX) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "cannot decode the block", NULL,
                          "%zu bytes are more than a block may have (%u)", bytes,
                          TM_BLOCK_BYTES_MAX);
    }
    if (pipeline->stage[0].id == TM_STAGE_ZSTD) {
        return tm_zstd_decode(encoded, bytes, out, err);
    }
    if (encoded.bytes != bytes) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot decode the block", NULL,
                          "the block has %zu bytes, %zu were expected", encoded.bytes, bytes);
    }
    if (bytes > 0) {
        memcpy(out, encoded.data, bytes);
    }
    return TM_OK;
}

bool tm_pipeline_exports_as(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                            enum tm_dtype dtype)
{
    uint32_t bits = dtype == TM_Q8_0 ? 8 : dtype == TM_Q4_0 ? 4 : 0;
    return bits > 0 && pipeline->stage[0].id == TM_STAGE_INT &&
           pipeline->stage[0].params.bits == bits && shape.cols % 32 == 0;
}

tm_status tm_pipeline_decode_gguf(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                                  struct tm_view encoded, enum tm_dtype dtype, uint8_t *out,
                                  struct tm_err *err)
{
    if (!tm_pipeline_exports_as(pipeline, shape, dtype)) {
        char text[TM_PIPELINE_TEXT];
        return tm_err_set(err, TM_E_INCOMPATIBLE, NULL, "cannot export the block", NULL,
                          "%s with %u columns is no %s", tm_pipeline_text(pipeline, text),
                          shape.cols, tm_dtype_name(dtype));
    }
    struct tm_symbols symbols;
    tm_symbols_init(&symbols);
    tm_status status =
        tm_pipeline_decode_symbols(pipeline, shape, encoded, TM_DECODE_FAST, &symbols, err);
    if (status == TM_OK) {
        tm_int_to_gguf(&pipeline->stage[0].params, shape, &symbols, out);
    }
    tm_symbols_deinit(&symbols);
    return status;
}
