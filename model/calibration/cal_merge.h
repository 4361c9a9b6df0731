/* SPDX-License-Identifier: Apache-2.0
 * Puts calibration files together: those of the same layers and other windows (shards of a text),
 * or those of the same windows and other layers. The order does not matter, and the result is byte
 * for byte what one run over all of it gives. One section is in memory at a time. */
#ifndef TM_MODEL_CAL_MERGE_H
#define TM_MODEL_CAL_MERGE_H

#include "model/calibration/cal_file.h"

#define TM_CAL_MERGE_MAX 1024 /* files */

/* Errors name the files: TM_E_INCOMPATIBLE for another model, text or setting; TM_E_USAGE for a
 * window, or layers, that two of them have, and for layers with a gap. */
tm_status tm_cal_merge(const char *const *paths, size_t count, const char *out,
                       struct tm_err *err) TM_MUST_USE;

#endif
