/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/convert.h"
#include "model/pass/dot.h"
#include "model/pass/elementwise.h"
#include "model/pass/weights_names.h"
#include "model/where.h"

static const char what_failed[] = "cannot run the model";
static const char hint_fetch[] = "see tmill inspect MODEL; fetch the model again";

#define NO_TENSOR SIZE_MAX

struct loader {
    const struct tm_weights_source *source;
    struct tm_weights *out;
    size_t *of_layers;       /* tensor of slot s of layer l: [l * TM_LAYER_SLOTS + s] */
    size_t of_all[TM_SLOTS]; /* of the others */
    struct tm_err *err;
};

void tm_weights_deinit(struct tm_weights *weights)
{
    for (size_t i = 0; i < weights->block_count; i++) {
        tm_free(weights->blocks[i]);
    }
    tm_free(weights->blocks);
    tm_free(weights->layers);
    *weights = (struct tm_weights){0};
}

static tm_status out_of_memory(const struct loader *l, uint64_t bytes)
{
    char text[TM_NUM_TEXT];
    return tm_err_set(l->err, TM_E_NOMEM, l->source->path, what_failed,
                      "close other programs, or run a smaller model",
                      "no memory for %s of weights more", tm_format_bytes(bytes, text));
}

/* Memory that the weights own. */
static void *block_of(const struct loader *l, uint64_t bytes)
{
    struct tm_weights *w = l->out;
    void **more = tm_realloc_array(w->blocks, w->block_count + 1, sizeof *more);
    if (more == NULL) {
        return NULL;
    }
    w->blocks = more;
    void *block = bytes <= SIZE_MAX - 64 ? tm_alloc_aligned(64, (size_t)bytes) : NULL;
    if (block != NULL) {
        w->blocks[w->block_count++] = block;
        w->bytes += bytes;
    }
    return block;
}

static tm_status tensor_error(const struct loader *l, size_t index, tm_status status,
                              const char *why)
{
    struct tm_weights_tensor tensor;
    struct tm_where where;
    l->source->describe(l->source->context, index, &tensor);
    tm_where(&where, l->source->path, tensor.name);
    return tm_err_set(l->err, status, where.text, what_failed, hint_fetch, "%s", why);
}

/* ---- which tensor is what ---- */

static size_t *tensor_of(struct loader *l, enum tm_slot slot, uint32_t layer)
{
    return slot < TM_LAYER_SLOTS ? &l->of_layers[(size_t)layer * TM_LAYER_SLOTS + slot]
                                 : &l->of_all[slot];
}

static tm_status find_tensors(struct loader *l)
{
    size_t count = (size_t)l->out->arch.layers * TM_LAYER_SLOTS;
    l->of_layers = tm_realloc_array(NULL, count, sizeof *l->of_layers);
    if (l->of_layers == NULL) {
        return out_of_memory(l, count * sizeof *l->of_layers);
    }
    for (size_t i = 0; i < count; i++) {
        l->of_layers[i] = NO_TENSOR;
    }
    for (size_t i = 0; i < TM_SLOTS; i++) {
        l->of_all[i] = NO_TENSOR;
    }
    for (size_t i = 0; i < l->source->tensor_count; i++) {
        struct tm_weights_tensor tensor;
        uint32_t layer = 0;
        l->source->describe(l->source->context, i, &tensor);
        enum tm_slot slot = tm_slot_of(&l->out->arch, tensor.name, &layer);
        if (slot == TM_SLOT_IGNORED) {
            continue;
        }
        if (slot == TM_SLOT_UNKNOWN) {
            return tensor_error(l, i, TM_E_INCOMPATIBLE,
                                "the graph of this architecture has no such tensor");
        }
        *tensor_of(l, slot, layer) = i;
    }
    return TM_OK;
}

static tm_status missing(struct loader *l, enum tm_slot slot, uint32_t layer)
{
    char name[96];
    return tm_err_set(l->err, TM_E_MALFORMED, l->source->path, what_failed, hint_fetch,
                      "the tensor %s is missing", tm_slot_name(&l->out->arch, slot, layer, name));
}

