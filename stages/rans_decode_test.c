/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/rans_decode.h"

#include <string.h>

#include "stages/packing.h"
#include "stages/rans_encode.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

static struct tm_buf encode(uint32_t alphabet, const uint8_t *codes, size_t count)
{
    struct tm_buf out;
    tm_buf_init(&out, tm_rans_bound(alphabet, count));
    ck_assert_int_eq(tm_rans_encode(alphabet, codes, count, &out), TM_OK);
    return out;
}

/* Decodes all bytes; TM_E_MALFORMED when some are left. */
static tm_status decode(struct tm_view bytes, uint32_t alphabet, size_t count,
                        enum tm_decode_check check, uint8_t *codes, struct tm_err *err)
{
    struct tm_cursor in = tm_cursor_of(bytes);
    TM_TRY(tm_rans_decode(&in, alphabet, count, check, codes, err));
    return tm_cursor_left(&in) == 0 ? TM_OK : TM_E_MALFORMED;
}

/* Sizes around the lanes, the kernels' rounds and the modes; both checks; every kernel. */
START_TEST(round_trip)
{
    static const size_t counts[] = {0, 1, 2, 31, 32, 33, 63, 64, 65, 300, 1000, 4097, 70001};
    static const uint32_t alphabets[] = {2, 15, 16, 17, 243, 256};
    size_t count = counts[_i];
    for (size_t a = 0; a < 6; a++) {
        for (uint32_t skew = 1; skew < 8; skew++) {
            uint8_t *codes = skewed_symbols(skew + count, alphabets[a], skew, count + 1);
            uint8_t *back = tm_alloc(count + 1);
            struct tm_buf out = encode(alphabets[a], codes, count);
            FOR_EACH_KERNEL(kernel)
            {
                memset(back, 0xee, count + 1);
                ck_assert_int_eq(
                    decode(tm_buf_view(&out), alphabets[a], count, TM_DECODE_CANONICAL, back, NULL),
                    TM_OK);
                ck_assert_uint_eq(back[count], 0xee);
                ck_assert(count == 0 || memcmp(back, codes, count) == 0);
            }
            tm_buf_deinit(&out);
            tm_free(back);
            tm_free(codes);
        }
    }
}
END_TEST

/* A cut stream and one with any bit flipped never give other symbols under CANONICAL than such
 * whose encoding is that very stream, and all kernels agree. */
