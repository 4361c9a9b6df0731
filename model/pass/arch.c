/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/arch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const names[TM_ARCH_COUNT] = {
#define NAME(code, text) [code] = (text),
    TM_ARCH_LIST(NAME)
#undef NAME
};

const char *tm_arch_name(enum tm_arch_kind kind)
{
    return names[kind];
}

bool tm_arch_parse(struct tm_view name, enum tm_arch_kind *out)
{
    for (int kind = 0; kind < TM_ARCH_COUNT; kind++) {
        if (tm_view_eq_str(name, names[kind])) {
            *out = (enum tm_arch_kind)kind;
            return true;
        }
    }
    /* The text part of a model that also reads pictures has a name of its own in config.json. */
    if (tm_view_eq_str(name, "gemma3_text")) {
        *out = TM_ARCH_GEMMA3;
        return true;
    }
    return false;
}

bool tm_arch_has_window(const struct tm_arch *arch, uint32_t layer)
{
    return arch->window > 0 && (arch->global_every == 0 || (layer + 1) % arch->global_every != 0);
}

void tm_arch_defaults(enum tm_arch_kind kind, enum tm_arch_style style, struct tm_arch *out)
{
    *out = (struct tm_arch){.kind = kind,
                            .style = style,
                            .norm_eps = 1e-6f,
                            .rope_base = 10000.0,
                            .rope_interleaved = kind == TM_ARCH_LLAMA && style == TM_STYLE_GGUF,
                            .head_norms = kind == TM_ARCH_QWEN3 || kind == TM_ARCH_GEMMA3};
    if (kind == TM_ARCH_GEMMA3) { /* Gemma Team 2025, arXiv:2503.19786 */
        out->rope_base = 1000000.0;
        out->rope_local_base = 10000.0;
        out->global_every = 6;
        out->gelu = true;
        out->post_norms = true;
        out->norm_plus_one = style == TM_STYLE_HF;
    }
}

tm_status tm_arch_no_graph(const char *where, struct tm_err *err, const char *fmt, ...)
{
    char what[256];
    va_list list;
    va_start(list, fmt);
    vsnprintf(what, sizeof what, fmt, list);
    va_end(list);
    return tm_err_set(err, TM_E_INCOMPATIBLE, where, "cannot run the model",
                      "compressing it does not need that: see tmill compress --help", "%s", what);
}

static tm_status wrong(struct tm_err *err, const char *where, const char *what, double value)
{
    return tm_err_set(err, TM_E_MALFORMED, where, "cannot run the model",
                      "see tmill inspect MODEL; fetch the model again",
                      "its configuration has %s %.10g", what, value);
}

tm_status tm_arch_check(struct tm_arch *arch, const char *where, struct tm_err *err)
{
    const struct {
        const char *what;
        uint32_t value, max;
    } counts[] = {{"a number of layers of", arch->layers, 1024},
                  {"a width of", arch->dim, 1u << 17},
                  {"a gate width of", arch->hidden, 1u << 20},
                  {"a number of heads of", arch->heads, 1024},
                  {"a context of", arch->context, 1u << 27}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].value == 0 || counts[i].value > counts[i].max) {
            return wrong(err, where, counts[i].what, counts[i].value);
        }
    }
    if (arch->dim % 8 != 0) {
        return wrong(err, where, "a width (which must be a multiple of 8) of", arch->dim);
    }
    arch->kv_heads = arch->kv_heads == 0 ? arch->heads : arch->kv_heads;
    if (arch->head_dim == 0) {
        arch->head_dim = arch->dim / arch->heads;
    }
    if (arch->kv_heads > arch->heads || arch->heads % arch->kv_heads != 0) {
        return wrong(err, where, "a number of heads of keys of", arch->kv_heads);
    }
    if (arch->head_dim == 0 || arch->head_dim % 8 != 0 || arch->head_dim > 1024) {
        return wrong(err, where, "a head width (which must be a multiple of 8) of", arch->head_dim);
    }
    if (!(arch->norm_eps >= 0.0f) || !(arch->norm_eps < 1.0f)) {
        return wrong(err, where, "a norm epsilon of", (double)arch->norm_eps);
    }
    if (!(arch->rope_base > 1.0) || !(arch->rope_base < 1e30)) {
        return wrong(err, where, "a rotary base of", arch->rope_base);
    }
    if (arch->rope.kind != TM_ROPE_PLAIN && !(arch->rope.factor >= 1.0)) {
        return wrong(err, where, "a rotary factor of", arch->rope.factor);
    }
    if (arch->rope.kind == TM_ROPE_LLAMA3 && !(arch->rope.high_factor > arch->rope.low_factor)) {
        return wrong(err, where, "a high rotary factor of", arch->rope.high_factor);
    }
    bool gemma = arch->kind == TM_ARCH_GEMMA3;
    arch->embed_scale = gemma ? sqrtf((float)arch->dim) : 1.0f;
    if (arch->attention_scale == 0.0f) {
        /* The 27B model, which alone has 62 layers, divides by the width of all heads' share. */
        uint32_t width = gemma && arch->layers == 62 ? arch->dim / arch->heads : arch->head_dim;
        arch->attention_scale = 1.0f / sqrtf((float)width);
    }
    return TM_OK;
}
