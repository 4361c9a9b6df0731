/* SPDX-License-Identifier: Apache-2.0
 * Plain packing of a symbol stream, what a quantizer without an entropy coder is written as and
 * what rans falls back to: two symbols a byte when the alphabet has at most 16 of them, the first
 * in the low nibble and an unused last nibble 0; one symbol a byte otherwise. */
#ifndef TM_STAGES_PACKING_H
#define TM_STAGES_PACKING_H

#include "stages/stage.h"

/* Exact bytes of `count` packed symbols. */
size_t tm_packed_bytes(uint32_t alphabet, size_t count);
/* out[tm_packed_bytes] from codes[count], each < alphabet. */
void tm_pack(uint32_t alphabet, const uint8_t *codes, size_t count, uint8_t *out);
/* codes[count] from packed[tm_packed_bytes]. TM_E_MALFORMED: a symbol outside of the alphabet or a
 * used last nibble; codes are then undefined and *bad is the offset of the byte. */
tm_status tm_unpack(uint32_t alphabet, const uint8_t *packed, size_t count, uint8_t *codes,
                    size_t *bad) TM_MUST_USE;

#endif
