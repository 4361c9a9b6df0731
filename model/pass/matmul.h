/* SPDX-License-Identifier: Apache-2.0
 * A matrix of weights times vectors, over all cores. The order of every sum is that of dot.h, so
 * the result depends neither on the number of threads nor on how many vectors come at a time. */
#ifndef TM_MODEL_PASS_MATMUL_H
#define TM_MODEL_PASS_MATMUL_H

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

/* Threads and the room that each needs to unpack weights. */
struct tm_team;
/* For matrices of at most cols_max columns; threads 0: one for each core that we may use. Errors:
 * TM_E_NOMEM. */
tm_status tm_team_new(uint32_t cols_max, size_t threads, struct tm_team **out) TM_MUST_USE;
/* The threads of such a team, and the bytes it takes. */
size_t tm_team_wanted(size_t threads);
uint64_t tm_team_bytes(uint32_t cols_max, size_t threads);
void tm_team_destroy(struct tm_team **team);
size_t tm_team_threads(const struct tm_team *team);
/* work(context, index, thread) for every index below count, thread below tm_team_threads. `cost`:
 * about how many multiplications all of it takes; little work stays in the calling thread. */
typedef void (*tm_team_work)(void *context, size_t index, size_t thread);
void tm_team_run(const struct tm_team *team, size_t count, uint64_t cost, tm_team_work work,
                 void *context);

/* y[v * y_stride + row] = row . x[v]; x has matrix->cols floats each. */
void tm_matmul(const struct tm_team *team, const struct tm_matrix *matrix, struct tm_vectors x,
               float *y, size_t y_stride);
/* Row `row` as float32: out[cols]. */
void tm_matrix_row(const struct tm_matrix *matrix, uint32_t row, float *out);

#endif
