/* SPDX-License-Identifier: Apache-2.0
 * Decoder of `zstd` (RFC 8878): exactly one frame that says its content size and has no dictionary,
 * no checksum and a window of at most 8 MiB; it must fill the output exactly. Memory is bounded by
 * the output and one decoding context (about 160 KiB). */
#ifndef TM_STAGES_LOSSLESS_DECODE_H
#define TM_STAGES_LOSSLESS_DECODE_H

#include "stages/stage.h"

#define TM_ZSTD_WINDOW_MAX (1u << 23)

/* Upper bound of a frame's bytes. */
size_t tm_zstd_bound(size_t bytes);

/* out[bytes]. TM_E_MALFORMED with the reason; out is then undefined. err may be NULL. */
tm_status tm_zstd_decode(struct tm_view frame, size_t bytes, uint8_t *out,
                         struct tm_err *err) TM_MUST_USE;

#endif
