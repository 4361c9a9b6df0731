/* SPDX-License-Identifier: Apache-2.0
 * Numbers as files and messages hold them, on machines of any byte order. */
#ifndef TM_TESTS_FILE_ORDER_H
#define TM_TESTS_FILE_ORDER_H

#include "base/bytes.h"

/* Turns values[count] into their little-endian bytes, in place. */
static inline void floats_to_file_order(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tm_set_u32((uint8_t *)&values[i], tm_f32_bits(values[i]));
    }
}

static inline void doubles_to_file_order(double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tm_set_u64((uint8_t *)&values[i], tm_f64_bits(values[i]));
    }
}

#endif
