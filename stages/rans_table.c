/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/rans_table.h"

#include <string.h>

#include "stages/packing.h"

void tm_rans_histogram(const uint8_t *codes, size_t count, struct tm_rans_counts *out)
{
    /* Four tables, so that a run of one symbol does not wait for its own last store. */
    uint32_t part[4][256];
    memset(part, 0, sizeof part);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        part[0][codes[i]]++;
        part[1][codes[i + 1]]++;
        part[2][codes[i + 2]]++;
        part[3][codes[i + 3]]++;
    }
    for (; i < count; i++) {
        part[0][codes[i]]++;
    }
    out->distinct = 0;
    for (size_t s = 0; s < 256; s++) {
        out->count[s] = part[0][s] + part[1][s] + part[2][s] + part[3][s];
        out->distinct += out->count[s] > 0;
    }
}

/* The symbol that loses least by one step less. */
static size_t cheapest_to_lower(const struct tm_rans_counts *counts,
                                const struct tm_rans_table *table)
{
    size_t best = 256;
    for (size_t s = 0; s < 256; s++) {
        if (table->freq[s] > 1 &&
            (best == 256 || (uint64_t)counts->count[s] * (2u * table->freq[best] - 1) <
                                (uint64_t)counts->count[best] * (2u * table->freq[s] - 1))) {
            best = s;
        }
    }
    return best;
}

/* The symbol that gains most by one step more. */
static size_t dearest_to_raise(const struct tm_rans_counts *counts,
                               const struct tm_rans_table *table)
{
    size_t best = 256;
    for (size_t s = 0; s < 256; s++) {
        if (table->freq[s] > 0 &&
            (best == 256 || (uint64_t)counts->count[s] * (2u * table->freq[best] + 1) >
                                (uint64_t)counts->count[best] * (2u * table->freq[s] + 1))) {
            best = s;
        }
    }
    return best;
}

void tm_rans_normalise(const struct tm_rans_counts *counts, struct tm_rans_table *out)
{
    TM_ASSERT(counts->distinct >= 2);
    uint64_t n = 0;
    for (size_t s = 0; s < 256; s++) {
        n += counts->count[s];
    }
    uint32_t sum = 0;
    for (size_t s = 0; s < 256; s++) {
        uint64_t f = (2 * TM_RANS_TOTAL * (uint64_t)counts->count[s] + n) / (2 * n);
        out->freq[s] = (uint16_t)(counts->count[s] > 0 && f == 0 ? 1 : f);
        sum += out->freq[s];
    }
    for (; sum > TM_RANS_TOTAL; sum--) {
        out->freq[cheapest_to_lower(counts, out)]--;
    }
    for (; sum < TM_RANS_TOTAL; sum++) {
        out->freq[dearest_to_raise(counts, out)]++;
    }
}

static uint32_t bit_length(uint32_t v)
{
    return v == 0 ? 0 : 32 - (uint32_t)__builtin_clz(v);
}

/* log2(v) in units of 2^-16, rounded down, v > 0: the fraction bit by bit, by squaring. */
static uint32_t log2_q16(uint32_t v)
{
    uint32_t whole = bit_length(v) - 1;
    uint64_t m = (uint64_t)v << (31 - whole);
    uint32_t fraction = 0;
    for (int i = 0; i < 16; i++) {
        m = m * m >> 31;
        fraction <<= 1;
        if (m >> 32 != 0) {
            m >>= 1;
            fraction |= 1;
        }
    }
    return whole << 16 | fraction;
}

uint64_t tm_rans_cost_bits(const struct tm_rans_counts *counts, const struct tm_rans_table *table)
{
    uint64_t cost = 0;
    for (size_t s = 0; s < 256; s++) {
        if (counts->count[s] > 0) {
            uint32_t bits = (TM_RANS_BITS << 16) - log2_q16(table->freq[s]);
            cost += (uint64_t)counts->count[s] * bits;
        }
    }
    return (cost + 0xffff) >> 16;
}

/* First and last symbol present. */
static void table_range(const struct tm_rans_table *table, size_t *low, size_t *high)
{
    for (*low = 0; table->freq[*low] == 0; ++*low) {
    }
    for (*high = 255; table->freq[*high] == 0; --*high) {
    }
}

