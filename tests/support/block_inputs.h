/* SPDX-License-Identifier: Apache-2.0
 * Inputs for the tests of stages/, and the loop over kernels. */
#ifndef TM_TESTS_BLOCK_INPUTS_H
#define TM_TESTS_BLOCK_INPUTS_H

#include <check.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "stages/stage.h"

/* Runs the following statement once for each kernel that this machine has. */
#define FOR_EACH_KERNEL(kernel)                                                                    \
    for (enum tm_kernel kernel = TM_KERNEL_REF; kernel < TM_KERNEL_COUNT; kernel++)                \
        if (tm_kernel_supported(kernel) && tm_kernel_force(kernel) == TM_OK)

/* Normal values of standard deviation `sigma`; free with tm_free. */
static inline float *normal_values(uint64_t seed, size_t count, float sigma)
{
    struct tm_rng rng;
    tm_rng_init(&rng, seed);
    float *values = tm_realloc_array(NULL, count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < count; i++) {
        values[i] = sigma * (float)tm_rng_normal(&rng);
    }
    return values;
}

/* Symbols with a falling distribution: a share of about 1 - 1/skew is symbol 0 of the rest; free
 * with tm_free. skew 1 is uniform. */
static inline uint8_t *skewed_symbols(uint64_t seed, uint32_t alphabet, uint32_t skew, size_t count)
{
    struct tm_rng rng;
    tm_rng_init(&rng, seed);
    uint8_t *codes = tm_alloc(count);
    ck_assert_ptr_nonnull(codes);
    for (size_t i = 0; i < count; i++) {
        uint64_t limit = alphabet;
        for (uint32_t k = 1; k < skew; k++) {
            limit = 1 + tm_rng_below(&rng, limit);
        }
        codes[i] = (uint8_t)tm_rng_below(&rng, limit);
    }
    return codes;
}

#endif
