/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/rans_decode.h"

#include <stdio.h>

#include "base/mem.h"
#include "stages/kernel_check.h"
#include "stages/packing.h"

static tm_status malformed(struct tm_err *err, size_t at, const char *why)
{
    char where[48];
    snprintf(where, sizeof where, "byte %zu of the block", at);
    return tm_err_set(err, TM_E_MALFORMED, where, "cannot decode rans symbols", NULL, "%s", why);
}

bool tm_rans_read_ref(struct tm_rans_reader *r, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t x = r->state[i % TM_RANS_LANES];
        uint32_t slot = r->slots[x & (TM_RANS_TOTAL - 1)];
        out[i] = (uint8_t)slot;
        x = (slot >> 20) * (x >> TM_RANS_BITS) + (slot >> 8 & (TM_RANS_TOTAL - 1));
        if (x < TM_RANS_LOW) {
            if (r->words_left == 0) {
                return false;
            }
            x = x << 16 | tm_get_u16(r->words);
            r->words += 2;
            r->words_left--;
        }
        r->state[i % TM_RANS_LANES] = x;
    }
    return true;
}

typedef bool (*read_fn)(struct tm_rans_reader *reader, uint8_t *out, size_t count);

static const read_fn kernels[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_rans_read);

/* Symbols, states and the rest of the words; nothing but the answer when the words run out. */
static void check_read(struct tm_rans_reader before, const struct tm_rans_reader *after, bool whole,
                       const uint8_t *out, size_t count)
{
    struct tm_rans_reader *want = &before;
    uint8_t *symbols = tm_alloc(count);
    TM_ASSERT(symbols != NULL || count == 0);
    bool want_whole = tm_rans_read_ref(want, symbols, count);
    tm_kernel_compare(&(struct tm_kernel_outputs){"rans_read (whole)", &whole, &want_whole,
                                                  .count = 1, .element_bytes = sizeof whole});
    if (whole) {
        tm_kernel_compare(&(struct tm_kernel_outputs){"rans_read", out, symbols, .count = count,
                                                      .element_bytes = 1});
        tm_kernel_compare(&(struct tm_kernel_outputs){"rans_read (states)", after->state,
                                                      want->state, .count = TM_RANS_LANES,
                                                      .element_bytes = sizeof want->state[0]});
        tm_kernel_compare(&(struct tm_kernel_outputs){"rans_read (words left)", &after->words_left,
                                                      &want->words_left, .count = 1,
                                                      .element_bytes = sizeof want->words_left});
    }
    tm_free(symbols);
}

static bool read_checked(struct tm_rans_reader *r, uint8_t *out, size_t count)
{
    struct tm_rans_reader before = *r;
    bool whole = kernels[tm_kernel_current()](r, out, count);
    check_read(before, r, whole, out, count);
    return whole;
}

static bool read_symbols(struct tm_rans_reader *r, uint8_t *out, size_t count)
{
    read_fn read = TM_CHECK_KERNELS ? read_checked : kernels[tm_kernel_current()];
    return read(r, out, count);
}

static void fill_slots(const struct tm_rans_table *table, uint32_t slots[TM_RANS_TOTAL])
{
    size_t at = 0;
    for (uint32_t s = 0; s < 256; s++) {
        for (uint32_t bias = 0; bias < table->freq[s]; bias++) {
            slots[at++] = TM_RANS_SLOT(table->freq[s], bias, s);
        }
    }
}

static tm_status read_coded(struct tm_cursor *in, uint32_t alphabet, size_t count,
                            struct tm_rans_table *table, uint8_t *codes, struct tm_err *err)
{
    size_t start = in->at;
    const char *why = tm_rans_table_read(in, alphabet, table);
    if (why != NULL) {
        return malformed(err, start, why);
    }
    uint32_t slots[TM_RANS_TOTAL];
    fill_slots(table, slots);

