/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/sampler.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/pass/elementwise.h"

struct candidate {
    float logit;
    uint32_t id;
};

/* The likeliest first; of equal ones the lower id. */
static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return (x->id > y->id) - (x->id < y->id);
}

static uint32_t likeliest(const float *logits, uint32_t count)
{
    uint32_t top = 0;
    for (uint32_t i = 1; i < count; i++) {
        top = logits[i] > logits[top] ? i : top;
    }
    return top;
}

/* Probabilities of the sorted candidates, and how many of them top_p leaves. */
static uint32_t cut_tail(const struct tm_sampler *s, const float *p, uint32_t count)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)p[i];
        if (sum >= s->top_p) {
            return i + 1;
        }
    }
    return count;
}

tm_status tm_sampler_next(struct tm_sampler *sampler, float *logits, uint32_t count, uint32_t *out)
{
    if (sampler->temperature <= 0.0) {
        *out = likeliest(logits, count);
        return TM_OK;
    }
    struct candidate *list = tm_realloc_array(NULL, count, sizeof *list);
    if (list == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (struct candidate){logits[i], i};
    }
    qsort(list, count, sizeof *list, by_logit);
    uint32_t kept = sampler->top_k > 0 && sampler->top_k < count ? sampler->top_k : count;
    for (uint32_t i = 0; i < kept; i++) {
        logits[i] = (float)((double)list[i].logit / sampler->temperature);
    }
    tm_softmax(logits, kept);
    kept = cut_tail(sampler, logits, kept);
    double sum = 0.0;
    for (uint32_t i = 0; i < kept; i++) {
        sum += (double)logits[i];
    }
    double left = tm_rng_f64(&sampler->rng) * sum;
    uint32_t chosen = 0;
    while (chosen + 1 < kept && left >= (double)logits[chosen]) {
        left -= (double)logits[chosen++];
    }
    *out = list[chosen].id;
    tm_free(list);
    return TM_OK;
}
