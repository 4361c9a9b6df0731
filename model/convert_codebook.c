/* SPDX-License-Identifier: Apache-2.0
 * IQ4_NL, IQ4_XS and MXFP4: a 4-bit code is the index of a value in a table of sixteen. Value
 * j < 16 of a run of 32 is the low nibble of byte j, value 16 + j the high one.
 *
 *   IQ4_NL  d nibbles[16]                            d * level[q]
 *   IQ4_XS  d high (u16) low[4] nibbles[128]         d * scale * level[q]     (8 groups of 32)
 *   MXFP4   e nibbles[16]                            2^(e - 128) * twice the E2M1 value of q
 *
 * The scale of IQ4_XS has 6 bits, less 32: group g has the low four in nibble g of `low` and the
 * other two in bits 2g, 2g + 1 of `high`. E8M0 and E2M1: OCP Microscaling Formats (MX) 1.0. */
#include "model/convert_blocks.h"

enum { RUN = 32, HALF = RUN / 2, GROUPS = 8 };

/* The sixteen levels of the IQ4 types (kvalues_iq4nl of ggml-common.h). */
static const float iq4_levels[16] = {-127.0f, -104.0f, -83.0f, -65.0f, -49.0f, -35.0f,
                                     -22.0f,  -10.0f,  1.0f,   13.0f,  25.0f,  38.0f,
                                     53.0f,   69.0f,   89.0f,  113.0f};

/* E2M1 values doubled, so that all are whole; the second zero is a plus too, as ggml has it. */
static const float e2m1_levels[16] = {0.0f, 1.0f,  2.0f,  3.0f,  4.0f,  6.0f,  8.0f,  12.0f,
                                      0.0f, -1.0f, -2.0f, -3.0f, -4.0f, -6.0f, -8.0f, -12.0f};

static inline void decode_run(const uint8_t *restrict nibbles, const float *levels, float scale,
                              float *restrict dst)
{
    for (unsigned j = 0; j < HALF; j++) {
        dst[j] = scale * levels[nibbles[j] & 15];
        dst[HALF + j] = scale * levels[nibbles[j] >> 4];
    }
}

void tm_iq4_nl_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 18, dst += RUN) {
        decode_run(src + 2, iq4_levels, tm_half_widen(tm_get_u16(src)), dst);
    }
}

void tm_iq4_xs_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 136) {
        float d = tm_half_widen(tm_get_u16(src));
        unsigned high = tm_get_u16(src + 2);
        const uint8_t *low = src + 4;
        const uint8_t *nibbles = low + GROUPS / 2;
        for (unsigned group = 0; group < GROUPS; group++, dst += RUN) {
            unsigned scale = (low[group / 2] >> group % 2 * 4 & 15u) | (high >> 2 * group & 3) << 4;
            decode_run(nibbles + HALF * group, iq4_levels, d * (float)((int)scale - 32), dst);
        }
    }
}

/* 2^(e - 128): half the E8M0 value, since the levels are doubled. Exact, subnormals included. */
static float half_of_e8m0(unsigned e)
{
    return tm_f32_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

void tm_mxfp4_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 17, dst += RUN) {
        decode_run(src + 1, e2m1_levels, half_of_e8m0(src[0]), dst);
    }
}
