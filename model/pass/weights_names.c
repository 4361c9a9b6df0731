/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights_names.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

static const char *const gguf_names[TM_SLOTS] = {
    [TM_SLOT_Q] = "attn_q.weight",
    [TM_SLOT_K] = "attn_k.weight",
    [TM_SLOT_V] = "attn_v.weight",
    [TM_SLOT_ATTENTION_OUT] = "attn_output.weight",
    [TM_SLOT_GATE] = "ffn_gate.weight",
    [TM_SLOT_UP] = "ffn_up.weight",
    [TM_SLOT_DOWN] = "ffn_down.weight",
    [TM_SLOT_Q_BIAS] = "attn_q.bias",
    [TM_SLOT_K_BIAS] = "attn_k.bias",
    [TM_SLOT_V_BIAS] = "attn_v.bias",
    [TM_SLOT_ATTENTION_OUT_BIAS] = "attn_output.bias",
    [TM_SLOT_GATE_BIAS] = "ffn_gate.bias",
    [TM_SLOT_UP_BIAS] = "ffn_up.bias",
    [TM_SLOT_DOWN_BIAS] = "ffn_down.bias",
    [TM_SLOT_ATTENTION_NORM] = "attn_norm.weight",
    [TM_SLOT_GATE_NORM] = "ffn_norm.weight",
    [TM_SLOT_Q_NORM] = "attn_q_norm.weight",
    [TM_SLOT_K_NORM] = "attn_k_norm.weight",
    [TM_SLOT_ATTENTION_POST_NORM] = "post_attention_norm.weight",
    [TM_SLOT_GATE_POST_NORM] = "post_ffw_norm.weight",
    [TM_SLOT_EMBEDDING] = "token_embd.weight",
    [TM_SLOT_HEAD] = "output.weight",
    [TM_SLOT_OUTPUT_NORM] = "output_norm.weight",
    [TM_SLOT_ROPE_FACTORS] = "rope_freqs.weight",
};

static const char *const hf_names[TM_SLOTS] = {
    [TM_SLOT_Q] = "self_attn.q_proj.weight",
    [TM_SLOT_K] = "self_attn.k_proj.weight",
    [TM_SLOT_V] = "self_attn.v_proj.weight",
    [TM_SLOT_ATTENTION_OUT] = "self_attn.o_proj.weight",
    [TM_SLOT_GATE] = "mlp.gate_proj.weight",
    [TM_SLOT_UP] = "mlp.up_proj.weight",
    [TM_SLOT_DOWN] = "mlp.down_proj.weight",
    [TM_SLOT_Q_BIAS] = "self_attn.q_proj.bias",
    [TM_SLOT_K_BIAS] = "self_attn.k_proj.bias",
    [TM_SLOT_V_BIAS] = "self_attn.v_proj.bias",
    [TM_SLOT_ATTENTION_OUT_BIAS] = "self_attn.o_proj.bias",
    [TM_SLOT_GATE_BIAS] = "mlp.gate_proj.bias",
    [TM_SLOT_UP_BIAS] = "mlp.up_proj.bias",
    [TM_SLOT_DOWN_BIAS] = "mlp.down_proj.bias",
    [TM_SLOT_ATTENTION_NORM] = "input_layernorm.weight",
    [TM_SLOT_GATE_NORM] = "post_attention_layernorm.weight",
    [TM_SLOT_Q_NORM] = "self_attn.q_norm.weight",
    [TM_SLOT_K_NORM] = "self_attn.k_norm.weight",
    [TM_SLOT_EMBEDDING] = "model.embed_tokens.weight",
    [TM_SLOT_HEAD] = "lm_head.weight",
    [TM_SLOT_OUTPUT_NORM] = "model.norm.weight",
};

/* Models that normalise what leaves attention too give the name of the gate's norm to that. */
static const char *hf_post_norm_name(enum tm_slot slot)
{
    switch (slot) {
    case TM_SLOT_ATTENTION_POST_NORM:
        return "post_attention_layernorm.weight";
    case TM_SLOT_GATE_NORM:
        return "pre_feedforward_layernorm.weight";
    case TM_SLOT_GATE_POST_NORM:
        return "post_feedforward_layernorm.weight";
    default:
        return hf_names[slot];
    }
}

static const char *plain_name(const struct tm_arch *arch, enum tm_slot slot)
{
    if (arch->style == TM_STYLE_GGUF) {
        return gguf_names[slot];
    }
    return arch->post_norms ? hf_post_norm_name(slot) : hf_names[slot];
}

static const char *layer_prefix(const struct tm_arch *arch)
{
    return arch->style == TM_STYLE_GGUF ? "blk." : "model.layers.";
}

static bool starts(struct tm_view name, const char *prefix)
{
    size_t n = strlen(prefix);
    return name.bytes >= n && memcmp(name.data, prefix, n) == 0;
}

static struct tm_view behind(struct tm_view name, size_t bytes)
{
    return (struct tm_view){name.data + bytes, name.bytes - bytes};
}

/* Weights of a picture reader beside the text model, and tables that can be computed. */
static bool ignored(struct tm_view name)
{
    static const char end[] = "rotary_emb.inv_freq";
    return starts(name, "vision_tower.") || starts(name, "multi_modal_projector.") ||
           (name.bytes >= sizeof end - 1 &&
            memcmp(name.data + name.bytes - (sizeof end - 1), end, sizeof end - 1) == 0);
}

enum tm_slot tm_slot_of(const struct tm_arch *arch, struct tm_view name, uint32_t *layer)
{
    if (ignored(name)) {
        return TM_SLOT_IGNORED;
    }
    if (starts(name, "language_model.")) {
        name = behind(name, strlen("language_model."));
    }
    int from = TM_LAYER_SLOTS, to = TM_SLOTS;
    if (starts(name, layer_prefix(arch))) {
        name = behind(name, strlen(layer_prefix(arch)));
        const uint8_t *dot = memchr(name.data, '.', name.bytes);
        uint64_t number;
        if (dot == NULL ||
            tm_parse_u64(tm_view_of(name.data, (size_t)(dot - name.data)), &number) != TM_OK ||
            number >= arch->layers) {
            return TM_SLOT_UNKNOWN;
        }
        *layer = (uint32_t)number;
        name = behind(name, (size_t)(dot - name.data) + 1);
        from = 0;
        to = TM_LAYER_SLOTS;
    }
    for (int slot = from; slot < to; slot++) {
        const char *known = plain_name(arch, (enum tm_slot)slot);
        if (known != NULL && tm_view_eq_str(name, known)) {
            return (enum tm_slot)slot;
        }
    }
    return TM_SLOT_UNKNOWN;
}

const char *tm_slot_name(const struct tm_arch *arch, enum tm_slot slot, uint32_t layer,
                         char out[96])
{
    const char *name = plain_name(arch, slot);
    if (slot < TM_LAYER_SLOTS) {
        snprintf(out, 96, "%s%lu.%s", layer_prefix(arch), (unsigned long)layer, name);
    } else {
        snprintf(out, 96, "%s", name);
    }
    return out;
}
