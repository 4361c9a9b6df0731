/* SPDX-License-Identifier: Apache-2.0 */
#include "model/convert_blocks.h"

#include <string.h>

#include "model/convert.h"
#include "tests/support/suite.h"

enum { BLOCKS = 3, VALUES = 256 * BLOCKS, BLOCK_BYTES_MAX = 210 };

static float half_at(const uint8_t *at)
{
    return tm_f16_to_f32((uint16_t)(at[0] | at[1] << 8));
}

/* ---- value j of a block, bit by bit from the layout tables of ggml-common.h ---- */

/* The twelve bytes hold eight scales and eight minima of six bits: bits 0..3 and 4..5 of field
 * `group` of either kind. */
static unsigned scale_bits(const uint8_t *scales, unsigned group, bool min)
{
    if (group < 4) {
        return scales[group + (min ? 4 : 0)] % 64;
    }
    unsigned low = min ? scales[group + 4] / 16 : scales[group + 4] % 16;
    unsigned high = scales[group - 4 + (min ? 4 : 0)] / 64;
    return high * 16 + low;
}

static float q45_value(const uint8_t *block, unsigned j, bool five)
{
    unsigned group = j / 32;
    const uint8_t *nibbles = block + (five ? 48 : 16);
    uint8_t pair = nibbles[group / 2 * 32 + j % 32];
    unsigned code = group % 2 == 0 ? pair % 16 : pair / 16;
    if (five && (block[16 + j % 32] & 1 << group) != 0) {
        code += 16;
    }
    float scale = half_at(block) * (float)scale_bits(block + 4, group, false);
    float min = half_at(block + 2) * (float)scale_bits(block + 4, group, true);
    float product = scale * (float)code;
    return product - min;
}

static float q6_value(const uint8_t *block, unsigned j)
{
    unsigned half = j / 128;
    unsigned quarter = j % 128 / 32;
    uint8_t pair = block[64 * half + 32 * (quarter % 2) + j % 32];
    int code = quarter < 2 ? pair % 16 : pair / 16;
    code += 16 * (block[128 + 32 * half + j % 32] / (1 << 2 * quarter) % 4);
    int scale = block[192 + j / 16] < 128 ? block[192 + j / 16] : block[192 + j / 16] - 256;
    float step = half_at(block + 208) * (float)scale;
    return step * (float)(code - 32);
}

/* Bits 2k and 2k + 1 of byte 32h + i belong to value 128h + 32k + i. */
static unsigned two_bits(const uint8_t *bytes, unsigned j)
{
    return bytes[j / 128 * 32 + j % 32] / (1u << 2 * (j % 128 / 32)) % 4;
}

static float q2_value(const uint8_t *block, unsigned j)
{
    float scale = half_at(block + 80) * (float)(block[j / 16] % 16);
    float min = half_at(block + 82) * (float)(block[j / 16] / 16);
    float product = scale * (float)two_bits(block + 16, j);
    return product - min;
}

static float q3_value(const uint8_t *block, unsigned j)
{
    const uint8_t *scales = block + 96;
    unsigned group = j / 16;
    int scale = group < 8 ? scales[group] % 16 : scales[group - 8] / 16;
    scale += 16 * (scales[8 + group % 4] / (1 << 2 * (group / 4)) % 4);
    int code = (int)two_bits(block + 32, j);
    code -= (block[j % 32] & 1 << j / 32) != 0 ? 0 : 4;
    float step = half_at(block + 108) * (float)(scale - 32);
    return step * (float)code;
}

static float value_at(enum tm_dtype dtype, const uint8_t *block, unsigned j)
{
    switch (dtype) {
    case TM_Q2_K:
        return q2_value(block, j);
    case TM_Q3_K:
        return q3_value(block, j);
    case TM_Q6_K:
        return q6_value(block, j);
    default:
        return q45_value(block, j, dtype == TM_Q5_K);
    }
}

/* Where the upper bytes of the half-precision numbers of a block are. */
static const struct {
    enum tm_dtype dtype;
    size_t halves[2];
} types[] = {{TM_Q4_K, {1, 3}},
             {TM_Q5_K, {1, 3}},
             {TM_Q6_K, {209, 209}},
             {TM_Q2_K, {81, 83}},
             {TM_Q3_K, {109, 109}}};

