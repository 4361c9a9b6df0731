/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/rans_table.h"

#include <math.h>
#include <string.h>

#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

static struct tm_rans_counts counts_of(size_t n, const uint32_t *count)
{
    struct tm_rans_counts counts;
    memset(&counts, 0, sizeof counts);
    for (size_t s = 0; s < n; s++) {
        counts.count[s] = count[s];
        counts.distinct += count[s] > 0;
    }
    return counts;
}

static uint32_t sum_of(const struct tm_rans_table *table)
{
    uint32_t sum = 0;
    for (size_t s = 0; s < 256; s++) {
        sum += table->freq[s];
    }
    return sum;
}

START_TEST(histogram_counts_every_symbol)
{
    uint8_t codes[1000];
    struct tm_rans_counts counts;
    for (size_t i = 0; i < sizeof codes; i++) {
        codes[i] = (uint8_t)(i % 7 * 30);
    }
    for (size_t n = 0; n <= 16; n++) {
        tm_rans_histogram(codes, n, &counts);
        ck_assert_uint_eq(counts.distinct, n < 7 ? n : 7);
        ck_assert_uint_eq(counts.count[0], (n + 6) / 7);
    }
    tm_rans_histogram(codes, sizeof codes, &counts);
    ck_assert_uint_eq(counts.count[180], 142);
    ck_assert_uint_eq(counts.count[150], 143);
}
END_TEST

START_TEST(known_tables)
{
    struct tm_rans_table table;
    /* Exact halves. */
    struct tm_rans_counts counts = counts_of(2, (const uint32_t[]){5, 5});
    tm_rans_normalise(&counts, &table);
    ck_assert_uint_eq(table.freq[0], 2048);
    ck_assert_uint_eq(table.freq[1], 2048);
    /* 1365.33 each rounds to 1365; the sum lacks one, all gain alike, the lowest symbol gets it. */
    counts = counts_of(3, (const uint32_t[]){9, 9, 9});
    tm_rans_normalise(&counts, &table);
    ck_assert_uint_eq(table.freq[0], 1366);
    ck_assert_uint_eq(table.freq[1], 1365);
    ck_assert_uint_eq(table.freq[2], 1365);
    /* A symbol that is nearly absent keeps 1, which the large one pays. */
    counts = counts_of(4, (const uint32_t[]){1, 0, 10000000, 1});
    tm_rans_normalise(&counts, &table);
    ck_assert_uint_eq(table.freq[0], 1);
    ck_assert_uint_eq(table.freq[1], 0);
    ck_assert_uint_eq(table.freq[2], 4094);
    ck_assert_uint_eq(table.freq[3], 1);
    /* 585.14 each: the sum is 4095, symbol 0 gets the rest. */
    counts = counts_of(7, (const uint32_t[]){3, 3, 3, 3, 3, 3, 3});
    tm_rans_normalise(&counts, &table);
    ck_assert_uint_eq(table.freq[0], 586);
    ck_assert_uint_eq(table.freq[6], 585);
}
END_TEST

START_TEST(tables_are_valid_and_read_back)
{
    struct tm_rng rng;
    tm_rng_init(&rng, (uint64_t)_i);
    uint32_t alphabet = 2 + (uint32_t)tm_rng_below(&rng, 255);
    uint8_t *codes = skewed_symbols((uint64_t)_i, alphabet, 1 + (uint32_t)_i % 5, 3000);
    struct tm_rans_counts counts;
    struct tm_rans_table table, back;
    tm_rans_histogram(codes, 3000, &counts);
    tm_free(codes);
    if (counts.distinct < 2) {
        return;
    }
    tm_rans_normalise(&counts, &table);
    ck_assert_uint_eq(sum_of(&table), TM_RANS_TOTAL);
    for (size_t s = 0; s < 256; s++) {
        ck_assert(counts.count[s] > 0 ? table.freq[s] >= 1 : table.freq[s] == 0);
    }
    uint8_t bytes[TM_RANS_TABLE_BYTES_MAX];
    size_t written = tm_rans_table_write(&table, bytes);
    for (size_t cut = 0; cut < written; cut++) {
        struct tm_cursor in = tm_cursor_of(tm_view_of(bytes, cut));
        ck_assert_ptr_nonnull(tm_rans_table_read(&in, alphabet, &back));
    }
    struct tm_cursor in = tm_cursor_of(tm_view_of(bytes, written));
    ck_assert_ptr_null(tm_rans_table_read(&in, alphabet, &back));
    ck_assert_uint_eq(in.at, written);
    ck_assert_mem_eq(&back, &table, sizeof table);
}
END_TEST

