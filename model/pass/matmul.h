/* SPDX-License-Identifier: Apache-2.0
 * A matrix of weights times vectors, over all cores. The order of every sum is that of dot.h, so
 * the result depends neither on the number of threads nor on how many vectors come at a time. */
#ifndef TM_MODEL_PASS_MATMUL_H
#define TM_MODEL_PASS_MATMUL_H

#include "model/pass/team.h"
#include "model/tensor.h"

struct tm_matrix {
    enum tm_dtype dtype; /* one that tm_dot_has; F32 are floats of this machine */
    uint32_t rows, cols; /* cols: a multiple of 8 and of the dtype's block */
    const uint8_t *data; /* rows * row_bytes, borrowed */
    size_t row_bytes;
};

struct tm_vectors {
    const float *data;
    size_t stride; /* floats from one to the next */
    size_t count;
};

/* Floats of room that each thread needs to multiply matrices of at most cols_max columns. */
size_t tm_matmul_room(uint32_t cols_max);

/* One matrix and where its products go. */
struct tm_product {
    const struct tm_matrix *matrix;
    float *y; /* y[v * y_stride + row] = row . x[v] */
    size_t y_stride;
};

#define TM_PRODUCTS_MAX 3

/* Several matrices (at most TM_PRODUCTS_MAX, of the same cols) times the same vectors, of cols
 * floats each: the threads are waited for once. */
void tm_matmul_all(struct tm_team *team, const struct tm_product *products, size_t count,
                   struct tm_vectors x);
/* One of them. */
void tm_matmul(struct tm_team *team, const struct tm_matrix *matrix, struct tm_vectors x, float *y,
               size_t y_stride);
/* Row `row` as float32: out[cols]. */
void tm_matrix_row(const struct tm_matrix *matrix, uint32_t row, float *out);

#endif
