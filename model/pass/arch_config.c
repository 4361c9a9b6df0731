/* SPDX-License-Identifier: Apache-2.0
 * Of arch.h: config.json as the transformers library writes it. */
#include "model/pass/arch.h"

#include <math.h>

#include "base/json.h"

static const char what_failed[] = "cannot run the model";

struct reader {
    const struct tm_json *root;
    const char *where;
    struct tm_arch *arch;
    struct tm_err *err;
};

/* A whole number of `key`; absent or null leaves *out. */
static tm_status count(const struct reader *r, const char *key, uint32_t *out)
{
    const struct tm_json *node = tm_json_get(r->root, key);
    uint64_t value;
    if (node == NULL || tm_json_kind(node) == TM_JSON_NULL) {
        return TM_OK;
    }
    if (!tm_json_u64(node, &value) || value > UINT32_MAX) {
        return tm_err_set(r->err, TM_E_MALFORMED, r->where, what_failed,
                          "fetch the model's config.json again", "%s is no count", key);
    }
    *out = (uint32_t)value;
    return TM_OK;
}

static void number(const struct tm_json *object, const char *key, double *out)
{
    double value;
    if (tm_json_f64(tm_json_get(object, key), &value)) {
        *out = value;
    }
}

static tm_status read_scaling(const struct reader *r, const struct tm_json *scaling)
{
    struct tm_rope_scaling *rope = &r->arch->rope;
    struct tm_view type;
    if (scaling == NULL || tm_json_kind(scaling) == TM_JSON_NULL) {
        return TM_OK;
    }
    if (!tm_json_str(tm_json_get(scaling, "rope_type"), &type) &&
        !tm_json_str(tm_json_get(scaling, "type"), &type)) {
        return tm_err_set(r->err, TM_E_MALFORMED, r->where, what_failed,
                          "fetch the model's config.json again", "rope_scaling has no type");
    }
    if (tm_view_eq_str(type, "default")) {
        return TM_OK;
    }
    number(scaling, "factor", &rope->factor);
    if (tm_view_eq_str(type, "linear")) {
        rope->kind = TM_ROPE_LINEAR;
        return TM_OK;
    }
    if (tm_view_eq_str(type, "llama3")) {
        rope->kind = TM_ROPE_LLAMA3;
        number(scaling, "low_freq_factor", &rope->low_factor);
        number(scaling, "high_freq_factor", &rope->high_factor);
        number(scaling, "original_max_position_embeddings", &rope->original_context);
        return TM_OK;
    }
    return tm_arch_no_graph(r->where, r->err, "rotary scaling of type \"%s\" has no graph",
                            (const char *)type.data);
}

/* Layers of one kind each, as a list: all that we know is "every n-th sees everything". */
static tm_status read_layer_types(const struct reader *r)
{
    const struct tm_json *types = tm_json_get(r->root, "layer_types");
    size_t every = 0, n = tm_json_count(types);
    for (size_t i = 0; i < n; i++) {
        struct tm_view type;
        if (!tm_json_str(tm_json_at(types, i), &type)) {
            return tm_arch_no_graph(r->where, r->err, "layer_types of that form have no graph");
        }
        bool full = tm_view_eq_str(type, "full_attention");
        if (!full && !tm_view_eq_str(type, "sliding_attention")) {
            return tm_arch_no_graph(r->where, r->err, "layers of type \"%s\" have no graph",
                                    (const char *)type.data);
        }
        if (full && every == 0) {
            every = i + 1;
        }
        if (every > 0 && full != ((i + 1) % every == 0)) {
            return tm_arch_no_graph(r->where, r->err, "layer_types without a period have no graph");
        }
    }
    if (n > 0) {
        r->arch->global_every = (uint32_t)every;
    }
    return TM_OK;
}

