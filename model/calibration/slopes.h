/* SPDX-License-Identifier: Apache-2.0
 * How much an error in the outputs of the gate and up matrices changes the input of the down
 * matrix: the derivatives of f(gate) * up, where f is SiLU or GELU (tanh form). */
#ifndef TM_MODEL_SLOPES_H
#define TM_MODEL_SLOPES_H

#include <stdbool.h>
#include <stddef.h>

/* by_gate[i] = f'(gate[i]) * up[i], by_up[i] = f(gate[i]). */
void tm_slopes(bool gelu, const float *gate, const float *up, size_t count, float *by_gate,
               float *by_up);

#endif
