/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights_digest.h"

#include "base/bytes.h"
#include "model/pass/fmath.h"

#define LABEL "tensormill.weights.v1"

static void put_u64(struct tm_hash *hash, uint64_t value)
{
    uint8_t bytes[8];
    tm_set_u64(bytes, value);
    tm_hash_update(hash, bytes, sizeof bytes);
}

static void put_f64(struct tm_hash *hash, double value)
{
    put_u64(hash, tm_f64_bits(value));
}

/* Little-endian floats; a list that is not there counts as an empty one. */
static void put_floats(struct tm_hash *hash, const float *x, size_t count)
{
    uint8_t piece[4096];
    put_u64(hash, x != NULL ? count : 0);
    for (size_t at = 0; x != NULL && at < count;) {
        size_t n = 0;
        for (; n < sizeof piece / 4 && at < count; n++, at++) {
            tm_set_u32(piece + 4 * n, tm_f32_bits(x[at]));
        }
        tm_hash_update(hash, piece, 4 * n);
    }
}

static void put_matrix(struct tm_hash *hash, const struct tm_matrix *m)
{
    put_u64(hash, m->dtype);
    put_u64(hash, m->rows);
    put_u64(hash, m->cols);
    for (uint32_t row = 0; row < m->rows; row++) {
        const uint8_t *bytes = m->data + row * m->row_bytes;
        if (m->dtype == TM_F32) {
            put_floats(hash, (const float *)(const void *)bytes, m->cols);
        } else {
            tm_hash_update(hash, bytes, m->row_bytes);
        }
    }
}

static void put_arch(struct tm_hash *hash, const struct tm_arch *a)
{
    const uint64_t whole[] = {a->kind,       a->style,        a->layers,           a->dim,
                              a->hidden,     a->heads,        a->kv_heads,         a->head_dim,
                              a->vocab,      a->context,      a->window,           a->global_every,
                              a->rope.kind,  a->head_norms,   a->rope_interleaved, a->gelu,
                              a->post_norms, a->norm_plus_one};
    const double numbers[] = {
        (double)a->norm_eps,      a->rope_base,           a->rope_local_base,
        a->rope.factor,           a->rope.low_factor,     a->rope.high_factor,
        a->rope.original_context, (double)a->embed_scale, (double)a->attention_scale};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        put_u64(hash, whole[i]);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        put_f64(hash, numbers[i]);
    }
}

static void put_layer(struct tm_hash *hash, const struct tm_arch *a, const struct tm_layer *layer)
{
    for (int i = 0; i < TM_LINEAR_COUNT; i++) {
        put_matrix(hash, &layer->linear[i]);
        put_floats(hash, layer->bias[i], layer->linear[i].rows);
    }
    put_floats(hash, layer->attention_norm, a->dim);
    put_floats(hash, layer->gate_norm, a->dim);
    put_floats(hash, layer->q_norm, a->head_dim);
    put_floats(hash, layer->k_norm, a->head_dim);
    put_floats(hash, layer->attention_post_norm, a->dim);
    put_floats(hash, layer->gate_post_norm, a->dim);
}

tm_status tm_weights_digest(const struct tm_weights *weights, struct tm_digest *out)
{
    const struct tm_arch *a = &weights->arch;
    struct tm_hash *hash = NULL;
    TM_TRY(tm_hash_new(&hash));
    tm_hash_update(hash, LABEL, sizeof LABEL - 1);
    put_arch(hash, a);
    put_matrix(hash, &weights->embedding);
    put_matrix(hash, &weights->head);
    put_floats(hash, weights->output_norm, a->dim);
    put_floats(hash, weights->rope_factors, a->head_dim / 2);
    for (uint32_t i = 0; i < a->layers; i++) {
        put_layer(hash, a, &weights->layers[i]);
    }
    *out = tm_hash_final(hash);
    tm_hash_destroy(&hash);
    return TM_OK;
}