static tm_status read_window(const struct reader *r)
{
    struct tm_arch *arch = r->arch;
    bool used = true;
    TM_TRY(count(r, "sliding_window", &arch->window));
    if (tm_json_bool(tm_json_get(r->root, "use_sliding_window"), &used) && !used) {
        arch->window = 0;
    }
    if (arch->kind == TM_ARCH_GEMMA3) {
        TM_TRY(count(r, "sliding_window_pattern", &arch->global_every));
        return read_layer_types(r);
    }
    if (arch->window > 0) {
        return tm_arch_no_graph(r->where, r->err,
                                "a sliding window in this architecture has no graph");
    }
    return TM_OK;
}

static tm_status read_switches(const struct reader *r)
{
    struct tm_view act = tm_view_str(r->arch->gelu ? "gelu_pytorch_tanh" : "silu");
    const struct tm_json *node = tm_json_get(r->root, "hidden_activation");
    if (!tm_json_str(node, &act)) {
        (void)tm_json_str(tm_json_get(r->root, "hidden_act"), &act);
    }
    if (!tm_view_eq_str(act, r->arch->gelu ? "gelu_pytorch_tanh" : "silu")) {
        return tm_arch_no_graph(r->where, r->err, "the activation \"%s\" has no graph here",
                                (const char *)act.data);
    }
    static const char *const softcaps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    for (size_t i = 0; i < 2; i++) {
        const struct tm_json *cap = tm_json_get(r->root, softcaps[i]);
        if (cap != NULL && tm_json_kind(cap) != TM_JSON_NULL) {
            return tm_arch_no_graph(r->where, r->err, "%s has no graph", softcaps[i]);
        }
    }
    return TM_OK;
}

static tm_status read_numbers(const struct reader *r)
{
    struct tm_arch *arch = r->arch;
    double eps = (double)arch->norm_eps, scalar = 0.0;
    TM_TRY(count(r, "num_hidden_layers", &arch->layers));
    TM_TRY(count(r, "hidden_size", &arch->dim));
    TM_TRY(count(r, "intermediate_size", &arch->hidden));
    TM_TRY(count(r, "num_attention_heads", &arch->heads));
    TM_TRY(count(r, "num_key_value_heads", &arch->kv_heads));
    TM_TRY(count(r, "head_dim", &arch->head_dim));
    TM_TRY(count(r, "vocab_size", &arch->vocab));
    TM_TRY(count(r, "max_position_embeddings", &arch->context));
    number(r->root, "rms_norm_eps", &eps);
    arch->norm_eps = (float)eps;
    number(r->root, "rope_theta", &arch->rope_base);
    number(r->root, "rope_local_base_freq", &arch->rope_local_base);
    number(r->root, "query_pre_attn_scalar", &scalar);
    if (scalar > 0.0) {
        arch->attention_scale = 1.0f / sqrtf((float)scalar);
    }
    return TM_OK;
}

static tm_status read_config(struct reader *r)
{
    struct tm_view type;
    enum tm_arch_kind kind;
    if (!tm_json_str(tm_json_get(r->root, "model_type"), &type)) {
        return tm_err_set(r->err, TM_E_MALFORMED, r->where, what_failed,
                          "fetch the model's config.json again", "there is no model_type in it");
    }
    if (!tm_arch_parse(type, &kind)) {
        return tm_arch_no_graph(r->where, r->err, "the architecture \"%s\" has no graph",
                                (const char *)type.data);
    }
    /* A model that also reads pictures keeps the text's numbers apart. */
    const struct tm_json *text = tm_json_get(r->root, "text_config");
    r->root = text != NULL ? text : r->root;
    tm_arch_defaults(kind, TM_STYLE_HF, r->arch);
    TM_TRY(read_numbers(r));
    TM_TRY(read_scaling(r, tm_json_get(r->root, "rope_scaling")));
    TM_TRY(read_window(r));
    TM_TRY(read_switches(r));
    return tm_arch_check(r->arch, r->where, r->err);
}

tm_status tm_arch_from_config(struct tm_view json, const char *where, struct tm_arch *out,
                              struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(json, where, &doc, err));
    struct reader reader = {tm_json_root(doc), where, out, err};
    tm_status status = read_config(&reader);
    tm_json_free(&doc);
    return status;
}
