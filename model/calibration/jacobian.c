/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/jacobian.h"

#include <math.h>
#include <string.h>

#include "model/pass/elementwise.h"

/* ---- sums in a fixed order ---- */

static float dot(const float *x, const float *y, size_t count)
{
    float lane[TM_LANES] = {0};
    size_t i = 0;
    for (; i + TM_LANES <= count; i += TM_LANES) {
        for (size_t l = 0; l < TM_LANES; l++) {
            lane[l] += x[i + l] * y[i + l];
        }
    }
    for (; i < count; i++) {
        lane[i % TM_LANES] += x[i] * y[i];
    }
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* y += factor * x */
static void add_scaled(float *y, const float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        y[i] += factor * x[i];
    }
}

/* y = x G */
static void times(const float *x, const float *gram, size_t n, float *y)
{
    memset(y, 0, n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        add_scaled(y, gram + i * n, x[i], n);
    }
}

/* ---- the output matrix ---- */

struct grams {
    const struct tm_team *team;
    const struct tm_matrix *out;
    uint32_t head_dim;
    float *gram;
};

static void one_gram(void *context, size_t head, size_t thread)
{
    const struct grams *g = context;
    float *row = tm_team_room(g->team, thread), *gram = g->gram;
    gram += head * g->head_dim * g->head_dim;
    memset(gram, 0, (size_t)g->head_dim * g->head_dim * sizeof *gram);
    for (uint32_t r = 0; r < g->out->rows; r++) {
        tm_matrix_row(g->out, r, row);
        const float *part = row + head * g->head_dim;
        for (uint32_t i = 0; i < g->head_dim; i++) {
            add_scaled(gram + (size_t)i * g->head_dim, part, part[i], g->head_dim);
        }
    }
}

void tm_jacobian_grams(struct tm_team *team, const struct tm_matrix *out, uint32_t head_dim,
                       float *gram)
{
    struct grams grams = {team, out, head_dim, gram};
    TM_ASSERT(tm_team_room_floats(team) >= out->cols);
    tm_team_run(team, out->cols / head_dim, (uint64_t)out->rows * out->cols * head_dim, one_gram,
                &grams);
}

/* ---- one head of keys ---- */

size_t tm_jacobian_room(uint32_t head_dim, uint32_t count_max)
{
    return (size_t)head_dim * head_dim + (size_t)4 * head_dim + count_max;
}

struct room {
    float *cross;                     /* [head_dim][head_dim]: covariance of keys and values */
    float *key, *value, *part, *more; /* [head_dim] */
    float *shares;                    /* [count]: attention */
};

static struct room split(float *floats, size_t n)
{
    float *cross = floats, *key = cross + n * n;
    return (struct room){cross, key, key + n, key + 2 * n, key + 3 * n, key + 4 * n};
}

static void attend(const struct tm_jacobian *j, const float *query, size_t offset, struct room *r)
{
    size_t n = j->head_dim;
    for (uint32_t t = 0; t < j->count; t++) {
        r->shares[t] = dot(j->keys + t * j->stride + offset, query, n) * j->scale;
    }
    tm_softmax(r->shares, j->count);
    memset(r->key, 0, n * sizeof *r->key);
    memset(r->value, 0, n * sizeof *r->value);
    for (uint32_t t = 0; t < j->count; t++) {
        add_scaled(r->key, j->keys + t * j->stride + offset, r->shares[t], n);
        add_scaled(r->value, j->values + t * j->stride + offset, r->shares[t], n);
    }
}

/* d out / d query = scale * sum over positions of share * (key - mean key) value^T. */
static void slope_of_query(const struct tm_jacobian *j, const float *gram, size_t offset,
                           struct room *r, float *out)
{
    size_t n = j->head_dim;
    memset(r->cross, 0, n * n * sizeof *r->cross);
    for (uint32_t t = 0; t < j->count; t++) {
        const float *key = j->keys + t * j->stride + offset;
        const float *value = j->values + t * j->stride + offset;
        for (size_t i = 0; i < n; i++) {
            add_scaled(r->cross + i * n, value, r->shares[t] * (key[i] - r->key[i]), n);
        }
    }
    for (size_t i = 0; i < n; i++) {
        times(r->cross + i * n, gram, n, r->part);
        float square = dot(r->part, r->cross + i * n, n);
        out[i] = j->weight * j->scale * sqrtf(square > 0.0f ? square : 0.0f);
    }
}

/* d out / d key of position t = scale * share[t] * query (value[t] - mean value)^T; its square
 * summed over positions, without the query. */
static float slope_of_keys(const struct tm_jacobian *j, const float *gram, size_t offset,
                           struct room *r)
{
    size_t n = j->head_dim;
    float sum = 0.0f;
    for (uint32_t t = 0; t < j->count; t++) {
        const float *value = j->values + t * j->stride + offset;
        for (size_t i = 0; i < n; i++) {
            r->part[i] = value[i] - r->value[i];
        }
        times(r->part, gram, n, r->more);
        sum += r->shares[t] * r->shares[t] * dot(r->more, r->part, n);
    }
    return sum > 0.0f ? sum : 0.0f;
}

void tm_jacobian_head(const struct tm_jacobian *j, uint32_t kv, float *room, float *query_slope,
                      float *key_slope)
{
    size_t n = j->head_dim, each = j->heads / j->kv_heads, offset = kv * n;
    struct room r = split(room, n);
    memset(key_slope, 0, n * sizeof *key_slope);
    for (size_t h = 0; h < each; h++) {
        size_t head = kv * each + h;
        const float *query = j->query + head * n, *gram = j->gram + head * n * n;
        attend(j, query, offset, &r);
        slope_of_query(j, gram, offset, &r, query_slope + h * n);
        float keys = slope_of_keys(j, gram, offset, &r);
        for (size_t i = 0; i < n; i++) {
            key_slope[i] += keys * (query[i] * query[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        key_slope[i] = j->weight * j->scale * sqrtf(key_slope[i]);
    }
}
