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

struct job {
    const struct tm_team *team;
    const struct tm_product *products;
    size_t panels[TM_PRODUCTS_MAX]; /* of each product */
    struct tm_vectors x;
    size_t rows; /* a panel has */
    bool unpack;
};

static void multiply_panel(void *context, size_t index, size_t thread)
{
    const struct job *job = context;
    const struct tm_product *p = job->products;
    for (size_t i = 0; index >= job->panels[i]; i++, p++) {
        index -= job->panels[i];
    }
    const struct tm_matrix *m = p->matrix;
    size_t row = index * job->rows, rows = m->rows - row < job->rows ? m->rows - row : job->rows;
    struct tm_dot dot = {.dtype = m->dtype,
                         .w = m->data + row * m->row_bytes,
                         .w_stride = m->row_bytes,
                         .rows = rows,
                         .cols = m->cols,
                         .x = job->x.data,
                         .x_stride = job->x.stride,
                         .vectors = job->x.count,
                         .y = p->y + row,
                         .y_stride = p->y_stride};
    if (job->unpack) {
        float *panel = tm_team_room(job->team, thread);
        for (size_t i = 0; i < rows; i++) {
            tm_dot_unpack(m->dtype, dot.w + i * m->row_bytes, m->cols, panel + i * m->cols);
        }
        dot.dtype = TM_F32;
        dot.w = (const uint8_t *)panel;
        dot.w_stride = m->cols * sizeof *panel;
    }
    tm_dot(&dot);
}

void tm_matmul_all(struct tm_team *team, const struct tm_product *products, size_t count,
                   struct tm_vectors x)
{
    bool many = x.count >= MANY;
    struct job job = {.team = team,
                      .products = products,
                      .x = x,
                      .rows = many ? ROWS_MANY : ROWS_FEW,
                      .unpack = many};
    size_t panels = 0;
    uint64_t cost = 0;
    TM_ASSERT(count <= TM_PRODUCTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct tm_matrix *m = products[i].matrix;
        TM_ASSERT(!many || tm_matmul_room(m->cols) <= tm_team_room_floats(team));
        job.panels[i] = (m->rows + job.rows - 1) / job.rows;
        panels += job.panels[i];
        cost += (uint64_t)m->rows * m->cols * x.count;
    }
    tm_team_run(team, panels, cost, multiply_panel, &job);
}

void tm_matmul(struct tm_team *team, const struct tm_matrix *matrix, struct tm_vectors x, float *y,
               size_t y_stride)
{
    tm_matmul_all(team, &(struct tm_product){matrix, y, y_stride}, 1, x);
}

void tm_matrix_row(const struct tm_matrix *matrix, uint32_t row, float *out)
{
    tm_dot_unpack(matrix->dtype, matrix->data + row * matrix->row_bytes, matrix->cols, out);
}
