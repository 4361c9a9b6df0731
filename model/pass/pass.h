/* SPDX-License-Identifier: Apache-2.0
 * The forward pass of a decoder-only transformer (Vaswani et al. 2017; Touvron et al. 2023): token
 * ids in, logits out, with a cache of keys and values. The same weights and ids give the same bits
 * of logits on every machine, for every number of threads and however the ids are cut into calls
 * (docs/decisions/0008).
 *
 * A pass serves one thread at a time; it uses its team's threads itself. */
#ifndef TM_MODEL_PASS_PASS_H
#define TM_MODEL_PASS_PASS_H

#include "model/pass/weights.h"

struct tm_pass;

/* What an observer sees of each layer, in this order. A point's vectors stay as they are until the
 * layer's next sum (AFTER_ATTENTION, AFTER_GATE) has been seen; only those of GATE become those of
 * DOWN_IN. */
enum tm_pass_point {
    TM_POINT_ATTENTION_IN,    /* the input of Q, K and V */
    TM_POINT_Q,               /* normed and rotated, as K is: arch.heads * head_dim */
    TM_POINT_K,               /* arch.kv_heads * head_dim */
    TM_POINT_V,               /* arch.kv_heads * head_dim */
    TM_POINT_ATTENDED,        /* the input of ATTENTION_OUT */
    TM_POINT_AFTER_ATTENTION, /* the residual stream with what attention adds */
    TM_POINT_GATE_IN,         /* the input of GATE and UP */
    TM_POINT_GATE,            /* their outputs: arch.hidden */
    TM_POINT_UP,
    TM_POINT_DOWN_IN,    /* the input of DOWN */
    TM_POINT_AFTER_GATE, /* the residual stream with all that the layer adds */
    TM_POINT_COUNT
};

/* x.count vectors of `cols` floats, of the tokens from position `first` on. */
typedef void (*tm_pass_observer)(void *context, uint32_t layer, enum tm_pass_point point,
                                 struct tm_vectors x, uint32_t cols, uint32_t first);

struct tm_pass_options {
    uint32_t context;          /* positions that the cache has room for; 0: arch.context */
    uint32_t batch;            /* most tokens that go through a layer at a time; 0: 256 */
    size_t threads;            /* 0: one for each core that we may use */
    tm_pass_observer observer; /* NULL: none */
    void *observer_context;
};

/* Bytes that a pass takes besides the weights. */
uint64_t tm_pass_bytes(const struct tm_arch *arch, const struct tm_pass_options *options);
/* weights outlive the pass. TM_E_NOMEM names the size of what there was no room for. */
tm_status tm_pass_new(const struct tm_weights *weights, const struct tm_pass_options *options,
                      struct tm_pass **out, struct tm_err *err) TM_MUST_USE;
void tm_pass_destroy(struct tm_pass **pass);

/* Positions in the cache. */
uint32_t tm_pass_position(const struct tm_pass *pass);
/* Forgets positions from `position` (<= the present one) on. */
void tm_pass_rewind(struct tm_pass *pass, uint32_t position);
/* Puts tokens behind the present position; count <= options.batch. TM_E_LIMIT when the cache is
 * full, TM_E_USAGE for an id that the vocabulary has not, TM_E_MALFORMED names the layer whose
 * output is not finite (the position is then as before). */
tm_status tm_pass_run(struct tm_pass *pass, const uint32_t *ids, uint32_t count,
                      struct tm_err *err) TM_MUST_USE;
/* Logits of token number `index` (from 0) and the `count` - 1 behind it of the last run:
 * out[count * vocab]. */
void tm_pass_logits(struct tm_pass *pass, uint32_t index, uint32_t count, float *out);
/* Its threads, for other work between runs. */
struct tm_team *tm_pass_team(const struct tm_pass *pass);
uint32_t tm_pass_vocab(const struct tm_pass *pass);
uint32_t tm_pass_batch(const struct tm_pass *pass);
uint32_t tm_pass_context(const struct tm_pass *pass);

#endif
