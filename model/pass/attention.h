/* SPDX-License-Identifier: Apache-2.0
 * Attention of one layer over its cache of keys and values. Private to model/pass. */
#ifndef TM_MODEL_PASS_ATTENTION_H
#define TM_MODEL_PASS_ATTENTION_H

#include "model/pass/matmul.h"

/* Keys lie [kv_head][position][head_dim], values [kv_head][head_dim][position], so that both
 * products of attention are rows times vectors. */
struct tm_cache {
    float *keys, *values;
    uint32_t positions; /* room, a multiple of 8 */
    uint32_t kv_heads, head_dim;
};

struct tm_attention {
    struct tm_cache cache;
    uint32_t heads;
    uint32_t first;  /* position of the first vector */
    uint32_t count;  /* vectors; their keys and values are in the cache already */
    uint32_t window; /* positions that a vector sees, itself included; 0: all before it */
    float scale;
    const float *q; /* [vector][head][head_dim], of `stride` floats a vector */
    float *out;     /* the same */
    size_t stride;
    float *scratch; /* tm_attention_scratch floats for each thread */
};

/* Stores k and v, [vector][kv_head][head_dim], as positions first to first + count - 1. */
void tm_cache_store(const struct tm_cache *cache, uint32_t first, uint32_t count, const float *k,
                    const float *v);
size_t tm_attention_scratch(uint32_t positions);
/* out = softmax(scale * q k^T + mask) v for each head. */
void tm_attend(struct tm_team *team, const struct tm_attention *attention);

#endif
