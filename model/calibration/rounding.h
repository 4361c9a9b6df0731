/* SPDX-License-Identifier: Apache-2.0
 * From the floats of a run to the integers of a sum: token weights, sinks, exponents, rounding. No
 * state; the same bits everywhere. */
#ifndef TM_MODEL_ROUNDING_H
#define TM_MODEL_ROUNDING_H

#include "model/calibration/covariance.h"

/* Of `count` vectors of the residual stream: inverse[t] = 1 / root of the mean square, sink[t] =
 * mean square > factor * lower median of all. A vector of zeros, or one that is not finite, has
 * weight 0. `sorted` is work space for count floats. Returns the number of sinks. */
uint32_t tm_round_weights(struct tm_vectors stream, uint32_t cols, float factor, float *inverse,
                          bool *sink, float *sorted);

/* Vectors to round: x.data[t * x.stride + c] * inverse[t], those of sinks being left out. */
struct tm_rounded {
    struct tm_vectors x;
    uint32_t cols;
    const float *inverse; /* NULL: 1 */
    const bool *sink;     /* NULL: none */
};

/* most[16]: raised to the largest |value| of each column of the panel. */
void tm_round_look(const struct tm_rounded *r, size_t panel, float *most);
/* exponents[cols] from the largest values: 2^bits is reached by none; a column that was quieter
 * than the (lower) median column is taken as that loud. `sorted` is work space for cols floats. */
void tm_round_exponents(const float *most, uint32_t cols, int bits, int8_t *exponents,
                        float *sorted);
/* One panel of covariance.h, [pairs][16][2]; *most is the largest |value| of it. Returns how many
 * were cut to +-32767. */
uint64_t tm_round_panel(const struct tm_rounded *r, const int8_t *exponents, size_t panel,
                        int16_t *out, uint32_t *most);
/* One vector with an exponent of its own, which is returned. */
int8_t tm_round_vector(const float *x, float inverse, uint32_t cols, int16_t *out);

#endif
