/* SPDX-License-Identifier: Apache-2.0
 * xoshiro256** 1.0 and splitmix64, from the authors' published algorithms. */
#include "base/rng.h"

#include <math.h>

#include "base/bytes.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

void tm_rng_init(struct tm_rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        rng->s[i] = splitmix64(&seed);
    }
}

uint64_t tm_rng_u64(struct tm_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t tm_rng_below(struct tm_rng *rng, uint64_t limit)
{
    TM_ASSERT(limit > 0);
    /* 2^64 mod limit: the values below it would make the small remainders too likely. */
    uint64_t reject = (0 - limit) % limit;
    uint64_t value = 0;
    do {
        value = tm_rng_u64(rng);
    } while (value < reject);
    return value % limit;
}

double tm_rng_f64(struct tm_rng *rng)
{
    return (double)(tm_rng_u64(rng) >> 11) * 0x1p-53;
}

double tm_rng_normal(struct tm_rng *rng)
{
    double u = 0;
    double square = 0;
    do {
        u = 2 * tm_rng_f64(rng) - 1;
        double v = 2 * tm_rng_f64(rng) - 1;
        square = u * u + v * v;
    } while (square >= 1 || square <= 0);
    return u * sqrt(-2 * log(square) / square);
}

void tm_rng_fill(struct tm_rng *rng, void *out, size_t bytes)
{
    uint8_t *at = out;
    while (bytes > 0) {
        uint8_t word[8];
        tm_set_u64(word, tm_rng_u64(rng));
        size_t n = bytes < sizeof word ? bytes : sizeof word;
        memcpy(at, word, n);
        at += n;
        bytes -= n;
    }
}
