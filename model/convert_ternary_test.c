/* SPDX-License-Identifier: Apache-2.0 */
#include "model/convert_blocks.h"

#include <string.h>

#include "model/convert.h"
#include "tests/support/suite.h"

enum { BLOCK = 256 };

/* A byte of TQ1_0 as ggml makes it: digits in base 3, first one first, as a fraction of 256 that is
 * rounded up. */
static uint8_t pack_digits(const uint8_t *digits, unsigned count)
{
    static const unsigned weights[] = {81, 27, 9, 3, 1};
    unsigned value = 0;
    for (unsigned n = 0; n < count; n++) {
        value += digits[n] * weights[n];
    }
    return (uint8_t)((value * 256 + 242) / 243);
}

/* Values 0..159 in 32 bytes, 160..239 in 16, 240..255 in 4; byte j has every count-th value. */
static void pack_tq1(const uint8_t *digits, uint8_t *block)
{
    static const struct {
        unsigned first, bytes, digits;
    } parts[] = {{0, 32, 5}, {160, 16, 5}, {240, 4, 4}};
    for (unsigned p = 0; p < 3; p++) {
        for (unsigned j = 0; j < parts[p].bytes; j++) {
            uint8_t own[5];
            for (unsigned n = 0; n < parts[p].digits; n++) {
                own[n] = digits[parts[p].first + n * parts[p].bytes + j];
            }
            *block++ = pack_digits(own, parts[p].digits);
        }
    }
}

static void pack_tq2(const uint8_t *digits, uint8_t *block)
{
    memset(block, 0, 64);
    for (unsigned i = 0; i < BLOCK; i++) {
        block[i / 128 * 32 + i % 32] |= (uint8_t)(digits[i] << i % 128 / 32 * 2);
    }
}

START_TEST(gives_back_what_was_packed)
{
    enum tm_dtype dtype = _i == 0 ? TM_TQ1_0 : TM_TQ2_0;
    size_t bytes = tm_dtype_block_bytes(dtype);
    uint32_t state = 5;
    for (unsigned round = 0; round < 200; round++) {
        uint8_t digits[BLOCK], block[66];
        float got[BLOCK + 1];
        for (unsigned i = 0; i < BLOCK; i++) {
            state = state * 1664525u + 1013904223u;
            digits[i] = (uint8_t)((state >> 16) % 3);
        }
        (_i == 0 ? pack_tq1 : pack_tq2)(digits, block);
        tm_set_u16(block + bytes - 2, tm_f32_to_f16(0.25f));
        got[BLOCK] = 7.0f;
        ck_assert_int_eq(tm_convert_to_f32(dtype, block, BLOCK, got), TM_OK);
        for (unsigned i = 0; i < BLOCK; i++) {
            ck_assert_msg(got[i] == 0.25f * (float)(digits[i] - 1), "round %u value %u", round, i);
        }
        ck_assert(got[BLOCK] == 7.0f);
    }
}
END_TEST

/* Bytes that no encoder makes still have values: the digit is all that counts. */
START_TEST(every_byte_has_values)
{
    uint8_t block[54];
    float got[BLOCK];
    memset(block, 0xff, sizeof block);
    tm_set_u16(block + 52, tm_f32_to_f16(1.0f));
    ck_assert_int_eq(tm_convert_to_f32(TM_TQ1_0, block, BLOCK, got), TM_OK);
    for (unsigned i = 0; i < BLOCK; i++) {
        ck_assert(got[i] == 1.0f);
    }
    uint8_t twos[66];
    memset(twos, 0xff, sizeof twos);
    tm_set_u16(twos + 64, tm_f32_to_f16(1.0f));
    ck_assert_int_eq(tm_convert_to_f32(TM_TQ2_0, twos, BLOCK, got), TM_OK);
    ck_assert(got[0] == 2.0f && got[255] == 2.0f);
    ck_assert_int_eq(tm_convert_to_f32(TM_TQ2_0, twos, 255, got), TM_E_USAGE);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("convert_ternary");
    TCase *decode = tcase_create("decode");
    tcase_add_loop_test(decode, gives_back_what_was_packed, 0, 2);
    tcase_add_test(decode, every_byte_has_values);
    suite_add_tcase(suite, decode);
    return suite;
}