START_TEST(decodes_by_layout)
{
    enum tm_dtype dtype = types[_i].dtype;
    size_t block_bytes = tm_dtype_block_bytes(dtype);
    uint8_t bytes[1 + BLOCKS * BLOCK_BYTES_MAX];
    float got[VALUES + 1];
    uint32_t state = 99;
    for (unsigned round = 0; round < 100; round++) {
        uint8_t *src = bytes + round % 2;
        for (size_t i = 0; i < sizeof bytes; i++) {
            state = state * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(state >> 24);
        }
        for (unsigned b = 0; b < BLOCKS; b++) { /* finite scales */
            uint8_t *block = src + b * block_bytes;
            block[types[_i].halves[0]] &= 0xbf;
            block[types[_i].halves[1]] &= 0xbf;
        }
        got[VALUES] = 7.0f;
        ck_assert_int_eq(tm_convert_to_f32(dtype, src, VALUES, got), TM_OK);
        for (unsigned i = 0; i < VALUES; i++) {
            float want = value_at(dtype, src + i / 256 * block_bytes, i % 256);
            ck_assert_uint_eq(tm_f32_bits(got[i]), tm_f32_bits(want));
        }
        ck_assert(got[VALUES] == 7.0f);
    }
}
END_TEST

START_TEST(decodes_known_blocks)
{
    float got[256];
    uint8_t q4_k[144] = {0x00, 0x3c, 0x00, 0x38}; /* d 1, dmin 1/2 */
    q4_k[4] = 3;                                  /* group 0: scale 3, min 2 */
    q4_k[8] = 2;
    q4_k[16] = 0x05;
    q4_k[7] = 0xc0; /* group 7: scale 48 + 1, min 16 + 4 */
    q4_k[11] = 0x40;
    q4_k[15] = 0x41;
    q4_k[143] = 0x20;
    ck_assert_int_eq(tm_convert_to_f32(TM_Q4_K, q4_k, 256, got), TM_OK);
    ck_assert(got[0] == 14.0f && got[1] == -1.0f && got[32] == 0.0f);
    ck_assert(got[255] == 88.0f && got[254] == -10.0f);
    uint8_t q6_k[210] = {0};
    q6_k[209] = 0x3c; /* d 1; codes are -32 */
    memset(q6_k + 192, 0xff, 8);
    q6_k[200] = 2;
    q6_k[128] = 0xc3; /* +48 in quarters 0 and 3 */
    q6_k[64] = 0x0f;
    ck_assert_int_eq(tm_convert_to_f32(TM_Q6_K, q6_k, 256, got), TM_OK);
    ck_assert(got[0] == -16.0f && got[1] == 32.0f && got[96] == -16.0f && got[32] == 32.0f);
    ck_assert(got[128] == -34.0f && got[129] == -64.0f && got[144] == 0.0f);
}
END_TEST

START_TEST(decodes_known_blocks_of_two_and_three_bits)
{
    float got[256];
    uint8_t q2_k[84] = {0x23, [15] = 0x1f, [16] = 0x02, [79] = 0xc0};
    q2_k[81] = 0x3c; /* d 1 */
    q2_k[83] = 0x38; /* dmin 1/2; group 0: scale 3, min 2; group 15: scale 15, min 1 */
    ck_assert_int_eq(tm_convert_to_f32(TM_Q2_K, q2_k, 256, got), TM_OK);
    ck_assert(got[0] == 5.0f && got[1] == -1.0f && got[32] == 0.0f);
    ck_assert(got[255] == 44.5f && got[254] == -0.5f);
    uint8_t q3_k[110] = {0x01, [31] = 0x80, [32] = 0x03, [95] = 0x40};
    q3_k[109] = 0x3c; /* d 1 */
    q3_k[96] = 0x01;
    q3_k[104] = 0x03; /* group 0: 1 + 48 - 32 */
    q3_k[103] = 0x20;
    q3_k[107] = 0x40; /* group 15: 2 + 16 - 32 */
    ck_assert_int_eq(tm_convert_to_f32(TM_Q3_K, q3_k, 256, got), TM_OK);
    ck_assert(got[0] == 51.0f && got[1] == -68.0f && got[16] == 128.0f);
    ck_assert(got[255] == -14.0f && got[254] == 56.0f);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("convert_k");
    TCase *decode = tcase_create("decode");
    tcase_set_timeout(decode, 60);
    tcase_add_loop_test(decode, decodes_by_layout, 0, 5);
    tcase_add_test(decode, decodes_known_blocks);
    tcase_add_test(decode, decodes_known_blocks_of_two_and_three_bits);
    suite_add_tcase(suite, decode);
    return suite;
}
