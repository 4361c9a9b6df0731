/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/rans_encode.h"

#include "base/mem.h"
#include "stages/packing.h"

/* What a step needs of a symbol. floor(x / freq) is x * inverse >> 44 for every x of a step: x <
 * freq * 2^20, so inverse = ceil(2^44 / freq) errs by less than x / 2^44 < 2^-12 < 1 / freq, and
 * the product stays below 2^64 since freq < 2^12. */
struct step {
    uint64_t inverse;
    uint32_t start, freq;
};
#define INVERSE_BITS 44

static void fill_steps(const struct tm_rans_table *table, struct step steps[256])
{
    uint32_t start = 0;
    for (size_t s = 0; s < 256; s++) {
        uint32_t freq = table->freq[s];
        uint64_t inverse = freq == 0 ? 0 : ((1ull << INVERSE_BITS) + freq - 1) / freq;
        steps[s] = (struct step){inverse, start, freq};
        start += freq;
    }
}

/* Words as the encoder makes them, last one first: filled from the end of the array downwards. */
struct coder {
    uint32_t state[TM_RANS_LANES];
    uint16_t *words;
    size_t first; /* index of the first word written so far, above 0 */
};

/* Symbols are coded from the last to the first, so that the decoder gets them in order. Each step
 * stores a word and keeps it when it was due: that is often and hard to predict. */
static void code_symbols(struct coder *c, const struct tm_rans_table *table, const uint8_t *codes,
                         size_t count)
{
    struct step steps[256];
    fill_steps(table, steps);
    for (size_t i = count; i-- > 0;) {
        uint32_t x = c->state[i % TM_RANS_LANES];
        const struct step *s = &steps[codes[i]];
        uint32_t due = x >> (32 - TM_RANS_BITS) >= s->freq;
        c->words[c->first - 1] = (uint16_t)x;
        c->first -= due;
        x >>= 16 * due;
        uint32_t quotient = (uint32_t)(x * s->inverse >> INVERSE_BITS);
        /* quotient * 4096 + remainder + start */
        c->state[i % TM_RANS_LANES] = x + s->start + quotient * (TM_RANS_TOTAL - s->freq);
    }
}

static tm_status put_coded(const struct tm_rans_table *table, const uint8_t *codes, size_t count,
                           struct tm_buf *out)
{
    /* A symbol gives at most one word; the first element is only ever written in vain. */
    size_t end = count + 1;
    struct coder c = {.words = tm_realloc_array(NULL, end, sizeof *c.words), .first = end};
    if (c.words == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < TM_RANS_LANES; i++) {
        c.state[i] = TM_RANS_LOW;
    }
    code_symbols(&c, table, codes, count);

    uint8_t packed_table[TM_RANS_TABLE_BYTES_MAX];
    size_t table_bytes = tm_rans_table_write(table, packed_table);
    size_t words = end - c.first;
    uint8_t *at;
    tm_status status = tm_buf_extend(out, 1 + table_bytes + TM_RANS_HEAD_BYTES + 2 * words, &at);
    if (status == TM_OK) {
        *at++ = TM_RANS_CODED;
        memcpy(at, packed_table, table_bytes);
        at += table_bytes;
        tm_set_u32(at, (uint32_t)words);
        for (size_t i = 0; i < TM_RANS_LANES; i++) {
            tm_set_u32(at + 4 + 4 * i, c.state[i]);
        }
        at += TM_RANS_HEAD_BYTES;
        for (size_t i = 0; i < words; i++) {
            tm_set_u16(at + 2 * i, c.words[c.first + i]);
        }
    }
    tm_free(c.words);
    return status;
}

tm_status tm_rans_encode(uint32_t alphabet, const uint8_t *codes, size_t count, struct tm_buf *out)
{
    TM_ASSERT(alphabet >= 2 && alphabet <= 256 && count <= UINT32_MAX);
    struct tm_rans_counts counts;
    struct tm_rans_table table;
    uint8_t *at;
    tm_rans_histogram(codes, count, &counts);
    if (counts.distinct >= 2) {
        tm_rans_normalise(&counts, &table);
    }
    switch (tm_rans_choose(&counts, &table, alphabet, count)) {
    case TM_RANS_CONSTANT:
        return tm_buf_put(out, (const uint8_t[]){TM_RANS_CONSTANT, codes[0]}, 2);
    case TM_RANS_CODED:
        return put_coded(&table, codes, count, out);
    case TM_RANS_PACKED:
        break;
    }
    TM_TRY(tm_buf_extend(out, 1 + tm_packed_bytes(alphabet, count), &at));
    *at = TM_RANS_PACKED;
    tm_pack(alphabet, codes, count, at + 1);
    return TM_OK;
}
