/* SPDX-License-Identifier: Apache-2.0 */
#include "model/convert_blocks.h"

#include <string.h>

#include "model/convert.h"
#include "tests/support/suite.h"

enum { BLOCKS = 7, VALUES = 32 * BLOCKS, BLOCK_BYTES_MAX = 34 };

struct format {
    enum tm_dtype dtype;
    unsigned bytes;
    unsigned nibbles_at; /* 0: eight-bit codes at 2 */
    unsigned fifths_at;  /* 0: none */
    bool has_min;
    int offset;
};

static const struct format formats[] = {
    {TM_Q4_0, 18, 2, 0, false, 8}, {TM_Q4_1, 20, 4, 0, true, 0},  {TM_Q5_0, 22, 6, 2, false, 16},
    {TM_Q5_1, 24, 8, 4, true, 0},  {TM_Q8_0, 34, 0, 0, false, 0},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

/* Value j of a block, from the layout alone. */
static float value_at(const struct format *format, const uint8_t *block, unsigned j)
{
    float d = tm_f16_to_f32((uint16_t)(block[0] | block[1] << 8));
    float m = format->has_min ? tm_f16_to_f32((uint16_t)(block[2] | block[3] << 8)) : 0.0f;
    int code;
    if (format->nibbles_at == 0) {
        code = block[2 + j] < 128 ? block[2 + j] : block[2 + j] - 256;
    } else {
        code =
            j < 16 ? block[format->nibbles_at + j] % 16 : block[format->nibbles_at + j - 16] / 16;
    }
    if (format->fifths_at != 0 && (block[format->fifths_at + j / 8] & 1 << j % 8) != 0) {
        code += 16;
    }
    float product = d * (float)(code - format->offset);
    return format->has_min ? product + m : product;
}

static void fill(uint8_t *bytes, size_t count, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(state >> 24);
    }
}

START_TEST(decodes_by_layout)
{
    const struct format *format = &formats[_i];
    uint8_t bytes[1 + BLOCKS * BLOCK_BYTES_MAX];
    float got[VALUES + 1];
    ck_assert_uint_eq(format->bytes, tm_dtype_block_bytes(format->dtype));
    for (unsigned round = 0; round < 200; round++) {
        uint8_t *src = bytes + round % 2;
        fill(bytes, sizeof bytes, round);
        for (unsigned b = 0; b < BLOCKS; b++) { /* no infinite scale or minimum */
            src[b * format->bytes + 1] &= 0xbf;
            src[b * format->bytes + 3] &= format->has_min ? 0xbf : 0xff;
        }
        got[VALUES] = 7.0f;
        ck_assert_int_eq(tm_convert_to_f32(format->dtype, src, VALUES, got), TM_OK);
        for (unsigned i = 0; i < VALUES; i++) {
            float want = value_at(format, src + i / 32 * format->bytes, i % 32);
            ck_assert_uint_eq(tm_f32_bits(got[i]), tm_f32_bits(want));
        }
        ck_assert(got[VALUES] == 7.0f);
    }
}
END_TEST

/* 2.0 = 0x4000, 0.5 = 0x3800. */
START_TEST(decodes_known_blocks)
{
    float got[32];
    uint8_t q4_1[20] = {0x00, 0x40, 0x00, 0x38, 0xf0, 0x21};
    ck_assert_int_eq(tm_convert_to_f32(TM_Q4_1, q4_1, 32, got), TM_OK);
    ck_assert(got[0] == 0.5f && got[1] == 2.5f && got[2] == 0.5f);
    ck_assert(got[16] == 30.5f && got[17] == 4.5f && got[31] == 0.5f);
    uint8_t q5_0[22] = {0x00, 0x40, 0x01, 0x00, 0x00, 0x80, 0x0f};
    q5_0[21] = 0xf0;
    ck_assert_int_eq(tm_convert_to_f32(TM_Q5_0, q5_0, 32, got), TM_OK);
    ck_assert(got[0] == 30.0f && got[1] == -32.0f && got[31] == 30.0f && got[16] == -32.0f);
    uint8_t q8_0[34] = {0x00, 0x38, 0x80, 0x7f, 0xff};
    ck_assert_int_eq(tm_convert_to_f32(TM_Q8_0, q8_0, 32, got), TM_OK);
    ck_assert(got[0] == -64.0f && got[1] == 63.5f && got[2] == -0.5f && got[3] == 0.0f);
}
END_TEST

/* ---- encoders ---- */

START_TEST(q8_0_rounds_ties_away)
{
    float values[32] = {127.0f, 0.5f, -0.5f, 1.5f, -2.5f, 0.49f, -126.5f, -127.0f};
    uint8_t got[34];
    ck_assert_int_eq(tm_convert_from_f32(TM_Q8_0, values, 32, got), TM_OK);
    const uint8_t want[34] = {0x00, 0x3c, 127, 1, 0xff, 2, 0xfd, 0, 0x81, 0x81}; /* scale 1 */
    ck_assert_mem_eq(got, want, sizeof want);
}
END_TEST

