/* SPDX-License-Identifier: Apache-2.0
 * Integers in as few bits as their neighbours need: groups of up to 64, each a byte with the width
 * of its widest value and then every value in that many bits, lowest bit first, zeros up to a whole
 * byte. Signed values are folded (0, -1, 1, -2 ... to 0, 1, 2, 3 ...). One form for each list of
 * values, so that equal sums are equal bytes. */
#ifndef TM_MODEL_BIT_GROUPS_H
#define TM_MODEL_BIT_GROUPS_H

#include "base/bytes.h"

#define TM_BIT_GROUP 64

/* Bytes that `count` values take at most. */
uint64_t tm_bit_groups_bound(uint64_t count);

/* A writer gathers values into groups; the last group may be short. */
struct tm_bit_writer {
    struct tm_buf *out;
    uint64_t group[TM_BIT_GROUP];
    size_t count;
};
tm_status tm_bit_put(struct tm_bit_writer *writer, int64_t value) TM_MUST_USE;
tm_status tm_bit_end(struct tm_bit_writer *writer) TM_MUST_USE;

/* The reader knows how many values there are. */
struct tm_bit_reader {
    struct tm_cursor *in;
    uint64_t left; /* values not yet given */
    uint64_t group[TM_BIT_GROUP];
    size_t at, count;
    bool bad; /* the bytes end too soon, or are not the one form; values are then 0 */
};
struct tm_bit_reader tm_bit_reader_of(struct tm_cursor *in, uint64_t count);
int64_t tm_bit_get(struct tm_bit_reader *reader);

#endif