/* ---- reading ---- */

static tm_status check_shape(const struct loader *l, size_t index,
                             const struct tm_weights_tensor *tensor, uint64_t rows, uint64_t cols)
{
    const struct tm_shape *s = &tensor->shape;
    bool vector = rows == 1 && s->rank == 1 && s->dim[0] == cols;
    if (vector || (s->rank == 2 && s->dim[0] == rows && s->dim[1] == cols)) {
        return TM_OK;
    }
    char text[160], why[256];
    snprintf(why, sizeof why, "its shape is %s; the graph needs [%llu, %llu]",
             tm_shape_text(s, text, sizeof text), (unsigned long long)rows,
             (unsigned long long)cols);
    return tensor_error(l, index, TM_E_MALFORMED, why);
}

/* bytes of the tensor as they are, in a block of the weights. */
static tm_status read_kept(const struct loader *l, size_t index, uint64_t bytes, uint8_t **out)
{
    *out = block_of(l, bytes);
    if (*out == NULL) {
        return out_of_memory(l, bytes);
    }
    return l->source->read(l->source->context, index, *out, (size_t)bytes, l->err);
}

/* As floats of this machine, rows of `pitch` with zeros behind cols. */
static tm_status read_floats(const struct loader *l, size_t index, enum tm_dtype dtype,
                             const struct tm_matrix *m, uint64_t cols, uint8_t **out)
{
    uint64_t row_bytes = cols / tm_dtype_block_elements(dtype) * tm_dtype_block_bytes(dtype);
    uint64_t source_bytes = row_bytes * m->rows, bytes = (uint64_t)m->rows * m->row_bytes;
    uint8_t *source = tm_alloc((size_t)source_bytes);
    float *floats = block_of(l, bytes);
    tm_status status = TM_OK;
    if (source == NULL || floats == NULL) {
        status = out_of_memory(l, bytes + source_bytes);
        goto done;
    }
    status = l->source->read(l->source->context, index, source, (size_t)source_bytes, l->err);
    for (uint64_t row = 0; row < m->rows && status == TM_OK; row++) {
        float *to = floats + row * m->cols;
        status = tm_convert_to_f32(dtype, source + row * row_bytes, cols, to);
        for (uint64_t i = cols; i < m->cols; i++) {
            to[i] = 0.0f;
        }
    }
    *out = (uint8_t *)floats;
done:
    tm_free(source);
    return status;
}

static tm_status check_finite(const struct loader *l, size_t index, const struct tm_matrix *m)
{
    float *row = tm_realloc_array(NULL, m->cols, sizeof *row);
    if (row == NULL) {
        return out_of_memory(l, m->cols * sizeof *row);
    }
    tm_status status = TM_OK;
    for (uint32_t r = 0; r < m->rows && status == TM_OK; r++) {
        tm_matrix_row(m, r, row);
        if (!tm_all_finite(row, m->cols)) {
            char why[96];
            snprintf(why, sizeof why, "row %lu holds NaN or infinity", (unsigned long)r);
            status = tensor_error(l, index, TM_E_MALFORMED, why);
        }
    }
    tm_free(row);
    return status;
}

/* A matrix of rows x cols; rows 0: as many as the tensor has. */
static tm_status load_matrix(const struct loader *l, size_t index, uint64_t rows, uint64_t cols,
                             struct tm_matrix *out)
{
    struct tm_weights_tensor tensor;
    l->source->describe(l->source->context, index, &tensor);
    rows = rows > 0 ? rows : tensor.shape.dim[0];
    TM_TRY(check_shape(l, index, &tensor, rows, cols));
    uint64_t bytes;
    if (!tm_dtype_is_float(tensor.dtype) || rows > UINT32_MAX ||
        !tm_shape_bytes(&tensor.shape, tensor.dtype, &bytes)) {
        return tensor_error(l, index, TM_E_INCOMPATIBLE,
                            "a tensor of whole numbers has no place in the graph");
    }
    bool keep = tm_dot_has(tensor.dtype) && tensor.dtype != TM_F32 && cols % TM_LANES == 0;
    uint64_t pitch = (cols + TM_LANES - 1) / TM_LANES * TM_LANES;
    *out = (struct tm_matrix){.dtype = keep ? tensor.dtype : TM_F32,
                              .rows = (uint32_t)rows,
                              .cols = (uint32_t)pitch,
                              .row_bytes = keep ? bytes / rows : pitch * sizeof(float)};
    uint8_t *data = NULL;
    TM_TRY(keep ? read_kept(l, index, bytes, &data)
                : read_floats(l, index, tensor.dtype, out, cols, &data));
    out->data = data;
    return check_finite(l, index, out);
}

