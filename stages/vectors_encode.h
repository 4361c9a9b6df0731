/* SPDX-License-Identifier: Apache-2.0
 * The golden vectors behind tm_selftest (pipeline_encode.h). Their inputs come from integers alone
 * (splitmix64, sums and powers of two); tests/vectors/stages/README.md describes them for a second
 * implementation. */
#ifndef TM_STAGES_VECTORS_ENCODE_H
#define TM_STAGES_VECTORS_ENCODE_H

#include "stages/pipeline_encode.h"

enum tm_vector_kind {
    TM_VECTOR_BELL,    /* sums of eight uniform numbers */
    TM_VECTOR_MIXED,   /* rows of different sizes with zero groups and outliers */
    TM_VECTOR_TERNARY, /* {-a, 0, +a}, a of its own for every 32 weights */
    TM_VECTOR_ZERO     /* +0 and -0 */
};

struct tm_vector {
    const char *pipeline; /* canonical text */
    struct tm_block_shape shape;
    enum tm_vector_kind kind;
    uint64_t seed;
};

size_t tm_vector_count(void);
const struct tm_vector *tm_vector_at(size_t index);
const char *tm_vector_kind_name(enum tm_vector_kind kind); /* "bell", ... */
/* values[rows * cols] of a vector. */
void tm_vector_fill(const struct tm_vector *vector, float *values);
/* SHA-256 of the encoded block followed by the decoded values (little-endian float32) and the three
 * figures of tm_block_measure (little-endian double). */
tm_status tm_vector_digest(const struct tm_vector *vector, struct tm_digest *out,
                           struct tm_err *err) TM_MUST_USE;

#endif
