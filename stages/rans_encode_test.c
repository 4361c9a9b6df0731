/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/rans_encode.h"

#include <math.h>
#include <string.h>

#include "stages/packing.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

static size_t coded_bytes(uint32_t alphabet, const uint8_t *codes, size_t count)
{
    struct tm_buf out;
    tm_buf_init(&out, tm_rans_bound(alphabet, count));
    ck_assert_int_eq(tm_rans_encode(alphabet, codes, count, &out), TM_OK);
    size_t bytes = out.bytes;
    tm_buf_deinit(&out);
    return bytes;
}

static double entropy_bytes(const uint8_t *codes, size_t count)
{
    struct tm_rans_counts counts;
    double bits = 0.0;
    tm_rans_histogram(codes, count, &counts);
    for (size_t s = 0; s < 256; s++) {
        if (counts.count[s] > 0) {
            bits -= counts.count[s] * log2((double)counts.count[s] / (double)count);
        }
    }
    return bits / 8;
}

/* A stream written out by hand from the definition: two symbols, 64 of them, one state step each.
 */
START_TEST(small_stream_by_hand)
{
    uint8_t codes[600];
    memset(codes, 0, sizeof codes);
    for (size_t i = 0; i < 4; i++) {
        codes[i] = 1;
    }
    /* freq: 596/600 * 4096 = 4068.7 -> 4069 and 27.3 -> 27; the sum is 4096. */
    struct tm_buf out;
    tm_buf_init(&out, 1000);
    ck_assert_int_eq(tm_rans_encode(16, codes, sizeof codes, &out), TM_OK);
    const uint8_t head[] = {TM_RANS_CODED, 0, 1};
    ck_assert_mem_eq(out.data, head, sizeof head);
    /* Lengths 12 and 5, rests 4069 - 2048 and 27 - 16: 4 + 11 + 4 + 4 bits. */
    uint32_t table = 12u | 2021u << 4 | 5u << 15 | 11u << 19;
    ck_assert_uint_eq(tm_get_u16(out.data + 3) | (uint32_t)out.data[5] << 16, table);
    /* Lanes 4..31 code only zeros (lane 4: 19 of them), each: x / 4069 * 4096 + x % 4069. */
    uint32_t x = TM_RANS_LOW;
    for (size_t i = 4; i < sizeof codes; i += 32) {
        x = x / 4069 * 4096 + x % 4069;
    }
    ck_assert_uint_eq(tm_get_u32(out.data + 6 + 4 + 4 * 4), x);
    /* Lane 0 ends (in coding order) with symbol 1: freq 27 from slot 4069 on. */
    x = TM_RANS_LOW;
    for (size_t i = 32; i < sizeof codes; i += 32) {
        x = x / 4069 * 4096 + x % 4069;
    }
    ck_assert_uint_lt(x, 27u << 20);
    x = x / 27 * 4096 + x % 27 + 4069;
    ck_assert_uint_eq(tm_get_u32(out.data + 6 + 4), x);
    ck_assert_uint_eq(tm_get_u32(out.data + 6), 0);
    ck_assert_uint_eq(out.bytes, 6 + TM_RANS_HEAD_BYTES);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(constant_and_empty_streams)
{
    uint8_t codes[5000];
    memset(codes, 9, sizeof codes);
    ck_assert_uint_eq(coded_bytes(16, codes, sizeof codes), 2);
    ck_assert_uint_eq(coded_bytes(16, codes, 0), 1);
    ck_assert_uint_eq(coded_bytes(256, codes, 1), 2);
}
END_TEST

START_TEST(incompressible_symbols_are_packed)
{
    uint8_t *codes = skewed_symbols(3, 256, 1, 100000);
    ck_assert_uint_eq(coded_bytes(256, codes, 100000), 100001);
    tm_free(codes);
    codes = skewed_symbols(4, 16, 1, 99999);
    ck_assert_uint_eq(coded_bytes(16, codes, 99999), 50001);
    tm_free(codes);
}
END_TEST

/* Never above the bound; within 1.01 of the entropy for blocks of the usual size. */
START_TEST(size_against_entropy)
{
    static const uint32_t alphabets[] = {2, 3, 15, 16, 100, 243, 256};
    uint32_t alphabet = alphabets[_i];
    for (uint32_t skew = 2; skew < 6; skew++) {
        uint8_t *codes = skewed_symbols(skew, alphabet, skew, TM_BLOCK_WEIGHTS);
        double entropy = entropy_bytes(codes, TM_BLOCK_WEIGHTS);
        double packed = (double)tm_packed_bytes(alphabet, TM_BLOCK_WEIGHTS);
        double got = (double)coded_bytes(alphabet, codes, TM_BLOCK_WEIGHTS);
        ck_assert_msg(got <= 1.01 * entropy + 200 || got <= packed + 1,
                      "alphabet %u, skew %u: %.0f bytes, entropy %.0f", alphabet, skew, got,
                      entropy);
        tm_free(codes);
    }
}
END_TEST

START_TEST(failed_allocations_leave_the_buffer)
{
    uint8_t *codes = skewed_symbols(1, 16, 4, 5000);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_buf out;
        tm_buf_init(&out, 100000);
        tm_mem_fail_at(n);
        tm_status status = tm_rans_encode(16, codes, 5000, &out);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert(failed ? out.bytes == 0 : out.bytes > 0);
        tm_buf_deinit(&out);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_free(codes);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("rans_encode");
    TCase *tc = tcase_create("rans_encode");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, small_stream_by_hand);
    tcase_add_test(tc, constant_and_empty_streams);
    tcase_add_test(tc, incompressible_symbols_are_packed);
    tcase_add_loop_test(tc, size_against_entropy, 0, 7);
    tcase_add_test(tc, failed_allocations_leave_the_buffer);
    suite_add_tcase(suite, tc);
    return suite;
}
