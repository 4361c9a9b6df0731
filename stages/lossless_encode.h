/* SPDX-License-Identifier: Apache-2.0
 * Encoder of `zstd`: bytes to one zstd frame (RFC 8878) with the content size and without
 * dictionary or checksum; the window is at most 8 MiB. Single-threaded. The bytes may differ
 * between versions of libzstd, so units of this stage are verified by decoding
 * (docs/decisions/0002). `raw` has no code: its bytes are the source's. */
#ifndef TM_STAGES_LOSSLESS_ENCODE_H
#define TM_STAGES_LOSSLESS_ENCODE_H

#include "stages/stage.h"

/* Appends the frame; level is 1..19. On failure out is as before. */
tm_status tm_zstd_encode(uint32_t level, struct tm_view bytes, struct tm_buf *out,
                         struct tm_err *err) TM_MUST_USE;

#endif