START_TEST(damaged_streams)
{
    size_t count = 900;
    uint8_t *codes = skewed_symbols(11, 16, 4, count), back[2][900];
    struct tm_buf out = encode(16, codes, count);
    ck_assert_uint_eq(out.data[0], TM_RANS_CODED);
    for (size_t cut = 0; cut < out.bytes; cut++) {
        FOR_EACH_KERNEL(kernel)
        {
            tm_status status =
                decode(tm_view_of(out.data, cut), 16, count, TM_DECODE_FAST, back[0], NULL);
            ck_assert_int_eq(status, TM_E_MALFORMED);
        }
    }
    for (size_t bit = 0; bit < 8 * out.bytes; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        tm_status status[TM_KERNEL_COUNT];
        size_t kernels = 0;
        FOR_EACH_KERNEL(kernel)
        {
            status[kernels++] =
                decode(tm_buf_view(&out), 16, count, TM_DECODE_CANONICAL, back[0], NULL);
            ck_assert_int_eq(status[kernels - 1], status[0]);
            if (status[0] == TM_OK) {
                struct tm_buf again = encode(16, back[0], count);
                ck_assert(tm_view_eq(tm_buf_view(&again), tm_buf_view(&out)));
                tm_buf_deinit(&again);
            }
        }
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    tm_buf_deinit(&out);
    tm_free(codes);
}
END_TEST

static void expect_malformed(struct tm_view bytes, uint32_t alphabet, size_t count,
                             enum tm_decode_check check, const char *why)
{
    struct tm_err err;
    uint8_t *back = tm_alloc(count);
    ck_assert_int_eq(decode(bytes, alphabet, count, check, back, &err), TM_E_MALFORMED);
    ck_assert_msg(strstr(err.why, why) != NULL, "'%s' lacks '%s'", err.why, why);
    ck_assert_ptr_nonnull(strstr(err.where, "byte "));
    tm_free(back);
}

START_TEST(reasons)
{
    expect_malformed(tm_view_of("", 0), 16, 4, TM_DECODE_FAST, "empty");
    expect_malformed(tm_view_of("\x03", 1), 16, 4, TM_DECODE_FAST, "mode is unknown");
    expect_malformed(tm_view_of("\x01", 1), 16, 4, TM_DECODE_FAST, "missing");
    expect_malformed(tm_view_of("\x01\x10", 2), 16, 4, TM_DECODE_FAST, "alphabet");
    expect_malformed(tm_view_of("\x00\x10", 2), 16, 4, TM_DECODE_FAST, "cut short");
    expect_malformed(tm_view_of("\x00\x10", 2), 16, 1, TM_DECODE_FAST, "padding");
    expect_malformed(tm_view_of("\x02\x00", 2), 16, 4, TM_DECODE_FAST, "table is cut short");
    /* One symbol only, or none, in another mode than CONSTANT. */
    expect_malformed(tm_view_of("\x00\x11\x11", 3), 16, 4, TM_DECODE_CANONICAL, "another mode");
    expect_malformed(tm_view_of("\x01\x01", 2), 16, 0, TM_DECODE_CANONICAL, "another mode");
}
END_TEST

START_TEST(packed_where_coded_is_due)
{
    uint8_t *codes = skewed_symbols(2, 16, 5, 4000), back[4000], packed[2001];
    packed[0] = TM_RANS_PACKED;
    tm_pack(16, codes, 4000, packed + 1);
    struct tm_view view = tm_view_of(packed, sizeof packed);
    ck_assert_int_eq(decode(view, 16, 4000, TM_DECODE_FAST, back, NULL), TM_OK);
    ck_assert_mem_eq(back, codes, 4000);
    expect_malformed(view, 16, 4000, TM_DECODE_CANONICAL, "another mode");
    tm_free(codes);
}
END_TEST

/* Parts of a coded stream by offset: mode 0, table 1.., then words, states, words. */
START_TEST(reasons_of_coded_streams)
{
    uint8_t *codes = skewed_symbols(21, 16, 4, 2000);
    struct tm_buf out = encode(16, codes, 2000);
    struct tm_rans_table table;
    struct tm_cursor in = tm_cursor_of(tm_view_of(out.data + 1, out.bytes - 1));
    ck_assert_ptr_null(tm_rans_table_read(&in, 16, &table));
    uint8_t *head = out.data + 1 + in.at;
    struct tm_view view = tm_buf_view(&out);
    uint32_t words = tm_get_u32(head), state = tm_get_u32(head + 4);
    tm_set_u32(head, words + 1);
    expect_malformed(view, 16, 2000, TM_DECODE_FAST, "cut short");
    tm_set_u32(head, words - 1);
    expect_malformed(view, 16, 2000, TM_DECODE_FAST, "end before");
    tm_set_u32(head, words);
    tm_set_u32(head + 4, 0xffff);
    expect_malformed(view, 16, 2000, TM_DECODE_FAST, "out of range");
    tm_set_u32(head + 4, state);
    expect_malformed(view, 16, 1990, TM_DECODE_FAST, "");
    tm_buf_deinit(&out);
    tm_free(codes);
}
END_TEST

/* The same symbols under a table that is not the normalised one: a valid stream for FAST only. */
START_TEST(foreign_table)
{
    uint8_t codes[320];
    for (size_t i = 0; i < sizeof codes; i++) {
        codes[i] = i % 4 == 3;
    }
    /* Equal halves although the counts are 240 and 80. */
    uint8_t bytes[1 + 6 + TM_RANS_HEAD_BYTES + 640], back[320];
    struct tm_rans_table table = {{2048, 2048}};
    bytes[0] = TM_RANS_CODED;
    size_t at = 1 + tm_rans_table_write(&table, bytes + 1);
    uint32_t state[32];
    uint16_t words[320];
    size_t first = 320;
    for (size_t i = 0; i < 32; i++) {
        state[i] = TM_RANS_LOW;
    }
    for (size_t i = sizeof codes; i-- > 0;) {
        uint32_t *x = &state[i % 32];
        if (*x >= 2048u << 20) {
            words[--first] = (uint16_t)*x;
            *x >>= 16;
        }
        *x = *x / 2048 * 4096 + *x % 2048 + 2048u * codes[i];
    }
    tm_set_u32(bytes + at, (uint32_t)(320 - first));
    for (size_t i = 0; i < 32; i++) {
        tm_set_u32(bytes + at + 4 + 4 * i, state[i]);
    }
    at += TM_RANS_HEAD_BYTES;
    for (; first < 320; first++, at += 2) {
        tm_set_u16(bytes + at, words[first]);
    }
    struct tm_view view = tm_view_of(bytes, at);
    ck_assert_int_eq(decode(view, 256, 320, TM_DECODE_FAST, back, NULL), TM_OK);
    ck_assert_mem_eq(back, codes, sizeof codes);
    expect_malformed(view, 256, 320, TM_DECODE_CANONICAL, "another table");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("rans_decode");
    TCase *tc = tcase_create("rans_decode");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, round_trip, 0, 13);
    tcase_add_test(tc, damaged_streams);
    tcase_add_test(tc, reasons);
    tcase_add_test(tc, packed_where_coded_is_due);
    tcase_add_test(tc, reasons_of_coded_streams);
    tcase_add_test(tc, foreign_table);
    suite_add_tcase(suite, tc);
    return suite;
}
