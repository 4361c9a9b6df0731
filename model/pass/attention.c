/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/attention.h"

#include <string.h>

#include "model/pass/dot.h"
#include "model/pass/elementwise.h"

/* Vectors of one head that a thread takes at a time. */
#define QUERIES 12

size_t tm_attention_scratch(uint32_t positions)
{
    return (size_t)QUERIES * positions;
}

void tm_cache_store(const struct tm_cache *cache, uint32_t first, uint32_t count, const float *k,
                    const float *v)
{
    size_t width = (size_t)cache->kv_heads * cache->head_dim;
    for (uint32_t head = 0; head < cache->kv_heads; head++) {
        size_t base = (size_t)head * cache->head_dim;
        for (uint32_t i = 0; i < count; i++) {
            size_t row = (size_t)head * cache->positions + first + i;
            memcpy(cache->keys + row * cache->head_dim, k + i * width + base,
                   cache->head_dim * sizeof *k);
        }
        for (uint32_t d = 0; d < cache->head_dim; d++) {
            float *to = cache->values + (base + d) * cache->positions + first;
            for (uint32_t i = 0; i < count; i++) {
                to[i] = v[i * width + base + d];
            }
        }
    }
}

/* Positions from the first that any of the vectors sees, a multiple of 8, so that position p is in
 * lane p mod 8 whatever the window. */
static uint32_t first_seen(const struct tm_attention *a, uint32_t position)
{
    uint32_t seen = a->window == 0 || position < a->window ? 0 : position - a->window + 1;
    return seen / TM_LANES * TM_LANES;
}

/* Scores of the position's own past to probabilities; 0 for what it does not see. */
static void mask_and_normalise(const struct tm_attention *a, float *scores, uint32_t start,
                               uint32_t end, uint32_t position)
{
    uint32_t from = a->window == 0 || position < a->window ? 0 : position - a->window + 1;
    uint32_t hidden = from - start, seen = position + 1 - from;
    memset(scores, 0, hidden * sizeof *scores);
    memset(scores + hidden + seen, 0, (end - start - hidden - seen) * sizeof *scores);
    tm_scale_f32(scores + hidden, a->scale, seen);
    tm_softmax(scores + hidden, seen);
}

static void attend_some(void *context, size_t index, size_t thread)
{
    const struct tm_attention *a = context;
    const struct tm_cache *c = &a->cache;
    uint32_t head = (uint32_t)(index % a->heads), query = (uint32_t)(index / a->heads) * QUERIES;
    uint32_t count = a->count - query < QUERIES ? a->count - query : QUERIES;
    uint32_t kv_head = head / (a->heads / c->kv_heads);
    uint32_t start = first_seen(a, a->first + query);
    uint32_t end = (a->first + query + count + TM_LANES - 1) / TM_LANES * TM_LANES;
    size_t base = query * a->stride + (size_t)head * c->head_dim;
    float *scores = a->scratch + thread * tm_attention_scratch(c->positions);
    const float *keys = c->keys + ((size_t)kv_head * c->positions + start) * c->head_dim;
    tm_dot(&(struct tm_dot){.dtype = TM_F32,
                            .w = (const uint8_t *)keys,
                            .w_stride = c->head_dim * sizeof *keys,
                            .rows = a->first + query + count - start,
                            .cols = c->head_dim,
                            .x = a->q + base,
                            .x_stride = a->stride,
                            .vectors = count,
                            .y = scores,
                            .y_stride = c->positions});
    for (uint32_t i = 0; i < count; i++) {
        mask_and_normalise(a, scores + (size_t)i * c->positions, start, end, a->first + query + i);
    }
    const float *values = c->values + (size_t)kv_head * c->head_dim * c->positions + start;
    tm_dot(&(struct tm_dot){.dtype = TM_F32,
                            .w = (const uint8_t *)values,
                            .w_stride = c->positions * sizeof *values,
                            .rows = c->head_dim,
                            .cols = end - start,
                            .x = scores,
                            .x_stride = c->positions,
                            .vectors = count,
                            .y = a->out + base,
                            .y_stride = a->stride});
}

void tm_attend(struct tm_team *team, const struct tm_attention *attention)
{
    size_t parts = (attention->count + QUERIES - 1) / QUERIES;
    struct tm_attention copy = *attention;
    uint64_t seen = (uint64_t)attention->first + attention->count;
    uint64_t cost = 2 * seen * attention->count * attention->heads * attention->cache.head_dim;
    tm_team_run(team, parts * attention->heads, cost, attend_some, &copy);
}