static size_t table_bytes(const struct tm_rans_table *table)
{
    size_t low, high, bits = 0;
    table_range(table, &low, &high);
    for (size_t s = low; s <= high; s++) {
        uint32_t length = bit_length(table->freq[s]);
        bits += 4 + (length > 0 ? length - 1 : 0);
    }
    return 2 + (bits + 7) / 8;
}

enum tm_rans_mode tm_rans_choose(const struct tm_rans_counts *counts,
                                 const struct tm_rans_table *table, uint32_t alphabet, size_t count)
{
    if (counts->distinct < 2) {
        return counts->distinct == 1 ? TM_RANS_CONSTANT : TM_RANS_PACKED;
    }
    uint64_t words = (tm_rans_cost_bits(counts, table) + 15) / 16;
    uint64_t coded = table_bytes(table) + TM_RANS_HEAD_BYTES + 2 * words;
    return coded < tm_packed_bytes(alphabet, count) ? TM_RANS_CODED : TM_RANS_PACKED;
}

struct bit_writer {
    uint8_t *out;
    size_t bytes;
    uint32_t hold, held;
};

static void put_bits(struct bit_writer *w, uint32_t value, uint32_t bits)
{
    w->hold |= value << w->held;
    w->held += bits;
    for (; w->held >= 8; w->held -= 8) {
        w->out[w->bytes++] = (uint8_t)w->hold;
        w->hold >>= 8;
    }
}

size_t tm_rans_table_write(const struct tm_rans_table *table, uint8_t out[TM_RANS_TABLE_BYTES_MAX])
{
    size_t low, high;
    table_range(table, &low, &high);
    struct bit_writer w = {out, 2, 0, 0};
    out[0] = (uint8_t)low;
    out[1] = (uint8_t)high;
    for (size_t s = low; s <= high; s++) {
        uint32_t length = bit_length(table->freq[s]);
        put_bits(&w, length, 4);
        if (length > 1) {
            put_bits(&w, table->freq[s] - (1u << (length - 1)), length - 1);
        }
    }
    if (w.held > 0) {
        put_bits(&w, 0, 8 - w.held);
    }
    return w.bytes;
}

struct bit_reader {
    struct tm_cursor *in;
    uint32_t hold, held;
};

static uint32_t take_bits(struct bit_reader *r, uint32_t bits)
{
    while (r->held < bits) {
        r->hold |= (uint32_t)tm_cursor_u8(r->in) << r->held;
        r->held += 8;
    }
    uint32_t value = r->hold & ((1u << bits) - 1);
    r->hold >>= bits;
    r->held -= bits;
    return value;
}

const char *tm_rans_table_read(struct tm_cursor *in, uint32_t alphabet, struct tm_rans_table *out)
{
    memset(out, 0, sizeof *out);
    uint32_t low = tm_cursor_u8(in), high = tm_cursor_u8(in);
    if (in->overrun) {
        return "the frequency table is cut short";
    }
    if (low >= high || high >= alphabet) {
        return "the frequency table's range is not within the alphabet";
    }
    struct bit_reader r = {in, 0, 0};
    uint32_t sum = 0;
    for (uint32_t s = low; s <= high; s++) {
        uint32_t length = take_bits(&r, 4);
        if (length > TM_RANS_BITS) {
            return "a frequency has more than 12 bits";
        }
        if (length > 0) {
            uint32_t below = length > 1 ? take_bits(&r, length - 1) : 0;
            out->freq[s] = (uint16_t)(1u << (length - 1) | below);
        }
        sum += out->freq[s];
    }
    if (in->overrun) {
        return "the frequency table is cut short";
    }
    if (out->freq[low] == 0 || out->freq[high] == 0) {
        return "the frequency table's range is wider than its symbols";
    }
    if (sum != TM_RANS_TOTAL) {
        return "the frequencies do not sum to 4096";
    }
    return r.hold == 0 ? NULL : "the frequency table's padding is not zero";
}

size_t tm_rans_bound(uint32_t alphabet, size_t count)
{
    /* A step adds at most log2(17/16) < 1/8 bit to the ideal cost, which is below the packed size
     * when a stream is coded (docs/formats/stages.md). */
    return 1 + TM_RANS_TABLE_BYTES_MAX + TM_RANS_HEAD_BYTES + 2 + tm_packed_bytes(alphabet, count) +
           count / 64;
}
