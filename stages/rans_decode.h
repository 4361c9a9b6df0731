/* SPDX-License-Identifier: Apache-2.0
 * Decoder of `rans`: bytes to a symbol stream; layout in docs/formats/stages.md. Given the table, a
 * stream decodes only when it is the one that the encoder makes (final states and number of words
 * are checked); TM_DECODE_CANONICAL also checks the table and the mode. */
#ifndef TM_STAGES_RANS_DECODE_H
#define TM_STAGES_RANS_DECODE_H

#include "base/cpu.h"
#include "stages/rans_table.h"
#include "stages/stage.h"

/* Reads one stream of `count` symbols from the cursor into codes[count]. TM_E_MALFORMED: err has
 * the reason and the offset; codes are then undefined. err may be NULL. */
tm_status tm_rans_decode(struct tm_cursor *in, uint32_t alphabet, size_t count,
                         enum tm_decode_check check, uint8_t *codes,
                         struct tm_err *err) TM_MUST_USE;

/* ---- kernels, for the dispatcher and the tests ---- */

/* One entry for each of the 4096 slots: freq << 20 | (slot - start) << 8 | symbol. */
#define TM_RANS_SLOT(freq, bias, symbol) ((uint32_t)(freq) << 20 | (uint32_t)(bias) << 8 | (symbol))

struct tm_rans_reader {
    uint32_t state[TM_RANS_LANES];
    const uint32_t *slots;
    const uint8_t *words; /* next word, little-endian */
    size_t words_left;
};

/* Decodes out[count], the first symbol on lane 0; false when the words run out. */
bool tm_rans_read_ref(struct tm_rans_reader *reader, uint8_t *out, size_t count);
bool tm_rans_read_avx2(struct tm_rans_reader *reader, uint8_t *out, size_t count);
bool tm_rans_read_neon(struct tm_rans_reader *reader, uint8_t *out, size_t count);

#endif
