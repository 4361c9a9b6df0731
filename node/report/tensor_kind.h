/* SPDX-License-Identifier: Apache-2.0
 * What a tensor does in a transformer, guessed from its name alone: names of Hugging Face, GGUF,
 * llama2.c and GPT-2 are known. Only for people to look at; nothing is computed with it. */
#ifndef TM_REPORT_TENSOR_KIND_H
#define TM_REPORT_TENSOR_KIND_H

#include "base/buf.h"

/* X(enum, short name, what it is). In the order of the way through a layer. */
#define TM_TENSOR_KIND_LIST(X)                                                                     \
    X(TM_KIND_EMBED, "embed", "embedding")                                                         \
    X(TM_KIND_Q, "q", "query projection")                                                          \
    X(TM_KIND_K, "k", "key projection")                                                            \
    X(TM_KIND_V, "v", "value projection")                                                          \
    X(TM_KIND_QKV, "qkv", "query, key and value projections in one")                               \
    X(TM_KIND_O, "o", "output projection of attention")                                            \
    X(TM_KIND_GATE, "gate", "gate projection")                                                     \
    X(TM_KIND_UP, "up", "up projection")                                                           \
    X(TM_KIND_DOWN, "down", "down projection")                                                     \
    X(TM_KIND_NORM, "norm", "normalisation weights")                                               \
    X(TM_KIND_BIAS, "bias", "bias")                                                                \
    X(TM_KIND_HEAD, "head", "output head")                                                         \
    X(TM_KIND_OTHER, "other", "something else")

#define TM_TENSOR_KIND_ENUM(code, name, text) code,
enum tm_tensor_kind { TM_TENSOR_KIND_LIST(TM_TENSOR_KIND_ENUM) TM_KIND_COUNT };
#undef TM_TENSOR_KIND_ENUM

enum tm_tensor_kind tm_tensor_kind_of(struct tm_view name);
const char *tm_tensor_kind_name(enum tm_tensor_kind kind);
const char *tm_tensor_kind_text(enum tm_tensor_kind kind);

#endif
