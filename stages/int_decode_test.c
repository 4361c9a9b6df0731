/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/int_decode.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "model/convert.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

static struct tm_symbols symbols_of(const uint8_t *codes, size_t count, const uint16_t *scales,
                                    size_t groups)
{
    struct tm_symbols s;
    tm_symbols_init(&s);
    s.count = count;
    ck_assert_int_eq(tm_buf_put(&s.codes, codes, count), TM_OK);
    for (size_t i = 0; i < groups; i++) {
        ck_assert_int_eq(tm_buf_put_u16(&s.side, scales[i]), TM_OK);
    }
    return s;
}

START_TEST(known_values)
{
    /* Two rows of 34: a group of 32 and one of 2 each. Scales 1, 0.5, -2, 65504. */
    static const uint16_t scales[] = {0x3c00, 0x3800, 0xc000, 0x7bff};
    uint8_t codes[68];
    float out[68];
    memset(codes, 128, sizeof codes);
    codes[0] = 255;
    codes[31] = 0;
    codes[32] = 129;
    codes[34] = 127;
    codes[67] = 1;
    struct tm_symbols s = symbols_of(codes, 68, scales, 4);
    FOR_EACH_KERNEL(kernel)
    {
        tm_int_decode(&(struct tm_stage_params){8, 32, 0}, (struct tm_block_shape){2, 34}, &s, out);
        ck_assert(out[0] == 127.0f && out[31] == -128.0f && out[32] == 0.5f);
        ck_assert(out[34] == 2.0f && out[67] == -127.0f * 65504.0f);
        /* Zeros are +0, also under a negative scale. */
        ck_assert(tm_f32_bits(out[1]) == 0 && tm_f32_bits(out[35]) == 0);
    }
    tm_symbols_deinit(&s);
}
END_TEST

START_TEST(zero_scales_give_plus_zero)
{
    static const uint16_t scales[] = {0x0000, 0x8000};
    uint8_t codes[64];
    float out[64];
    for (size_t i = 0; i < 64; i++) {
        codes[i] = (uint8_t)(i % 16);
    }
    struct tm_symbols s = symbols_of(codes, 64, scales, 2);
    FOR_EACH_KERNEL(kernel)
    {
        tm_int_decode(&(struct tm_stage_params){4, 32, 0}, (struct tm_block_shape){1, 64}, &s, out);
        for (size_t i = 0; i < 64; i++) {
            ck_assert_uint_eq(tm_f32_bits(out[i]), 0);
        }
    }
    tm_symbols_deinit(&s);
}
END_TEST

/* A kernel by itself, the tails between its vectors included. */
START_TEST(kernels_agree)
{
    typedef void (*scale_fn)(const uint8_t *, size_t, int, float, float *);
    static const scale_fn kernels[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_int_scale);
    uint8_t codes[67];
    float ref[67], got[67];
    struct tm_rng rng;
    tm_rng_init(&rng, 5);
    for (int round = 0; round < 500; round++) {
        size_t n = tm_rng_below(&rng, 68);
        float scale = tm_f16_to_f32((uint16_t)(tm_rng_u64(&rng) & 0xfbff));
        tm_rng_fill(&rng, codes, sizeof codes);
        tm_int_scale_ref(codes, n, 128, scale, ref);
        FOR_EACH_KERNEL(kernel)
        {
            kernels[kernel](codes, n, 128, scale, got);
            ck_assert(n == 0 || memcmp(ref, got, n * sizeof *ref) == 0);
        }
    }
}
END_TEST

START_TEST(gguf_layout)
{
    static const uint16_t scales[] = {0x1234};
    uint8_t codes[32], out[34];
    for (size_t i = 0; i < 32; i++) {
        codes[i] = (uint8_t)(i / 2);
    }
    struct tm_symbols s = symbols_of(codes, 32, scales, 1);
    struct tm_block_shape shape = {1, 32};
    tm_int_to_gguf(&(struct tm_stage_params){4, 32, 0}, shape, &s, out);
    ck_assert_mem_eq(out, "\x34\x12\x80\x80\x91\x91", 6);
    ck_assert_uint_eq(out[17], 0xf7);
    tm_int_to_gguf(&(struct tm_stage_params){8, 32, 0}, shape, &s, out);
    ck_assert_mem_eq(out, "\x34\x12\x80\x80\x81\x81", 6);
    /* The layout is what the GGUF reader takes: same values. */
    float ours[32], theirs[32];
    tm_int_decode(&(struct tm_stage_params){8, 32, 0}, shape, &s, ours);
    ck_assert_int_eq(tm_convert_to_f32(TM_Q8_0, out, 32, theirs), TM_OK);
    ck_assert_mem_eq(ours, theirs, sizeof ours);
    tm_symbols_deinit(&s);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("int_decode");
    TCase *tc = tcase_create("int_decode");
    tcase_add_test(tc, known_values);
    tcase_add_test(tc, zero_scales_give_plus_zero);
    tcase_add_test(tc, kernels_agree);
    tcase_add_test(tc, gguf_layout);
    suite_add_tcase(suite, tc);
    return suite;
}
