/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/tensor_kind.h"

#include <string.h>

/* A part of a name that gives the kind away; the first row that occurs in the name wins. */
static const struct {
    const char *part;
    enum tm_tensor_kind kind;
} parts[] = {
    {".bias", TM_KIND_BIAS},
    {"norm", TM_KIND_NORM},
    {".ln_", TM_KIND_NORM},
    {"attn_qkv", TM_KIND_QKV},
    {"qkv_proj", TM_KIND_QKV},
    {"query_key_value", TM_KIND_QKV},
    {"attn.c_attn", TM_KIND_QKV},
    {"attn_output", TM_KIND_O},
    {"o_proj", TM_KIND_O},
    {"attn.c_proj", TM_KIND_O},
    {"attention.wo", TM_KIND_O},
    {"attention.dense", TM_KIND_O},
    {"out_proj", TM_KIND_O},
    {"attn_q", TM_KIND_Q},
    {"q_proj", TM_KIND_Q},
    {"attention.wq", TM_KIND_Q},
    {"attn_k", TM_KIND_K},
    {"k_proj", TM_KIND_K},
    {"attention.wk", TM_KIND_K},
    {"attn_v", TM_KIND_V},
    {"v_proj", TM_KIND_V},
    {"attention.wv", TM_KIND_V},
    {"ffn_gate_inp", TM_KIND_OTHER},
    {"ffn_gate", TM_KIND_GATE},
    {"gate_proj", TM_KIND_GATE},
    {".w1.", TM_KIND_GATE},
    {"ffn_up", TM_KIND_UP},
    {"up_proj", TM_KIND_UP},
    {".w3.", TM_KIND_UP},
    {"c_fc", TM_KIND_UP},
    {"h_to_4h", TM_KIND_UP},
    {"fc1", TM_KIND_UP},
    {"ffn_down", TM_KIND_DOWN},
    {"down_proj", TM_KIND_DOWN},
    {".w2.", TM_KIND_DOWN},
    {"mlp.c_proj", TM_KIND_DOWN},
    {"4h_to_h", TM_KIND_DOWN},
    {"fc2", TM_KIND_DOWN},
    {"embd", TM_KIND_EMBED},
    {"embed", TM_KIND_EMBED},
    {"wte", TM_KIND_EMBED},
    {"wpe", TM_KIND_EMBED},
    {"lm_head", TM_KIND_HEAD},
    {"output.weight", TM_KIND_HEAD},
};

enum tm_tensor_kind tm_tensor_kind_of(struct tm_view name)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (memmem(name.data, name.bytes, parts[i].part, strlen(parts[i].part)) != NULL) {
            return parts[i].kind;
        }
    }
    return TM_KIND_OTHER;
}

const char *tm_tensor_kind_name(enum tm_tensor_kind kind)
{
#define NAME(code, name, text) name,
    static const char *const names[] = {TM_TENSOR_KIND_LIST(NAME)};
#undef NAME
    return names[kind];
}

const char *tm_tensor_kind_text(enum tm_tensor_kind kind)
{
#define TEXT(code, name, text) text,
    static const char *const texts[] = {TM_TENSOR_KIND_LIST(TEXT)};
#undef TEXT
    return texts[kind];
}
