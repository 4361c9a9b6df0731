/* SPDX-License-Identifier: Apache-2.0
 * The weights of a model in memory, as the forward pass wants them. They stay in the dtype that
 * they have where dot.h can multiply it, and are float32 otherwise; the figures are the same. */
#ifndef TM_MODEL_PASS_WEIGHTS_H
#define TM_MODEL_PASS_WEIGHTS_H

#include "model/pass/arch.h"
#include "model/pass/matmul.h"

/* Where weights come from: a checkpoint (model/pass/weights_checkpoint.h) or a package. */
struct tm_weights_tensor {
    struct tm_view name;
    enum tm_dtype dtype; /* that read gives without loss */
    struct tm_shape shape;
};

struct tm_weights_source {
    void *context;
    const char *path; /* for errors */
    size_t tensor_count;
    void (*describe)(void *context, size_t index, struct tm_weights_tensor *out);
    /* The whole tensor, `bytes` bytes of its dtype. */
    tm_status (*read)(void *context, size_t index, void *out, size_t bytes, struct tm_err *err);
    /* Appends an attachment ("config.json", "gguf-metadata"); TM_E_NOTHING, and err left alone,
     * when there is none. */
    tm_status (*attachment)(void *context, const char *name, struct tm_buf *out,
                            struct tm_err *err);
};

/* Matrices of a layer: those that calibration watches the inputs of. */
enum tm_linear {
    TM_LINEAR_Q,
    TM_LINEAR_K,
    TM_LINEAR_V,
    TM_LINEAR_ATTENTION_OUT,
    TM_LINEAR_GATE,
    TM_LINEAR_UP,
    TM_LINEAR_DOWN,
    TM_LINEAR_COUNT
};

struct tm_layer {
    struct tm_matrix linear[TM_LINEAR_COUNT];
    const float *bias[TM_LINEAR_COUNT]; /* NULL: none */
    const float *attention_norm, *gate_norm;
    const float *q_norm, *k_norm;                      /* arch.head_norms, else NULL */
    const float *attention_post_norm, *gate_post_norm; /* arch.post_norms, else NULL */
};

struct tm_weights {
    struct tm_arch arch;
    struct tm_matrix embedding; /* arch.vocab rows */
    struct tm_matrix head;      /* the embedding again when the model ties them */
    const float *output_norm;
    const float *rope_factors; /* head_dim / 2 divisors of the rotary frequencies, or NULL */
    struct tm_layer *layers;
    void **blocks; /* of memory that the rest points into */
    size_t block_count;
    uint64_t bytes; /* in those */
};

/* Reads configuration and all weights. Errors: those of arch.h; TM_E_MALFORMED names a tensor that
 * is missing, has the wrong shape or holds NaN or infinity; TM_E_INCOMPATIBLE one that the graph
 * does not know; TM_E_NOMEM. On failure *out is empty. */
tm_status tm_weights_load(const struct tm_weights_source *source, struct tm_weights *out,
                          struct tm_err *err) TM_MUST_USE;
/* A zeroed one is empty and valid. */
void tm_weights_deinit(struct tm_weights *weights);

/* Only the configuration. */
tm_status tm_weights_arch(const struct tm_weights_source *source, struct tm_arch *out,
                          struct tm_err *err) TM_MUST_USE;

#endif
