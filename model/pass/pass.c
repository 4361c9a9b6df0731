/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/pass.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/pass/attention.h"
#include "model/pass/elementwise.h"
#include "model/pass/rope.h"

#define BATCH 256

struct tm_pass {
    const struct tm_weights *weights;
    struct tm_pass_options options;
    struct tm_team *team;
    uint32_t position;
    uint32_t last_count; /* tokens of the last run */
    uint32_t hidden;     /* width of the gate, with the zeros behind it */
    size_t layer_floats; /* of keys, and of values, of a layer */
    float *keys, *values;
    float *stream; /* [token][dim], and the others alike */
    float *normed, *q, *k, *v, *attended, *gate, *up, *added;
    float *scratch;
    double *frequencies[2];       /* without and with a window */
    float *cosines[2], *sines[2]; /* [token][head_dim / 2] of the present run */
};

/* ---- memory ---- */

struct part {
    void **at;
    uint64_t bytes;
};

#define PARTS 18

static uint64_t round_up(uint64_t value)
{
    return (value + TM_LANES - 1) / TM_LANES * TM_LANES;
}

/* What a pass owns. Sizes are below 2^60: arch.c bounds the numbers, and options are clamped. */
static void list_parts(struct tm_pass *p, const struct tm_arch *a, size_t threads,
                       struct part parts[PARTS])
{
    uint64_t batch = p->options.batch, positions = round_up(p->options.context);
    uint64_t queries = (uint64_t)a->heads * a->head_dim, keys = (uint64_t)a->kv_heads * a->head_dim;
    uint64_t half = a->head_dim / 2;
    const struct part all[PARTS] = {
        {(void **)&p->keys, a->layers * keys * positions * sizeof(float)},
        {(void **)&p->values, a->layers * keys * positions * sizeof(float)},
        {(void **)&p->stream, batch * a->dim * sizeof(float)},
        {(void **)&p->normed, batch * a->dim * sizeof(float)},
        {(void **)&p->added, batch * a->dim * sizeof(float)},
        {(void **)&p->q, batch * queries * sizeof(float)},
        {(void **)&p->attended, batch * queries * sizeof(float)},
        {(void **)&p->k, batch * keys * sizeof(float)},
        {(void **)&p->v, batch * keys * sizeof(float)},
        {(void **)&p->gate, batch * round_up(a->hidden) * sizeof(float)},
        {(void **)&p->up, batch * round_up(a->hidden) * sizeof(float)},
        {(void **)&p->scratch, threads * tm_attention_scratch((uint32_t)positions) * sizeof(float)},
        {(void **)&p->frequencies[0], half * sizeof(double)},
        {(void **)&p->frequencies[1], half * sizeof(double)},
        {(void **)&p->cosines[0], batch * half * sizeof(float)},
        {(void **)&p->cosines[1], batch * half * sizeof(float)},
        {(void **)&p->sines[0], batch * half * sizeof(float)},
        {(void **)&p->sines[1], batch * half * sizeof(float)},
    };
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = all[i];
    }
}

static struct tm_pass_options with_defaults(const struct tm_arch *arch,
                                            const struct tm_pass_options *options)
{
    struct tm_pass_options out = *options;
    out.context = out.context == 0 ? arch->context : out.context;
    out.batch = out.batch == 0 ? BATCH : out.batch;
    out.batch = out.batch > out.context ? out.context : out.batch;
    return out;
}

/* Columns of the widest matrix that is multiplied with many vectors at a time. */
static uint32_t widest(const struct tm_arch *arch)
{
    uint64_t cols[3] = {arch->dim, round_up(arch->hidden), (uint64_t)arch->heads * arch->head_dim};
    uint64_t most = cols[0] > cols[1] ? cols[0] : cols[1];
    return (uint32_t)(most > cols[2] ? most : cols[2]);
}

uint64_t tm_pass_bytes(const struct tm_arch *arch, const struct tm_pass_options *options)
{
    struct tm_pass pass = {.options = with_defaults(arch, options)};
    struct part parts[PARTS];
    uint64_t bytes = 0;
    list_parts(&pass, arch, tm_team_wanted(options->threads), parts);
    for (size_t i = 0; i < PARTS; i++) {
        bytes += parts[i].bytes;
    }
    return bytes + tm_team_wanted(options->threads) * tm_matmul_room(widest(arch)) * sizeof(float);
}