/* The first peak sets the sign of the scale; the other one is clipped to code 15. */
START_TEST(q4_0_takes_the_first_peak)
{
    float values[32] = {0};
    uint8_t got[18];
    values[3] = -8.0f;
    values[20] = 8.0f;
    values[4] = 0.5f;  /* 0.5 + 8.5 = 9 */
    values[5] = -0.5f; /* 8 */
    values[6] = -1.5f; /* 7 */
    ck_assert_int_eq(tm_convert_from_f32(TM_Q4_0, values, 32, got), TM_OK);
    uint8_t want[18] = {0x00, 0x3c, 0x88, 0x88, 0x88, 0x80, 0xf9, 0x88, 0x87};
    memset(want + 9, 0x88, 9);
    ck_assert_mem_eq(got, want, sizeof want);

    for (unsigned i = 0; i < 32; i++) {
        values[i] = -values[i];
    }
    ck_assert_int_eq(tm_convert_from_f32(TM_Q4_0, values, 32, got), TM_OK);
    want[1] = 0xbc; /* scale -1, the same codes */
    ck_assert_mem_eq(got, want, sizeof want);
}
END_TEST

START_TEST(encodes_blocks_without_scale)
{
    float values[32] = {0};
    uint8_t got[34];
    uint8_t want[34] = {0};
    ck_assert_int_eq(tm_convert_from_f32(TM_Q8_0, values, 32, got), TM_OK);
    ck_assert_mem_eq(got, want, 34);
    /* 0 / -8 is -0: the sign is in the scale of every all-zero Q4_0 block. */
    memset(want, 0x88, 18);
    want[0] = 0x00;
    want[1] = 0x80;
    ck_assert_int_eq(tm_convert_from_f32(TM_Q4_0, values, 32, got), TM_OK);
    ck_assert_mem_eq(got, want, 18);
    /* A scale whose inverse is infinite: no code means anything, all are 0. */
    for (unsigned i = 0; i < 32; i++) {
        values[i] = 0x1p-130f;
    }
    memset(want, 0, sizeof want);
    ck_assert_int_eq(tm_convert_from_f32(TM_Q8_0, values, 32, got), TM_OK);
    ck_assert_mem_eq(got, want, 34);
}
END_TEST

/* A scale below the normal halves is kept as a subnormal half, one above the largest is infinite.
 */
START_TEST(encodes_extreme_scales)
{
    float values[32] = {0};
    uint8_t got[34];
    values[0] = 127.0f * 0x1p-24f;
    ck_assert_int_eq(tm_convert_from_f32(TM_Q8_0, values, 32, got), TM_OK);
    ck_assert_uint_eq(tm_get_u16(got), 1);
    ck_assert_uint_eq(got[2], 127);
    values[0] = 127.0f * 65536.0f;
    ck_assert_int_eq(tm_convert_from_f32(TM_Q8_0, values, 32, got), TM_OK);
    ck_assert_uint_eq(tm_get_u16(got), 0x7c00);
}
END_TEST

/* What lies on the grid comes back: decode, encode, decode. */
START_TEST(grid_values_survive)
{
    const enum tm_dtype dtypes[] = {TM_Q8_0, TM_Q4_0};
    uint8_t bytes[BLOCKS * BLOCK_BYTES_MAX];
    uint8_t again[BLOCKS * BLOCK_BYTES_MAX];
    float first[VALUES];
    float second[VALUES];
    unsigned size = tm_dtype_block_bytes(dtypes[_i]);
    for (unsigned round = 0; round < 200; round++) {
        fill(bytes, sizeof bytes, round);
        for (unsigned b = 0; b < BLOCKS; b++) {
            uint8_t *block = bytes + b * size;
            block[1] = (uint8_t)((block[1] & 0x80) | 0x2c);
            for (unsigned j = 2; _i == 0 && j < size; j++) {
                block[j] = block[j] == 0x80 ? 0x81 : block[j]; /* -128 is not on the grid */
            }
            block[2] = _i == 0 ? 127 : 0; /* the peak code is used */
        }
        ck_assert_int_eq(tm_convert_to_f32(dtypes[_i], bytes, VALUES, first), TM_OK);
        ck_assert_int_eq(tm_convert_from_f32(dtypes[_i], first, VALUES, again), TM_OK);
        ck_assert_int_eq(tm_convert_to_f32(dtypes[_i], again, VALUES, second), TM_OK);
        for (unsigned i = 0; i < VALUES; i++) {
            ck_assert(first[i] == second[i]);
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("convert_legacy");
    TCase *decode = tcase_create("decode");
    tcase_set_timeout(decode, 60);
    tcase_add_loop_test(decode, decodes_by_layout, 0, FORMATS);
    tcase_add_test(decode, decodes_known_blocks);
    suite_add_tcase(suite, decode);
    TCase *encode = tcase_create("encode");
    tcase_set_timeout(encode, 60);
    tcase_add_test(encode, q8_0_rounds_ties_away);
    tcase_add_test(encode, q4_0_takes_the_first_peak);
    tcase_add_test(encode, encodes_blocks_without_scale);
    tcase_add_test(encode, encodes_extreme_scales);
    tcase_add_loop_test(encode, grid_values_survive, 0, 2);
    suite_add_tcase(suite, encode);
    return suite;
}
