/* SPDX-License-Identifier: Apache-2.0
 * What the encoder and the decoder of `rans` share: the constants of the coder, frequency tables
 * and the rule that chooses how a stream is written. Integers only. Sources: J. Duda,
 * arXiv:1311.2540; F. Giesen, "Interleaved entropy coders", arXiv:1402.3392. Normative text:
 * docs/formats/stages.md. */
#ifndef TM_STAGES_RANS_TABLE_H
#define TM_STAGES_RANS_TABLE_H

#include "base/bytes.h"

#define TM_RANS_BITS 12 /* frequencies sum to 1 << TM_RANS_BITS */
#define TM_RANS_TOTAL (1u << TM_RANS_BITS)
#define TM_RANS_LANES 32       /* symbol i belongs to state i mod 32 */
#define TM_RANS_LOW (1u << 16) /* states are in [LOW, 2^32), words have 16 bits */
#define TM_RANS_HEAD_BYTES (4 + 4 * TM_RANS_LANES) /* number of words, states */
#define TM_RANS_TABLE_BYTES_MAX 482

/* How a stream is written; its first byte. */
enum tm_rans_mode {
    TM_RANS_PACKED = 0,   /* plain packing (packing.h) */
    TM_RANS_CONSTANT = 1, /* one symbol, all of them */
    TM_RANS_CODED = 2     /* table, number of words, states, words */
};

struct tm_rans_counts {
    uint32_t count[256];
    uint32_t distinct; /* symbols with a count above 0 */
};

/* freq[s] of each symbol, summing to TM_RANS_TOTAL; at least two are not 0. */
struct tm_rans_table {
    uint16_t freq[256];
};

/* counts of codes[count], count < 2^32. */
void tm_rans_histogram(const uint8_t *codes, size_t count, struct tm_rans_counts *out);

/* The one table of a histogram with at least two symbols. First freq = max(1, round(count * 4096 /
 * n)), halves up, 0 for absent symbols. Then, until the sum is 4096: one less for the symbol with
 * freq > 1 and the smallest count / (2 freq - 1), or one more for the symbol with the largest count
 * / (2 freq + 1); the lowest symbol of equals. */
void tm_rans_normalise(const struct tm_rans_counts *counts, struct tm_rans_table *out);

/* The mode of a stream with this histogram and, when it has two or more symbols, its table:
 * CONSTANT for one symbol, else CODED when its predicted size is below the packed one. The
 * prediction uses the histogram alone, so that a decoder can check the choice without encoding. */
enum tm_rans_mode tm_rans_choose(const struct tm_rans_counts *counts,
                                 const struct tm_rans_table *table, uint32_t alphabet,
                                 size_t count);

/* Ideal bits of the stream under the table, rounded up; within 1/16 of a bit each count. */
uint64_t tm_rans_cost_bits(const struct tm_rans_counts *counts, const struct tm_rans_table *table);

/* Serialised table: lowest and highest symbol present (a byte each), then for each symbol between
 * them, both included, the bit length of its frequency (4 bits) and the bits below the leading one;
 * bits fill bytes from the lowest, the last byte is padded with zeros. */
size_t tm_rans_table_write(const struct tm_rans_table *table, uint8_t out[TM_RANS_TABLE_BYTES_MAX]);
/* NULL, or why the bytes at the cursor are no table. */
const char *tm_rans_table_read(struct tm_cursor *in, uint32_t alphabet, struct tm_rans_table *out);

/* Upper bound of a stream's bytes. */
size_t tm_rans_bound(uint32_t alphabet, size_t count);

#endif
