/* SPDX-License-Identifier: Apache-2.0
 * A transformer small enough for unit tests, as a source of weights in memory: names and
 * configuration of Hugging Face, float32 in the order of files, the same numbers everywhere. */
#ifndef TM_TESTS_TINY_MODEL_H
#define TM_TESTS_TINY_MODEL_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/pass/weights.h"

#define TINY_TENSORS 96
#define TINY_LAYERS 3
#define TINY_DIM 32
#define TINY_HIDDEN 20 /* no multiple of 8 */
#define TINY_HEADS 4
#define TINY_KV_HEADS 2
#define TINY_HEAD_DIM 16
#define TINY_VOCAB 41
#define TINY_CONTEXT 64

struct tiny_tensor {
    char name[96];
    struct tm_shape shape;
    uint8_t *data; /* float32, little-endian */
    size_t elements;
};

struct tiny_model {
    char config[1024];
    struct tiny_tensor tensors[TINY_TENSORS];
    size_t count;
    struct tm_rng rng;
    struct tm_weights_source source;
};

static inline void tiny_describe(void *context, size_t index, struct tm_weights_tensor *out)
{
    const struct tiny_model *m = context;
    out->name = tm_view_str(m->tensors[index].name);
    out->dtype = TM_F32;
    out->shape = m->tensors[index].shape;
}

static inline tm_status tiny_read(void *context, size_t index, void *out, size_t bytes,
                                  struct tm_err *err)
{
    const struct tiny_model *m = context;
    (void)err;
    ck_assert_uint_eq(bytes, m->tensors[index].elements * 4);
    memcpy(out, m->tensors[index].data, bytes);
    return TM_OK;
}

static inline tm_status tiny_attachment(void *context, const char *name, struct tm_buf *out,
                                        struct tm_err *err)
{
    const struct tiny_model *m = context;
    (void)err;
    return strcmp(name, "config.json") == 0 ? tm_buf_put_str(out, m->config) : TM_E_NOTHING;
}

/* rows 0: a vector of cols. Values around `middle`. */
static inline void tiny_add(struct tiny_model *m, const char *name, uint64_t rows, uint64_t cols,
                            double middle, double spread)
{
    ck_assert_uint_lt(m->count, TINY_TENSORS);
    struct tiny_tensor *t = &m->tensors[m->count++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->shape = rows > 0 ? (struct tm_shape){2, {rows, cols}} : (struct tm_shape){1, {cols}};
    t->elements = (size_t)((rows > 0 ? rows : 1) * cols);
    t->data = tm_alloc(t->elements * 4);
    ck_assert_ptr_nonnull(t->data);
    for (size_t i = 0; i < t->elements; i++) {
        /* No logarithm or sine of a library: the numbers must be the same everywhere. */
        double value = middle + spread * (tm_rng_f64(&m->rng) * 2.0 - 1.0);
        tm_set_u32(t->data + 4 * i, tm_f32_bits((float)value));
    }
}

static inline void tiny_add_layer(struct tiny_model *m, int layer, bool bias, bool head_norms,
                                  bool post_norms)
{
    const struct {
        const char *name;
        uint64_t rows, cols;
    } matrices[] = {{"self_attn.q_proj", TINY_HEADS * TINY_HEAD_DIM, TINY_DIM},
                    {"self_attn.k_proj", TINY_KV_HEADS * TINY_HEAD_DIM, TINY_DIM},
                    {"self_attn.v_proj", TINY_KV_HEADS * TINY_HEAD_DIM, TINY_DIM},
                    {"self_attn.o_proj", TINY_DIM, TINY_HEADS * TINY_HEAD_DIM},
                    {"mlp.gate_proj", TINY_HIDDEN, TINY_DIM},
                    {"mlp.up_proj", TINY_HIDDEN, TINY_DIM},
                    {"mlp.down_proj", TINY_DIM, TINY_HIDDEN}};
    char name[96];
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, matrices[i].name);
        tiny_add(m, name, matrices[i].rows, matrices[i].cols, 0.0, 0.4);
        if (bias && i < 3) {
            snprintf(name, sizeof name, "model.layers.%d.%s.bias", layer, matrices[i].name);
            tiny_add(m, name, 0, matrices[i].rows, 0.0, 0.2);
        }
    }
    static const char *const norms[] = {"input_layernorm", "post_attention_layernorm",
                                        "pre_feedforward_layernorm", "post_feedforward_layernorm"};
    for (size_t i = 0; i < (post_norms ? 4u : 2u); i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, norms[i]);
        tiny_add(m, name, 0, TINY_DIM, post_norms ? 0.0 : 1.0, 0.3);
    }
    for (size_t i = 0; i < (head_norms ? 2u : 0u); i++) {
        snprintf(name, sizeof name, "model.layers.%d.self_attn.%c_norm.weight", layer, "qk"[i]);
        tiny_add(m, name, 0, TINY_HEAD_DIM, post_norms ? 0.0 : 1.0, 0.3);
    }
}

/* arch: "llama", "qwen2", "qwen3" or "gemma3_text" (with a window of 12, each third layer without).
 * Free with tiny_free. */
static inline struct tiny_model *tiny_new(const char *arch)
{
    struct tiny_model *m = tm_calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    bool gemma = strcmp(arch, "gemma3_text") == 0, qwen2 = strcmp(arch, "qwen2") == 0;
    bool head_norms = gemma || strcmp(arch, "qwen3") == 0;
    tm_rng_init(&m->rng, 20251125);
    snprintf(m->config, sizeof m->config,
             "{\"model_type\": \"%s\", \"num_hidden_layers\": %d, \"hidden_size\": %d, "
             "\"intermediate_size\": %d, \"num_attention_heads\": %d, "
             "\"num_key_value_heads\": %d, \"head_dim\": %d, \"vocab_size\": %d, "
             "\"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0%s}",
             arch, TINY_LAYERS, TINY_DIM, TINY_HIDDEN, TINY_HEADS, TINY_KV_HEADS, TINY_HEAD_DIM,
             TINY_VOCAB, TINY_CONTEXT,
             gemma ? ", \"sliding_window\": 12, \"sliding_window_pattern\": 3, "
                     "\"rope_local_base_freq\": 1000.0, \"query_pre_attn_scalar\": 32"
                   : "");
    tiny_add(m, "model.embed_tokens.weight", TINY_VOCAB, TINY_DIM, 0.0, 1.0);
    for (int layer = 0; layer < TINY_LAYERS; layer++) {
        tiny_add_layer(m, layer, qwen2, head_norms, gemma);
    }
    tiny_add(m, "model.norm.weight", 0, TINY_DIM, gemma ? 0.0 : 1.0, 0.3);
    if (!gemma && !qwen2) {
        tiny_add(m, "lm_head.weight", TINY_VOCAB, TINY_DIM, 0.0, 0.5);
    }
    m->source = (struct tm_weights_source){.context = m,
                                           .path = "tiny",
                                           .tensor_count = m->count,
                                           .describe = tiny_describe,
                                           .read = tiny_read,
                                           .attachment = tiny_attachment};
    return m;
}

static inline struct tiny_tensor *tiny_find(struct tiny_model *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->tensors[i].name, name) == 0) {
            return &m->tensors[i];
        }
    }
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

static inline void tiny_rename(struct tiny_model *m, const char *from, const char *to)
{
    struct tiny_tensor *t = tiny_find(m, from);
    snprintf(t->name, sizeof t->name, "%s", to);
}

static inline void tiny_free(struct tiny_model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        tm_free(m->tensors[i].data);
    }
    tm_free(m);
}

#endif
