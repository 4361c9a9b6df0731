/* SPDX-License-Identifier: Apache-2.0
 * Encoder of `ternary`: codes {-1, 0, +1} and one float16 scale per group along the row; the
 * weights of BitNet b1.58 (S. Ma et al., arXiv:2402.17764), with threshold and scale refitted: over
 * all splits of the group's |x| into zeros and non-zeros the one of least squared error with a
 * float16 scale. Exact on groups of {-a, 0, +a} whose a float16 holds. Format arithmetic, double:
 *   |x| sorted downwards, S_k = sum of the first k added in that order, k only where |x_k| > 0 and
 *   |x_k| > |x_k+1| or k is the last; s_k = float16(float32(S_k / k)); gain = 2 s_k S_k - k s_k^2
 *   (computed as s_k * (2 S_k - k * s_k)); the first k of the largest gain wins; a code is not 0
 * when |x| >= |x_k|. A group whose largest |x| rounds to a float16 infinity is refused. */
#ifndef TM_STAGES_TERNARY_ENCODE_H
#define TM_STAGES_TERNARY_ENCODE_H

#include "stages/stage.h"

/* out is initialised and empty. Values that do not fit (tm_ternary_fits) are TM_E_REFUSED and err
 * names row and column. */
tm_status tm_ternary_encode(const struct tm_stage_params *params, struct tm_block_shape shape,
                            const float *values, struct tm_symbols *out,
                            struct tm_err *err) TM_MUST_USE;
/* Whether every value is finite and every group's scale is a finite float16 within 0.05 R of the
 * unrounded one, R = max |x| of the row. */
struct tm_misfit tm_ternary_fits(const struct tm_stage_params *params, struct tm_block_shape shape,
                                 const float *values);

#endif