static tm_status allocate(struct tm_pass *pass, const struct tm_arch *arch, struct tm_err *err)
{
    struct part parts[PARTS];
    list_parts(pass, arch, tm_team_threads(pass->team), parts);
    for (size_t i = 0; i < PARTS; i++) {
        void *memory = parts[i].bytes <= SIZE_MAX / 2 ? tm_alloc_aligned(64, parts[i].bytes) : NULL;
        if (memory == NULL) {
            char text[TM_NUM_TEXT];
            return tm_err_set(
                err, TM_E_NOMEM, NULL, "cannot run the model", "ask for a shorter context",
                "no memory for %s of %lu positions' cache and work space",
                tm_format_bytes(parts[i].bytes, text), (unsigned long)pass->options.context);
        }
        memset(memory, 0, parts[i].bytes);
        *parts[i].at = memory;
    }
    return TM_OK;
}

tm_status tm_pass_new(const struct tm_weights *weights, const struct tm_pass_options *options,
                      struct tm_pass **out, struct tm_err *err)
{
    const struct tm_arch *arch = &weights->arch;
    struct tm_pass *pass = tm_calloc(1, sizeof *pass);
    tm_status status = pass == NULL ? TM_E_NOMEM : TM_OK;
    if (status == TM_OK) {
        pass->weights = weights;
        pass->options = with_defaults(arch, options);
        pass->hidden = (uint32_t)round_up(arch->hidden);
        pass->layer_floats =
            (size_t)arch->kv_heads * arch->head_dim * round_up(pass->options.context);
        status = tm_team_new(options->threads, tm_matmul_room(widest(arch)), &pass->team);
    }
    if (status != TM_OK) {
        tm_pass_destroy(&pass);
        return tm_err_set(err, status, NULL, "cannot run the model", "close other programs",
                          "out of memory");
    }
    status = allocate(pass, arch, err);
    if (status != TM_OK) {
        tm_pass_destroy(&pass);
        return status;
    }
    for (int window = 0; window < 2; window++) {
        tm_rope_frequencies(arch, window != 0, weights->rope_factors, pass->frequencies[window]);
    }
    *out = pass;
    return TM_OK;
}

void tm_pass_destroy(struct tm_pass **pass)
{
    if (*pass == NULL) {
        return;
    }
    struct part parts[PARTS];
    struct tm_arch none = {0};
    list_parts(*pass, &none, 0, parts);
    for (size_t i = 0; i < PARTS; i++) {
        tm_free(*parts[i].at);
    }
    tm_team_destroy(&(*pass)->team);
    tm_free(*pass);
    *pass = NULL;
}

/* ---- the graph ---- */

struct output {
    enum tm_linear which;
    float *y;
    size_t stride;
};

/* y = W x + b for the vectors of the present run, with every matrix that has the same x. */
static void linear(struct tm_pass *p, uint32_t layer, struct tm_vectors x,
                   const struct output *outputs, size_t output_count)
{
    const struct tm_layer *l = &p->weights->layers[layer];
    struct tm_product products[TM_PRODUCTS_MAX];
    for (size_t i = 0; i < output_count; i++) {
        const struct output *out = &outputs[i];
        products[i] = (struct tm_product){&l->linear[out->which], out->y, out->stride};
    }
    tm_matmul_all(p->team, products, output_count, x);
    for (size_t i = 0; i < output_count; i++) {
        const float *bias = l->bias[outputs[i].which];
        for (size_t v = 0; v < x.count && bias != NULL; v++) {
            tm_add_f32(outputs[i].y + v * outputs[i].stride, bias, products[i].matrix->rows);
        }
    }
}

static void observe(const struct tm_pass *p, uint32_t layer, enum tm_pass_point point,
                    const float *x, size_t stride, uint32_t cols, uint32_t count)
{
    if (p->options.observer != NULL) {
        p->options.observer(p->options.observer_context, layer, point,
                            (struct tm_vectors){x, stride, count}, cols, p->position);
    }
}

static void norm_all(const struct tm_pass *p, const float *x, const float *weight, uint32_t count,
                     float *y)
{
    const struct tm_arch *a = &p->weights->arch;
    for (uint32_t i = 0; i < count; i++) {
        tm_rms_norm(x + (size_t)i * a->dim, weight, a->dim, a->norm_eps, y + (size_t)i * a->dim);
    }
}

