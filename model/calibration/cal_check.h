/* SPDX-License-Identifier: Apache-2.0
 * Audits a calibration by a part of it that was made again: sums are a function of model, text and
 * windows, so every bit must be the same. */
#ifndef TM_MODEL_CAL_CHECK_H
#define TM_MODEL_CAL_CHECK_H

#include "model/calibration/cal_file.h"

struct tm_cal_checked {
    uint64_t windows; /* whose rounded inputs are the same */
    uint32_t layers;
    bool sums; /* the sums too: `again` covers all windows of `claimed` */
};

/* again: some layers and windows of claimed. TM_E_VERIFY names the first layer and window, or the
 * input, that differs; TM_E_INCOMPATIBLE when they are of another model, text or setting;
 * TM_E_USAGE when again covers what claimed does not. */
tm_status tm_cal_check(struct tm_cal_file *claimed, struct tm_cal_file *again,
                       struct tm_cal_checked *out, struct tm_err *err) TM_MUST_USE;

#endif
