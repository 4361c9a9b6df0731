/* SPDX-License-Identifier: Apache-2.0
 * Encoder of `rans`: a symbol stream to bytes. One byte string per (alphabet, symbols); layout in
 * docs/formats/stages.md. Format arithmetic, integers only. */
#ifndef TM_STAGES_RANS_ENCODE_H
#define TM_STAGES_RANS_ENCODE_H

#include "stages/rans_table.h"

/* Appends the stream of codes[count], each below alphabet (2..256); count may be 0. At most
 * tm_rans_bound bytes. On failure out is as before. */
tm_status tm_rans_encode(uint32_t alphabet, const uint8_t *codes, size_t count,
                         struct tm_buf *out) TM_MUST_USE;

#endif