/* Fills bytes with a table of (length, rest) pairs, lowest bits first. */
static size_t table_bytes(uint8_t *bytes, uint8_t low, uint8_t high, size_t n,
                          const uint16_t (*fields)[2])
{
    uint64_t hold = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        hold |= (uint64_t)fields[i][0] << held;
        held += 4;
        unsigned rest = fields[i][0] > 0 ? fields[i][0] - 1u : 0;
        hold |= (uint64_t)fields[i][1] << held;
        held += rest;
    }
    bytes[0] = low;
    bytes[1] = high;
    tm_set_u64(bytes + 2, hold);
    return 2 + (held + 7) / 8;
}

static const char *read_fields(uint8_t low, uint8_t high, size_t n, const uint16_t (*fields)[2],
                               uint8_t flip)
{
    uint8_t bytes[16];
    struct tm_rans_table table;
    size_t size = table_bytes(bytes, low, high, n, fields);
    bytes[size - 1] ^= flip;
    struct tm_cursor in = tm_cursor_of(tm_view_of(bytes, size));
    const char *why = tm_rans_table_read(&in, 16, &table);
    return why == NULL ? "" : why;
}

START_TEST(bad_tables)
{
    const uint16_t halves[][2] = {{12, 0}, {12, 0}};
    const uint16_t small[][2] = {{12, 0}, {11, 0}};
    const uint16_t gap[][2] = {{12, 0}, {12, 0}, {0, 0}};
    const uint16_t wide[][2] = {{13, 0}, {0, 0}};
    ck_assert_str_eq(read_fields(3, 4, 2, halves, 0), "");
    ck_assert_ptr_nonnull(strstr(read_fields(3, 4, 2, halves, 0x80), "padding"));
    ck_assert_ptr_nonnull(strstr(read_fields(4, 4, 2, halves, 0), "range"));
    ck_assert_ptr_nonnull(strstr(read_fields(15, 16, 2, halves, 0), "within the alphabet"));
    ck_assert_ptr_nonnull(strstr(read_fields(3, 4, 2, small, 0), "sum to 4096"));
    ck_assert_ptr_nonnull(strstr(read_fields(3, 5, 3, gap, 0), "wider"));
    ck_assert_ptr_nonnull(strstr(read_fields(3, 4, 2, wide, 0), "more than 12"));
}
END_TEST

START_TEST(cost_is_the_entropy_under_the_table)
{
    uint8_t *codes = skewed_symbols(5, 200, 3, 50000);
    struct tm_rans_counts counts;
    struct tm_rans_table table;
    tm_rans_histogram(codes, 50000, &counts);
    tm_rans_normalise(&counts, &table);
    double bits = 0.0;
    for (size_t s = 0; s < 256; s++) {
        if (counts.count[s] > 0) {
            bits -= counts.count[s] * log2(table.freq[s] / 4096.0);
        }
    }
    double cost = (double)tm_rans_cost_bits(&counts, &table);
    /* Each logarithm is rounded by less than 2^-16 upwards. */
    ck_assert(cost >= bits - 1e-3 && cost <= bits + 50000.0 / 65536 + 1);
    tm_free(codes);
}
END_TEST

START_TEST(choice_of_mode)
{
    struct tm_rans_counts counts = counts_of(2, (const uint32_t[]){0, 900});
    struct tm_rans_table table = {0};
    ck_assert_int_eq(tm_rans_choose(&counts, &table, 16, 900), TM_RANS_CONSTANT);
    counts = counts_of(1, (const uint32_t[]){0});
    ck_assert_int_eq(tm_rans_choose(&counts, &table, 16, 0), TM_RANS_PACKED);
    /* One bit a symbol against four: pays only once the head of 132 bytes is earned. */
    counts = counts_of(2, (const uint32_t[]){150, 150});
    tm_rans_normalise(&counts, &table);
    ck_assert_int_eq(tm_rans_choose(&counts, &table, 16, 300), TM_RANS_PACKED);
    counts = counts_of(2, (const uint32_t[]){250, 250});
    tm_rans_normalise(&counts, &table);
    ck_assert_int_eq(tm_rans_choose(&counts, &table, 16, 500), TM_RANS_CODED);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("rans_table");
    TCase *tc = tcase_create("rans_table");
    tcase_add_test(tc, histogram_counts_every_symbol);
    tcase_add_test(tc, known_tables);
    tcase_add_loop_test(tc, tables_are_valid_and_read_back, 0, 60);
    tcase_add_test(tc, bad_tables);
    tcase_add_test(tc, cost_is_the_entropy_under_the_table);
    tcase_add_test(tc, choice_of_mode);
    suite_add_tcase(suite, tc);
    return suite;
}
