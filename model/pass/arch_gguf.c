/* SPDX-License-Identifier: Apache-2.0
 * Of arch.h: the metadata of a GGUF file. Keys: ggml docs/gguf.md. */
#include "model/pass/arch.h"

#include <stdio.h>

#include "base/bytes.h"
#include "model/gguf_meta.h"

struct reader {
    struct tm_view meta;
    const char *where;
    struct tm_arch *arch;
    struct tm_err *err;
};

/* "llama.block_count" */
static const char *key_of(const struct reader *r, const char *name, char out[96])
{
    snprintf(out, 96, "%s.%s", tm_arch_name(r->arch->kind), name);
    return out;
}

static void count(const struct reader *r, const char *name, uint32_t *out)
{
    char key[96];
    uint64_t value;
    if (tm_gguf_meta_u64(r->meta, key_of(r, name, key), &value) && value <= UINT32_MAX) {
        *out = (uint32_t)value;
    }
}

static void number(const struct reader *r, const char *name, double *out)
{
    char key[96];
    struct tm_gguf_kv kv;
    if (!tm_gguf_meta_find(r->meta, key_of(r, name, key), &kv)) {
        return;
    }
    if (kv.type == TM_GGUF_F32) {
        *out = (double)tm_f32_from_bits(tm_get_u32(kv.value.data));
    } else if (kv.type == TM_GGUF_F64) {
        *out = tm_f64_from_bits(tm_get_u64(kv.value.data));
    }
}

static tm_status read_scaling(const struct reader *r)
{
    char key[96];
    struct tm_view type;
    struct tm_rope_scaling *rope = &r->arch->rope;
    if (!tm_gguf_meta_str(r->meta, key_of(r, "rope.scaling.type", key), &type) ||
        tm_view_eq_str(type, "none")) {
        return TM_OK;
    }
    if (!tm_view_eq_str(type, "linear")) {
        return tm_arch_no_graph(r->where, r->err, "rotary scaling of type \"%.*s\" has no graph",
                                (int)type.bytes, (const char *)type.data);
    }
    rope->kind = TM_ROPE_LINEAR;
    number(r, "rope.scaling.factor", &rope->factor);
    return TM_OK;
}

/* A count that some files give once and others for every layer: one number is all that we run. */
static tm_status one_count(const struct reader *r, const char *name, uint32_t *out)
{
    char key[96];
    struct tm_gguf_kv kv;
    if (tm_gguf_meta_find(r->meta, key_of(r, name, key), &kv) && kv.type == TM_GGUF_ARRAY) {
        return tm_arch_no_graph(r->where, r->err, "layers of different %s have no graph", key);
    }
    count(r, name, out);
    return TM_OK;
}

static tm_status read_numbers(const struct reader *r)
{
    struct tm_arch *arch = r->arch;
    double eps = (double)arch->norm_eps;
    uint32_t value_dim = 0, rotated = 0;
    count(r, "block_count", &arch->layers);
    count(r, "embedding_length", &arch->dim);
    count(r, "context_length", &arch->context);
    count(r, "vocab_size", &arch->vocab);
    count(r, "attention.key_length", &arch->head_dim);
    count(r, "attention.value_length", &value_dim);
    count(r, "rope.dimension_count", &rotated);
    TM_TRY(one_count(r, "feed_forward_length", &arch->hidden));
    TM_TRY(one_count(r, "attention.head_count", &arch->heads));
    TM_TRY(one_count(r, "attention.head_count_kv", &arch->kv_heads));
    number(r, "attention.layer_norm_rms_epsilon", &eps);
    arch->norm_eps = (float)eps;
    number(r, "rope.freq_base", &arch->rope_base);
    if (arch->kind == TM_ARCH_GEMMA3) {
        count(r, "attention.sliding_window", &arch->window);
    }
    TM_TRY(read_scaling(r));
    TM_TRY(tm_arch_check(arch, r->where, r->err));
    if ((value_dim != 0 && value_dim != arch->head_dim) ||
        (rotated != 0 && rotated != arch->head_dim)) {
        return tm_arch_no_graph(
            r->where, r->err,
            "heads of %lu of which %lu are rotated, with values of %lu, have no graph",
            (unsigned long)arch->head_dim, (unsigned long)rotated, (unsigned long)value_dim);
    }
    return TM_OK;
}

tm_status tm_arch_from_gguf(struct tm_view meta, const char *where, struct tm_arch *out,
                            struct tm_err *err)
{
    struct tm_view name;
    enum tm_arch_kind kind;
    if (!tm_gguf_meta_str(meta, "general.architecture", &name)) {
        return tm_err_set(err, TM_E_MALFORMED, where, "cannot run the model",
                          "fetch the model again", "its metadata has no general.architecture");
    }
    if (!tm_arch_parse(name, &kind)) {
        return tm_arch_no_graph(where, err, "the architecture \"%.*s\" has no graph",
                                (int)name.bytes, (const char *)name.data);
    }
    tm_arch_defaults(kind, TM_STYLE_GGUF, out);
    return read_numbers(&(struct reader){meta, where, out, err});
}