static tm_status load_vector(const struct loader *l, size_t index, uint64_t count, bool plus_one,
                             const float **out)
{
    struct tm_weights_tensor tensor;
    l->source->describe(l->source->context, index, &tensor);
    TM_TRY(check_shape(l, index, &tensor, 1, count));
    if (!tm_dtype_is_float(tensor.dtype) || count % tm_dtype_block_elements(tensor.dtype) != 0) {
        return tensor_error(l, index, TM_E_INCOMPATIBLE,
                            "a vector of this type has no place in the graph");
    }
    struct tm_matrix matrix = {
        .dtype = TM_F32, .rows = 1, .cols = (uint32_t)count, .row_bytes = count * sizeof(float)};
    uint8_t *data = NULL;
    TM_TRY(read_floats(l, index, tensor.dtype, &matrix, count, &data));
    matrix.data = data;
    TM_TRY(check_finite(l, index, &matrix));
    float *floats = (float *)(void *)data;
    for (uint64_t i = 0; i < count && plus_one; i++) {
        floats[i] += 1.0f;
    }
    *out = floats;
    return TM_OK;
}

/* ---- the parts of the graph ---- */

static tm_status load_linear(struct loader *l, uint32_t layer, enum tm_linear which)
{
    const struct tm_arch *a = &l->out->arch;
    struct tm_layer *to = &l->out->layers[layer];
    uint64_t queries = (uint64_t)a->heads * a->head_dim, keys = (uint64_t)a->kv_heads * a->head_dim;
    const uint64_t rows[TM_LINEAR_COUNT] = {queries,   keys,      keys,  a->dim,
                                            a->hidden, a->hidden, a->dim};
    const uint64_t cols[TM_LINEAR_COUNT] = {a->dim, a->dim, a->dim,   queries,
                                            a->dim, a->dim, a->hidden};
    enum tm_slot slot = (enum tm_slot)(TM_SLOT_Q + (int)which);
    size_t weight = *tensor_of(l, slot, layer);
    size_t bias = *tensor_of(l, (enum tm_slot)(TM_SLOT_Q_BIAS + (int)which), layer);
    if (weight == NO_TENSOR) {
        return missing(l, slot, layer);
    }
    TM_TRY(load_matrix(l, weight, rows[which], cols[which], &to->linear[which]));
    return bias == NO_TENSOR ? TM_OK : load_vector(l, bias, rows[which], false, &to->bias[which]);
}

static tm_status load_norm(struct loader *l, enum tm_slot slot, uint32_t layer, uint64_t count,
                           const float **out)
{
    size_t index = *tensor_of(l, slot, layer);
    if (index == NO_TENSOR) {
        return missing(l, slot, layer);
    }
    return load_vector(l, index, count, l->out->arch.norm_plus_one, out);
}

