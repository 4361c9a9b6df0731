/* SPDX-License-Identifier: Apache-2.0
 * The text that `tmill calibrate` uses when none is given:
 * node/common/data/calibration_text.txt, made into bytes by the build. Prose, questions, code,
 * several languages; written for this purpose, and no part of any evaluation text. */
#ifndef TM_NODE_CALIBRATION_TEXT_H
#define TM_NODE_CALIBRATION_TEXT_H

#include <stddef.h>

extern const unsigned char tm_calibration_text[];
extern const size_t tm_calibration_text_bytes;

#endif
