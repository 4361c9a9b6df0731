/* SPDX-License-Identifier: Apache-2.0
 * How much an error in a query or key changes what attention adds to the residual stream: the
 * squared derivatives of the output of one position, through softmax and output matrix, by each
 * element of its query and of the keys. From them follow the weights of the rows of the Q and K
 * matrices. Plain float in a fixed order, no fma: the same bits everywhere. */
#ifndef TM_MODEL_JACOBIAN_H
#define TM_MODEL_JACOBIAN_H

#include "model/pass/matmul.h"

/* gram[head][i * head_dim + j]: the product of columns i and j of the head's part of the output
 * matrix `out`, which has heads * head_dim columns. */
void tm_jacobian_grams(struct tm_team *team, const struct tm_matrix *out, uint32_t head_dim,
                       float *gram);

struct tm_jacobian {
    uint32_t heads, kv_heads, head_dim;
    float scale; /* of the products of queries and keys */
    const float *gram;
    const float *query;         /* of the position, [heads * head_dim] */
    const float *keys, *values; /* of the first position that it sees */
    size_t stride;              /* floats from position to position */
    uint32_t count;             /* positions that it sees, itself included */
    float weight;               /* what the results are multiplied by */
};

/* Floats of work space. */
size_t tm_jacobian_room(uint32_t head_dim, uint32_t count_max);
/* Roots of the squared derivatives, times weight: for heads of queries of key head `kv`,
 * query_slope[head_dim * its heads], and key_slope[head_dim], summed over positions and heads. */
void tm_jacobian_head(const struct tm_jacobian *jacobian, uint32_t kv, float *room,
                      float *query_slope, float *key_slope);

#endif