static tm_status load_layer(struct loader *l, uint32_t layer)
{
    const struct tm_arch *a = &l->out->arch;
    struct tm_layer *to = &l->out->layers[layer];
    for (int which = 0; which < TM_LINEAR_COUNT; which++) {
        TM_TRY(load_linear(l, layer, (enum tm_linear)which));
    }
    TM_TRY(load_norm(l, TM_SLOT_ATTENTION_NORM, layer, a->dim, &to->attention_norm));
    TM_TRY(load_norm(l, TM_SLOT_GATE_NORM, layer, a->dim, &to->gate_norm));
    if (a->head_norms) {
        TM_TRY(load_norm(l, TM_SLOT_Q_NORM, layer, a->head_dim, &to->q_norm));
        TM_TRY(load_norm(l, TM_SLOT_K_NORM, layer, a->head_dim, &to->k_norm));
    } else if (*tensor_of(l, TM_SLOT_Q_NORM, layer) != NO_TENSOR) {
        return tensor_error(l, *tensor_of(l, TM_SLOT_Q_NORM, layer), TM_E_INCOMPATIBLE,
                            "the graph of this architecture has no such tensor");
    }
    if (a->post_norms) {
        TM_TRY(load_norm(l, TM_SLOT_ATTENTION_POST_NORM, layer, a->dim, &to->attention_post_norm));
        TM_TRY(load_norm(l, TM_SLOT_GATE_POST_NORM, layer, a->dim, &to->gate_post_norm));
    }
    return TM_OK;
}

static tm_status load_ends(struct loader *l)
{
    struct tm_weights *w = l->out;
    size_t embedding = l->of_all[TM_SLOT_EMBEDDING], head = l->of_all[TM_SLOT_HEAD];
    if (embedding == NO_TENSOR) {
        return missing(l, TM_SLOT_EMBEDDING, 0);
    }
    TM_TRY(load_matrix(l, embedding, w->arch.vocab, w->arch.dim, &w->embedding));
    w->arch.vocab = w->embedding.rows;
    w->head = w->embedding;
    if (head != NO_TENSOR) {
        TM_TRY(load_matrix(l, head, w->arch.vocab, w->arch.dim, &w->head));
    }
    if (l->of_all[TM_SLOT_ROPE_FACTORS] != NO_TENSOR) {
        TM_TRY(load_vector(l, l->of_all[TM_SLOT_ROPE_FACTORS], w->arch.head_dim / 2, false,
                           &w->rope_factors));
    }
    return load_norm(l, TM_SLOT_OUTPUT_NORM, 0, w->arch.dim, &w->output_norm);
}

static tm_status load_all(struct loader *l)
{
    struct tm_weights *w = l->out;
    TM_TRY(tm_weights_arch(l->source, &w->arch, l->err));
    TM_TRY(find_tensors(l));
    w->layers = tm_calloc(w->arch.layers, sizeof *w->layers);
    if (w->layers == NULL) {
        return out_of_memory(l, w->arch.layers * sizeof *w->layers);
    }
    TM_TRY(load_ends(l));
    for (uint32_t layer = 0; layer < w->arch.layers; layer++) {
        TM_TRY(load_layer(l, layer));
    }
    return TM_OK;
}

tm_status tm_weights_load(const struct tm_weights_source *source, struct tm_weights *out,
                          struct tm_err *err)
{
    *out = (struct tm_weights){0};
    struct loader loader = {.source = source, .out = out, .err = err};
    tm_status status = load_all(&loader);
    tm_free(loader.of_layers);
    if (status != TM_OK) {
        tm_weights_deinit(out);
    }
    return status;
}

tm_status tm_weights_arch(const struct tm_weights_source *source, struct tm_arch *out,
                          struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, 256u << 20);
    tm_status status = source->attachment(source->context, "gguf-metadata", &text, err);
    if (status == TM_OK) {
        status = tm_arch_from_gguf(tm_buf_view(&text), source->path, out, err);
    } else if (status == TM_E_NOTHING) {
        status = source->attachment(source->context, "config.json", &text, err);
        if (status == TM_OK) {
            status = tm_arch_from_config(tm_buf_view(&text), source->path, out, err);
        } else if (status == TM_E_NOTHING) {
            status = tm_err_set(err, TM_E_INCOMPATIBLE, source->path, what_failed,
                                "give the folder that has the model's config.json, or a GGUF file",
                                "there is no configuration with the weights");
        }
    }
    tm_buf_deinit(&text);
    return status;
}
