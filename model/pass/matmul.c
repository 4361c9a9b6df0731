/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/matmul.h"

#include "model/pass/dot.h"

/* Rows that a thread takes at a time: for one vector enough to be worth the asking, for many so few
 * that they stay in the cache while the vectors pass. */
#define ROWS_FEW 64
#define ROWS_MANY 16
/* Vectors from which on copying a panel of rows as float32 first costs less than unpacking for each
 * three vectors again. Rows that are float32 already gain too: the copy lies in one piece. */
#define MANY 6

size_t tm_matmul_room(uint32_t cols_max)
{
    return (size_t)ROWS_MANY * cols_max;
}

struct product {
    const struct tm_team *team;
    const struct tm_matrix *matrix;
    struct tm_vectors x;
    float *y;
    size_t y_stride;
    size_t rows; /* a panel has */
    bool unpack;
};

static void multiply_panel(void *context, size_t index, size_t thread)
{
    const struct product *p = context;
    const struct tm_matrix *m = p->matrix;
    size_t row = index * p->rows, rows = m->rows - row < p->rows ? m->rows - row : p->rows;
    struct tm_dot dot = {.dtype = m->dtype,
                         .w = m->data + row * m->row_bytes,
                         .w_stride = m->row_bytes,
                         .rows = rows,
                         .cols = m->cols,
                         .x = p->x.data,
                         .x_stride = p->x.stride,
                         .vectors = p->x.count,
                         .y = p->y + row,
                         .y_stride = p->y_stride};
    if (p->unpack) {
        float *panel = tm_team_room(p->team, thread);
        for (size_t i = 0; i < rows; i++) {
            tm_dot_unpack(m->dtype, dot.w + i * m->row_bytes, m->cols, panel + i * m->cols);
        }
        dot.dtype = TM_F32;
        dot.w = (const uint8_t *)panel;
        dot.w_stride = m->cols * sizeof *panel;
    }
    tm_dot(&dot);
}

void tm_matmul(struct tm_team *team, const struct tm_matrix *matrix, struct tm_vectors x, float *y,
               size_t y_stride)
{
    bool many = x.count >= MANY;
    struct product product = {.team = team,
                              .matrix = matrix,
                              .x = x,
                              .y = y,
                              .y_stride = y_stride,
                              .rows = many ? ROWS_MANY : ROWS_FEW,
                              .unpack = many};
    TM_ASSERT(!product.unpack || tm_matmul_room(matrix->cols) <= tm_team_room_floats(team));
    tm_team_run(team, (matrix->rows + product.rows - 1) / product.rows,
                (uint64_t)matrix->rows * matrix->cols * x.count, multiply_panel, &product);
}

void tm_matrix_row(const struct tm_matrix *matrix, uint32_t row, float *out)
{
    tm_dot_unpack(matrix->dtype, matrix->data + row * matrix->row_bytes, matrix->cols, out);
}
