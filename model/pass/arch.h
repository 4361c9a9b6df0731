/* SPDX-License-Identifier: Apache-2.0
 * What the forward pass must know of a model besides its weights: the numbers of its configuration,
 * from config.json (Hugging Face) or the metadata of a GGUF file. A feature that the pass does not
 * have is refused by name: it never computes something else than the model. */
#ifndef TM_MODEL_PASS_ARCH_H
#define TM_MODEL_PASS_ARCH_H

#include "base/buf.h"

/* X(enum, name as in model_type and general.architecture) */
#define TM_ARCH_LIST(X)                                                                            \
    X(TM_ARCH_LLAMA, "llama")                                                                      \
    X(TM_ARCH_QWEN2, "qwen2")                                                                      \
    X(TM_ARCH_QWEN3, "qwen3")                                                                      \
    X(TM_ARCH_GEMMA3, "gemma3")

#define TM_ARCH_ENUM(code, text) code,
enum tm_arch_kind { TM_ARCH_LIST(TM_ARCH_ENUM) TM_ARCH_COUNT };
#undef TM_ARCH_ENUM

/* Where the names of the tensors and the form of the weights come from. */
enum tm_arch_style {
    TM_STYLE_HF,  /* "model.layers.0.self_attn.q_proj.weight" */
    TM_STYLE_GGUF /* "blk.0.attn_q.weight"; llama's Q and K rows lie interleaved */
};

/* How rotary angles are stretched for longer contexts. */
struct tm_rope_scaling {
    enum { TM_ROPE_PLAIN, TM_ROPE_LINEAR, TM_ROPE_LLAMA3 } kind;
    double factor;                  /* both */
    double low_factor, high_factor; /* llama3 */
    double original_context;        /* llama3, tokens */
};

struct tm_arch {
    enum tm_arch_kind kind;
    enum tm_arch_style style;
    uint32_t layers, dim, hidden; /* dim: of the residual stream; hidden: of the gate */
    uint32_t heads, kv_heads, head_dim;
    uint32_t vocab;   /* 0: as many as the embedding has rows */
    uint32_t context; /* tokens that the model was trained for */
    float norm_eps;
    double rope_base, rope_local_base; /* local: layers with a window */
    struct tm_rope_scaling rope;       /* not of layers with a window */
    uint32_t window;                   /* tokens that a layer with a window sees, 0: none has one */
    uint32_t global_every;             /* every such layer has no window (0: all layers have one) */
    bool rope_interleaved;             /* pairs are (2i, 2i + 1) */
    bool gelu;                         /* the gate's function, else SiLU */
    bool head_norms;                   /* Q and K are normalised per head */
    bool post_norms;                   /* the outputs of attention and gate are normalised */
    bool norm_plus_one;                /* norm weights are stored minus one */
    float embed_scale;                 /* embeddings are multiplied by it */
    float attention_scale;             /* products of Q and K are multiplied by it */
};

const char *tm_arch_name(enum tm_arch_kind kind);
/* By name; false for one that has no graph here. */
bool tm_arch_parse(struct tm_view name, enum tm_arch_kind *out);
/* Whether layer `layer` looks back over arch->window tokens only. */
bool tm_arch_has_window(const struct tm_arch *arch, uint32_t layer);

/* Both: TM_E_INCOMPATIBLE names the architecture or feature that has no graph; TM_E_MALFORMED a
 * number that is missing or impossible. `where` is for errors. */
tm_status tm_arch_from_config(struct tm_view json, const char *where, struct tm_arch *out,
                              struct tm_err *err) TM_MUST_USE;
/* meta: a checked "gguf-metadata" blob (model/gguf_meta.h). */
tm_status tm_arch_from_gguf(struct tm_view meta, const char *where, struct tm_arch *out,
                            struct tm_err *err) TM_MUST_USE;

/* ---- for the readers of model/pass ---- */

/* The TM_E_INCOMPATIBLE of what has no graph; the reason ends in "... has no graph". */
tm_status tm_arch_no_graph(const char *where, struct tm_err *err, const char *fmt, ...)
    TM_PRINTF(3, 4);

/* The numbers that are no part of a configuration: what the kind says. */
void tm_arch_defaults(enum tm_arch_kind kind, enum tm_arch_style style, struct tm_arch *out);
/* Holds the numbers against each other and against limits, and derives what was left 0. */
tm_status tm_arch_check(struct tm_arch *arch, const char *where, struct tm_err *err) TM_MUST_USE;

#endif