/* Norms and rotates the heads of Q or K. */
static void turn_heads(const struct tm_pass *p, float *x, uint32_t heads, const float *weight,
                       uint32_t count, bool window)
{
    const struct tm_arch *a = &p->weights->arch;
    size_t half = a->head_dim / 2;
    for (uint32_t i = 0; i < count; i++) {
        const float *cosines = p->cosines[window] + i * half, *sines = p->sines[window] + i * half;
        for (uint32_t h = 0; h < heads; h++, x += a->head_dim) {
            if (weight != NULL) {
                tm_rms_norm(x, weight, a->head_dim, a->norm_eps, x);
            }
            tm_rotate(x, a->head_dim, a->rope_interleaved, cosines, sines);
        }
    }
}

/* stream += x, normalised first when the architecture does that. */
static void add_to_stream(struct tm_pass *p, const float *post_norm, uint32_t count)
{
    if (post_norm != NULL) {
        norm_all(p, p->added, post_norm, count, p->added);
    }
    tm_add_f32(p->stream, p->added, (size_t)count * p->weights->arch.dim);
}

static void attention(struct tm_pass *p, uint32_t layer, uint32_t count)
{
    const struct tm_arch *a = &p->weights->arch;
    const struct tm_layer *l = &p->weights->layers[layer];
    size_t queries = (size_t)a->heads * a->head_dim, keys = (size_t)a->kv_heads * a->head_dim;
    bool window = tm_arch_has_window(a, layer);
    norm_all(p, p->stream, l->attention_norm, count, p->normed);
    observe(p, layer, TM_POINT_ATTENTION_IN, p->normed, a->dim, a->dim, count);
    const struct output qkv[] = {
        {TM_LINEAR_Q, p->q, queries}, {TM_LINEAR_K, p->k, keys}, {TM_LINEAR_V, p->v, keys}};
    linear(p, layer, (struct tm_vectors){p->normed, a->dim, count}, qkv, 3);
    turn_heads(p, p->q, a->heads, l->q_norm, count, window);
    turn_heads(p, p->k, a->kv_heads, l->k_norm, count, window);
    observe(p, layer, TM_POINT_Q, p->q, queries, (uint32_t)queries, count);
    observe(p, layer, TM_POINT_K, p->k, keys, (uint32_t)keys, count);
    observe(p, layer, TM_POINT_V, p->v, keys, (uint32_t)keys, count);
    struct tm_attention all = {
        .cache = {.keys = p->keys + layer * p->layer_floats,
                  .values = p->values + layer * p->layer_floats,
                  .positions = (uint32_t)round_up(p->options.context),
                  .kv_heads = a->kv_heads,
                  .head_dim = a->head_dim},
        .heads = a->heads,
        .first = p->position,
        .count = count,
        .window = window ? a->window : 0,
        .scale = a->attention_scale,
        .q = p->q,
        .out = p->attended,
        .stride = queries,
        .scratch = p->scratch,
    };
    tm_cache_store(&all.cache, p->position, count, p->k, p->v);
    tm_attend(p->team, &all);
    observe(p, layer, TM_POINT_ATTENDED, p->attended, queries, (uint32_t)queries, count);
    linear(p, layer, (struct tm_vectors){p->attended, queries, count},
           &(struct output){TM_LINEAR_ATTENTION_OUT, p->added, a->dim}, 1);
    add_to_stream(p, l->attention_post_norm, count);
    observe(p, layer, TM_POINT_AFTER_ATTENTION, p->stream, a->dim, a->dim, count);
}

static void gate_one(void *context, size_t index, size_t thread)
{
    (void)thread;
    const struct tm_pass *p = context;
    const struct tm_arch *a = &p->weights->arch;
    float *gate = p->gate + index * p->hidden;
    (a->gelu ? tm_geglu : tm_swiglu)(gate, p->up + index * p->hidden, a->hidden);
}