    struct tm_rans_reader r = {.slots = slots};
    start = in->at;
    uint32_t words = tm_cursor_u32(in);
    bool low = false;
    for (size_t i = 0; i < TM_RANS_LANES; i++) {
        r.state[i] = tm_cursor_u32(in);
        low = low || r.state[i] < TM_RANS_LOW;
    }
    struct tm_view bytes = tm_cursor_take(in, 2 * (uint64_t)words);
    if (in->overrun) {
        return malformed(err, start, "the coded words are cut short");
    }
    if (low) {
        return malformed(err, start, "a state is out of range");
    }
    r.words = bytes.data;
    r.words_left = words;
    if (!read_symbols(&r, codes, count)) {
        return malformed(err, start, "the coded words end before the symbols");
    }
    if (r.words_left > 0) {
        return malformed(err, start, "coded words are left after the last symbol");
    }
    for (size_t i = 0; i < TM_RANS_LANES; i++) {
        if (r.state[i] != TM_RANS_LOW) {
            return malformed(err, start, "a final state is wrong");
        }
    }
    return TM_OK;
}

static tm_status read_constant(struct tm_cursor *in, uint32_t alphabet, size_t count,
                               uint8_t *codes, struct tm_err *err)
{
    size_t start = in->at;
    uint8_t symbol = tm_cursor_u8(in);
    if (in->overrun) {
        return malformed(err, start, "the symbol is missing");
    }
    if (symbol >= alphabet) {
        return malformed(err, start, "the symbol is not in the alphabet");
    }
    if (count > 0) {
        memset(codes, symbol, count);
    }
    return TM_OK;
}

static tm_status read_packed(struct tm_cursor *in, uint32_t alphabet, size_t count, uint8_t *codes,
                             struct tm_err *err)
{
    size_t start = in->at, bad;
    struct tm_view packed = tm_cursor_take(in, tm_packed_bytes(alphabet, count));
    if (in->overrun) {
        return malformed(err, start, "the packed symbols are cut short");
    }
    if (tm_unpack(alphabet, packed.data, count, codes, &bad) != TM_OK) {
        return malformed(err, start + bad, "a symbol or padding is out of range");
    }
    return TM_OK;
}

/* Whether the encoder would have written these symbols in this mode and with this table. */
static tm_status check_canonical(const uint8_t *codes, size_t count, uint32_t alphabet,
                                 enum tm_rans_mode mode, const struct tm_rans_table *read,
                                 size_t at, struct tm_err *err)
{
    struct tm_rans_counts counts;
    struct tm_rans_table table;
    tm_rans_histogram(codes, count, &counts);
    if (counts.distinct >= 2) {
        tm_rans_normalise(&counts, &table);
    }
    if (mode != tm_rans_choose(&counts, &table, alphabet, count)) {
        return malformed(err, at, "not canonical: another mode is due for these symbols");
    }
    if (mode == TM_RANS_CODED && memcmp(&table, read, sizeof table) != 0) {
        return malformed(err, at, "not canonical: another table is due for these symbols");
    }
    return TM_OK;
}

tm_status tm_rans_decode(struct tm_cursor *in, uint32_t alphabet, size_t count,
                         enum tm_decode_check check, uint8_t *codes, struct tm_err *err)
{
    TM_ASSERT(alphabet >= 2 && alphabet <= 256);
    size_t start = in->at;
    struct tm_rans_table table;
    uint8_t mode = tm_cursor_u8(in);
    if (in->overrun) {
        return malformed(err, start, "the stream is empty");
    }
    switch (mode) {
    case TM_RANS_PACKED:
        TM_TRY(read_packed(in, alphabet, count, codes, err));
        break;
    case TM_RANS_CONSTANT:
        TM_TRY(read_constant(in, alphabet, count, codes, err));
        break;
    case TM_RANS_CODED:
        TM_TRY(read_coded(in, alphabet, count, &table, codes, err));
        break;
    default:
        return malformed(err, start, "the mode is unknown");
    }
    if (check == TM_DECODE_CANONICAL) {
        return check_canonical(codes, count, alphabet, (enum tm_rans_mode)mode, &table, start, err);
    }
    return TM_OK;
}
