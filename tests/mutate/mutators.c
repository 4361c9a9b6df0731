/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mutate/mutators.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

static size_t below(const struct mutation *m, size_t limit)
{
    return limit == 0 ? 0 : (size_t)tm_rng_below(m->rng, limit);
}

/* Near the powers of two, near the size, small: where counts and offsets go wrong. */
static uint64_t odd_number(const struct mutation *m, size_t size)
{
    uint64_t power = UINT64_C(1) << below(m, 64);
    switch (below(m, 6)) {
    case 0:
        return power - 1;
    case 1:
        return power + below(m, 3);
    case 2:
        return size + below(m, 17) - 8;
    case 3:
        return 0 - (uint64_t)below(m, 300);
    case 4:
        return below(m, 300);
    default:
        return tm_rng_u64(m->rng);
    }
}

static void replace(struct tm_buf *bytes, size_t at, size_t old, const void *data, size_t size)
{
    size_t tail = bytes->bytes - at - old;
    if (bytes->bytes - old + size > MUTATED_BYTES_MAX) {
        return;
    }
    if (size > old && tm_buf_reserve(bytes, size - old) != TM_OK) {
        return;
    }
    memmove(bytes->data + at + size, bytes->data + at + old, tail);
    if (size > 0) {
        memcpy(bytes->data + at, data, size);
    }
    bytes->bytes = bytes->bytes - old + size;
}

/* ---- kinds of damage ---- */

static void flip_bit(const struct mutation *m, struct tm_buf *bytes)
{
    bytes->data[below(m, bytes->bytes)] ^= (uint8_t)(1u << below(m, 8));
}

static void set_byte(const struct mutation *m, struct tm_buf *bytes)
{
    static const uint8_t odd[] = {0,    1,   0x7f, 0x80, 0xff, '"', '\\',
                                  '\n', '{', ']',  '-',  'e',  0xc0};
    bytes->data[below(m, bytes->bytes)] = odd[below(m, sizeof odd)];
}

static void set_number(const struct mutation *m, struct tm_buf *bytes)
{
    uint8_t number[8];
    size_t width = (size_t)1 << below(m, 4), at = below(m, bytes->bytes);
    tm_set_u64(number, odd_number(m, bytes->bytes));
    if (below(m, 2) == 0) {
        at -= at % width;
    }
    width = width < bytes->bytes - at ? width : bytes->bytes - at;
    memcpy(bytes->data + at, number, width);
}

/* Headers are where the decisions fall. */
static void set_early_number(const struct mutation *m, struct tm_buf *bytes)
{
    uint8_t number[8];
    size_t front = bytes->bytes < 96 ? bytes->bytes : 96, at = below(m, front);
    tm_set_u64(number, odd_number(m, bytes->bytes));
    size_t width = bytes->bytes - at < 8 ? bytes->bytes - at : (size_t)1 << below(m, 4);
    memcpy(bytes->data + at, number, width);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void set_decimal(const struct mutation *m, struct tm_buf *bytes)
{
    static const char *const odd[] = {
        "-1", "1e99", "0.5", "00", "", "1e", "NaN", "18446744073709551616", "9223372036854775808"};
    size_t at = below(m, bytes->bytes), end;
    char number[24];
    while (at < bytes->bytes && !is_digit(bytes->data[at])) {
        at++;
    }
    for (end = at; end < bytes->bytes && is_digit(bytes->data[end]); end++) {
    }
    if (at == end) {
        return;
    }
    snprintf(number, sizeof number, "%" PRIu64, odd_number(m, bytes->bytes));
    const char *text = below(m, 3) == 0 ? odd[below(m, sizeof odd / sizeof odd[0])] : number;
    replace(bytes, at, end - at, text, strlen(text));
}

static void set_word(const struct mutation *m, struct tm_buf *bytes)
{
    size_t count = 0;
    while (m->words != NULL && m->words[count] != NULL) {
        count++;
    }
    if (count == 0) {
        return;
    }
    const char *old = m->words[below(m, count)], *word = m->words[below(m, count)];
    const uint8_t *found = memmem(bytes->data, bytes->bytes, old, strlen(old));
    size_t at = found != NULL ? (size_t)(found - bytes->data) : below(m, bytes->bytes);
    replace(bytes, at, found != NULL ? strlen(old) : 0, word, strlen(word));
}

static void cut_end(const struct mutation *m, struct tm_buf *bytes)
{
    bytes->bytes = below(m, bytes->bytes);
}

static void cut_middle(const struct mutation *m, struct tm_buf *bytes)
{
    size_t at = below(m, bytes->bytes), size = 1 + below(m, bytes->bytes - at);
    replace(bytes, at, size < 64 || below(m, 4) == 0 ? size : 1 + size % 64, NULL, 0);
}

static void repeat(const struct mutation *m, struct tm_buf *bytes)
{
    uint8_t copy[512];
    size_t at = below(m, bytes->bytes), size = 1 + below(m, bytes->bytes - at);
    size = size < sizeof copy ? size : sizeof copy;
    memcpy(copy, bytes->data + at, size);
    for (size_t times = 1 + below(m, 3); times > 0; times--) {
        replace(bytes, at, 0, copy, size);
    }
}

static void append(const struct mutation *m, struct tm_buf *bytes)
{
    uint8_t noise[64];
    size_t size = 1 + below(m, sizeof noise);
    tm_rng_fill(m->rng, noise, size);
    if (below(m, 2) == 0) {
        memset(noise, 0, size);
    }
    replace(bytes, bytes->bytes, 0, noise, size);
}

static void splice(const struct mutation *m, struct tm_buf *bytes)
{
    size_t at = below(m, bytes->bytes), from = below(m, m->other.bytes);
    size_t size = m->other.bytes - from;
    size = size < 4096 ? size : 1 + below(m, 4096);
    replace(bytes, at, below(m, 2) == 0 ? bytes->bytes - at : 0, m->other.data + from, size);
}

void mutate(const struct mutation *m, struct tm_buf *bytes)
{
    static void (*const kinds[])(const struct mutation *, struct tm_buf *) = {
        flip_bit, set_byte,   set_number, set_early_number, set_decimal, set_word,
        cut_end,  cut_middle, repeat,     append,           splice,      flip_bit};
    for (size_t places = 1 + below(m, 4); places > 0 && bytes->bytes > 0; places--) {
        kinds[below(m, sizeof kinds / sizeof kinds[0])](m, bytes);
    }
}