static void feed_forward(struct tm_pass *p, uint32_t layer, uint32_t count)
{
    const struct tm_arch *a = &p->weights->arch;
    const struct tm_layer *l = &p->weights->layers[layer];
    norm_all(p, p->stream, l->gate_norm, count, p->normed);
    observe(p, layer, TM_POINT_GATE_IN, p->normed, a->dim, a->dim, count);
    const struct output both[] = {{TM_LINEAR_GATE, p->gate, p->hidden},
                                  {TM_LINEAR_UP, p->up, p->hidden}};
    linear(p, layer, (struct tm_vectors){p->normed, a->dim, count}, both, 2);
    observe(p, layer, TM_POINT_GATE, p->gate, p->hidden, a->hidden, count);
    observe(p, layer, TM_POINT_UP, p->up, p->hidden, a->hidden, count);
    tm_team_run(p->team, count, 16ull * count * a->hidden, gate_one, p);
    observe(p, layer, TM_POINT_DOWN_IN, p->gate, p->hidden, a->hidden, count);
    linear(p, layer, (struct tm_vectors){p->gate, p->hidden, count},
           &(struct output){TM_LINEAR_DOWN, p->added, a->dim}, 1);
    add_to_stream(p, l->gate_post_norm, count);
    observe(p, layer, TM_POINT_AFTER_GATE, p->stream, a->dim, a->dim, count);
}

static tm_status check_run(const struct tm_pass *p, const uint32_t *ids, uint32_t count,
                           struct tm_err *err)
{
    TM_ASSERT(count <= p->options.batch);
    if (count > p->options.context - p->position) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "cannot go on",
                          "ask for a longer context, or for less text",
                          "the context of %lu tokens is full", (unsigned long)p->options.context);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] >= p->weights->arch.vocab) {
            return tm_err_set(err, TM_E_USAGE, NULL, "cannot run the model",
                              "use the tokenizer that belongs to the model",
                              "token %lu is outside of the model's %lu", (unsigned long)ids[i],
                              (unsigned long)p->weights->arch.vocab);
        }
    }
    return TM_OK;
}

static void embed(struct tm_pass *p, const uint32_t *ids, uint32_t count)
{
    const struct tm_arch *a = &p->weights->arch;
    size_t half = a->head_dim / 2;
    for (uint32_t i = 0; i < count; i++) {
        float *row = p->stream + (size_t)i * a->dim;
        tm_matrix_row(&p->weights->embedding, ids[i], row);
        if (a->embed_scale != 1.0f) {
            tm_scale_f32(row, a->embed_scale, a->dim);
        }
        for (int window = 0; window < 2; window++) {
            tm_rope_angles(p->frequencies[window], (uint32_t)half, p->position + i,
                           p->cosines[window] + i * half, p->sines[window] + i * half);
        }
    }
}

tm_status tm_pass_run(struct tm_pass *pass, const uint32_t *ids, uint32_t count, struct tm_err *err)
{
    const struct tm_arch *a = &pass->weights->arch;
    TM_TRY(check_run(pass, ids, count, err));
    embed(pass, ids, count);
    for (uint32_t layer = 0; layer < a->layers; layer++) {
        attention(pass, layer, count);
        feed_forward(pass, layer, count);
        if (!tm_all_finite(pass->stream, (size_t)count * a->dim)) {
            return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot run the model",
                              "the weights are damaged, or need more range than float32",
                              "layer %lu gives NaN or infinity at position %lu or behind",
                              (unsigned long)layer, (unsigned long)pass->position);
        }
    }
    norm_all(pass, pass->stream, pass->weights->output_norm, count, pass->normed);
    pass->position += count;
    pass->last_count = count;
    return TM_OK;
}

void tm_pass_logits(struct tm_pass *pass, uint32_t index, uint32_t count, float *out)
{
    const struct tm_arch *a = &pass->weights->arch;
    TM_ASSERT(index + count <= pass->last_count);
    struct tm_vectors x = {pass->normed + (size_t)index * a->dim, a->dim, count};
    tm_matmul(pass->team, &pass->weights->head, x, out, a->vocab);
}

uint32_t tm_pass_position(const struct tm_pass *pass)
{
    return pass->position;
}

void tm_pass_rewind(struct tm_pass *pass, uint32_t position)
{
    TM_ASSERT(position <= pass->position);
    pass->position = position;
    pass->last_count = 0;
}

struct tm_team *tm_pass_team(const struct tm_pass *pass)
{
    return pass->team;
}

uint32_t tm_pass_vocab(const struct tm_pass *pass)
{
    return pass->weights->arch.vocab;
}

uint32_t tm_pass_batch(const struct tm_pass *pass)
{
    return pass->options.batch;
}

uint32_t tm_pass_context(const struct tm_pass *pass)
{
    return pass->options.context;
}
