/* SPDX-License-Identifier: Apache-2.0
 * Exact sums of outer products, x x^T over many tokens, of vectors rounded to 16 bits: the part of
 * calibration that has a kernel for each instruction set. Integers throughout, so that neither the
 * order of tokens nor the number of threads nor a cut into shards can change a bit.
 *
 * A matrix of cols columns is cut into blocks of `width` columns on its diagonal (one block when
 * width >= cols), a block into panels of 16 columns, and the sums of two panels p <= q of a block
 * are a tile of 16 x 16. A batch of tokens lies panel by panel, tokens in pairs:
 * int16 [panel][pair][column of the panel][token of the pair], zeros where there is no column or
 * token. */
#ifndef TM_MODEL_COVARIANCE_H
#define TM_MODEL_COVARIANCE_H

#include "model/pass/matmul.h"

#define TM_COV_PANEL 16
#define TM_COV_TILE ((size_t)TM_COV_PANEL * TM_COV_PANEL)
#define TM_COV_VALUE_MAX 32767 /* of |value| */
/* Most tokens whose products fit: 2^32 * 32767^2 < 2^63. */
#define TM_COV_TOKENS_MAX ((uint64_t)1 << 32)

struct tm_cov_shape {
    uint32_t cols;
    uint32_t width; /* of a block: a multiple of 16, or >= cols */
};

/* Blocks of nearly equal width, at most width_max columns each (0: one block). */
struct tm_cov_shape tm_cov_shape_of(uint32_t cols, uint32_t width_max);
uint32_t tm_cov_blocks(const struct tm_cov_shape *shape);
/* First column of a block, and how many it has. */
uint32_t tm_cov_block_first(const struct tm_cov_shape *shape, uint32_t block);
uint32_t tm_cov_block_cols(const struct tm_cov_shape *shape, uint32_t block);
/* Panels of all blocks; int64 values in the sums of all tiles. */
size_t tm_cov_panels(const struct tm_cov_shape *shape);
size_t tm_cov_values(const struct tm_cov_shape *shape);
/* The sum of columns i and j >= i of one block. */
int64_t *tm_cov_at(const struct tm_cov_shape *shape, int64_t *sums, uint32_t i, uint32_t j);

/* ---- a batch of tokens ---- */

struct tm_cov_batch {
    const struct tm_cov_shape *shape;
    size_t pairs;          /* of tokens */
    const int16_t *panels; /* [tm_cov_panels][pairs][16][2] */
    const uint32_t *most;  /* [tm_cov_panels]: largest |value| of each, or more */
};

/* Adds the batch to sums[tm_cov_values]. */
void tm_cov_add(struct tm_team *team, const struct tm_cov_batch *batch, int64_t *sums);

/* ---- kernels, for the dispatcher and the tests ---- */

/* sums[16 * i + j] += the sum over all tokens of a[i] * b[j]; no product is above product_max. */
struct tm_cov_tile {
    const int16_t *a, *b; /* [pairs][16][2] */
    size_t pairs;
    uint32_t product_max;
    int64_t *sums;
};
void tm_cov_tile_ref(const struct tm_cov_tile *tile);
void tm_cov_tile_avx2(const struct tm_cov_tile *tile);
void tm_cov_tile_neon(const struct tm_cov_tile *tile);
/* Pairs whose products can be added in 32 bits. */
size_t tm_cov_pairs_at_once(uint32_t product_max);

#endif
