/* SPDX-License-Identifier: Apache-2.0 */
#include "model/convert_blocks.h"

#include "model/convert.h"
#include "tests/support/suite.h"

enum { BLOCKS = 4, VALUES_MAX = 256 * BLOCKS, BLOCK_BYTES_MAX = 136 };

/* The levels as they grow, from the table of IQ4_NL in ggml-common.h. */
static const int iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                            1,    13,   25,  38,  53,  69,  89,  113};
/* Magnitudes of E2M1 (OCP MX 1.0, table 5), doubled. */
static const int e2m1[8] = {0, 1, 2, 3, 4, 6, 8, 12};

static float half_at(const uint8_t *at)
{
    return tm_f16_to_f32((uint16_t)(at[0] | at[1] << 8));
}

static unsigned nibble_of(const uint8_t *run, unsigned j)
{
    return j < 16 ? run[j] % 16 : run[j - 16] / 16;
}

static float xs_value(const uint8_t *block, unsigned j)
{
    unsigned group = j / 32;
    unsigned low = group % 2 == 0 ? block[4 + group / 2] % 16 : block[4 + group / 2] / 16;
    unsigned high = block[2 + group / 4] / (1u << 2 * (group % 4)) % 4;
    float scale = half_at(block) * (float)((int)(low + 16 * high) - 32);
    return scale * (float)iq4[nibble_of(block + 8 + 16 * group, j % 32)];
}

/* 2^(e - 128) by doubling and halving. */
static float mx_value(const uint8_t *block, unsigned j)
{
    unsigned nibble = nibble_of(block + 1, j);
    float scale = 1.0f;
    for (int e = block[0] - 128; e != 0; e += e < 0 ? 1 : -1) {
        scale = e < 0 ? scale / 2.0f : scale * 2.0f;
    }
    int level = nibble < 8 ? e2m1[nibble] : 0 - e2m1[nibble - 8];
    return scale * (float)level;
}

static float value_at(enum tm_dtype dtype, const uint8_t *block, unsigned j)
{
    return dtype == TM_IQ4_XS  ? xs_value(block, j)
           : dtype == TM_MXFP4 ? mx_value(block, j)
                               : half_at(block) * (float)iq4[nibble_of(block + 2, j)];
}

static const enum tm_dtype dtypes[] = {TM_IQ4_NL, TM_IQ4_XS, TM_MXFP4};

START_TEST(decodes_by_layout)
{
    enum tm_dtype dtype = dtypes[_i];
    size_t block_bytes = tm_dtype_block_bytes(dtype);
    unsigned values = tm_dtype_block_elements(dtype);
    uint8_t bytes[1 + BLOCKS * BLOCK_BYTES_MAX];
    float got[VALUES_MAX + 1];
    uint32_t state = 7;
    for (unsigned round = 0; round < 300; round++) {
        uint8_t *src = bytes + round % 2;
        for (size_t i = 0; i < sizeof bytes; i++) {
            state = state * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(state >> 24);
        }
        for (unsigned b = 0; b < BLOCKS && dtype != TM_MXFP4; b++) {
            src[b * block_bytes + 1] &= 0xbf; /* a finite scale */
        }
        got[BLOCKS * values] = 7.0f;
        ck_assert_int_eq(tm_convert_to_f32(dtype, src, BLOCKS * values, got), TM_OK);
        for (unsigned i = 0; i < BLOCKS * values; i++) {
            float want = value_at(dtype, src + i / values * block_bytes, i % values);
            ck_assert_msg(tm_f32_bits(got[i]) == tm_f32_bits(want), "round %u value %u: %a, %a",
                          round, i, (double)got[i], (double)want);
        }
        ck_assert(got[BLOCKS * values] == 7.0f);
    }
}
END_TEST

START_TEST(decodes_known_blocks)
{
    float got[256];
    uint8_t nl[18] = {0x00, 0x38, 0xf0, [17] = 0x78}; /* d 1/2 */
    ck_assert_int_eq(tm_convert_to_f32(TM_IQ4_NL, nl, 32, got), TM_OK);
    ck_assert(got[0] == -63.5f && got[16] == 56.5f && got[15] == 0.5f && got[31] == -5.0f);
    uint8_t xs[136] = {0x00, 0x3c, 0x03, 0x40, 0x02, [7] = 0x10, [8] = 0x08, [135] = 0x90};
    ck_assert_int_eq(tm_convert_to_f32(TM_IQ4_XS, xs, 256, got), TM_OK);
    ck_assert(got[0] == 18.0f && got[1] == 18.0f * -127.0f);            /* 2 + 48 - 32 */
    ck_assert(got[255] == -15.0f * 13.0f && got[32] == 32.0f * 127.0f); /* 1 + 16 - 32 */
    uint8_t mx[17] = {128, 0xf7, 0x91};
    ck_assert_int_eq(tm_convert_to_f32(TM_MXFP4, mx, 32, got), TM_OK);
    ck_assert(got[0] == 12.0f && got[16] == -12.0f && got[1] == 1.0f && got[17] == -1.0f);
    mx[0] = 0; /* 2^-127 for the code of 1 */
    ck_assert_int_eq(tm_convert_to_f32(TM_MXFP4, mx, 32, got), TM_OK);
    ck_assert(got[1] == 0x1p-128f && got[0] == 0x1.8p-125f);
}
END_TEST

START_TEST(wants_whole_blocks)
{
    uint8_t bytes[136] = {0};
    float got[256];
    ck_assert_int_eq(tm_convert_to_f32(TM_IQ4_XS, bytes, 128, got), TM_E_USAGE);
    ck_assert_int_eq(tm_convert_to_f32(TM_IQ4_NL, bytes, 31, got), TM_E_USAGE);
    ck_assert_int_eq(tm_convert_from_f32(TM_IQ4_NL, got, 32, bytes), TM_E_USAGE);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("convert_codebook");
    TCase *decode = tcase_create("decode");
    tcase_add_loop_test(decode, decodes_by_layout, 0, 3);
    tcase_add_test(decode, decodes_known_blocks);
    tcase_add_test(decode, wants_whole_blocks);
    suite_add_tcase(suite, decode);
    return suite;
}
