/* SPDX-License-Identifier: Apache-2.0
 * Seeded pseudo-random numbers for tests, sampling and jitter (xoshiro256**, Blackman and Vigna
 * 2018; seeded by splitmix64). Never for keys: crypto/identity.h has those. */
#ifndef TM_BASE_RNG_H
#define TM_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct tm_rng {
    uint64_t s[4];
};

void tm_rng_init(struct tm_rng *rng, uint64_t seed);
uint64_t tm_rng_u64(struct tm_rng *rng);
/* Uniform in [0, limit), limit > 0, without bias. */
uint64_t tm_rng_below(struct tm_rng *rng, uint64_t limit);
/* Uniform in [0, 1). */
double tm_rng_f64(struct tm_rng *rng);
/* Standard normal by the sum-free polar method; test data only, not part of any format. */
double tm_rng_normal(struct tm_rng *rng);
void tm_rng_fill(struct tm_rng *rng, void *out, size_t bytes);

#endif
