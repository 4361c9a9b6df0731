/* SPDX-License-Identifier: Apache-2.0
 * Kernel of rans_decode.h: eight vectors of four states. Lanes that need a word take the next ones
 * in lane order, so the word stream is the scalar one. */
#include "stages/rans_decode.h"

#include <arm_neon.h>

#define VECTORS (TM_RANS_LANES / 4)

/* For a mask of lanes: which of the next four words lane i takes, as the bytes of a table lookup;
 * 255 gives zero, the upper half of a lane. */
#define BELOW(m, i) __builtin_popcount((m) & ((1 << (i)) - 1))
#define LANE(m, i) 2 * BELOW(m, i), 2 * BELOW(m, i) + 1, 255, 255
#define ORDER(m)                                                                                   \
    {                                                                                              \
        LANE(m, 0), LANE(m, 1), LANE(m, 2), LANE(m, 3)                                             \
    }
#define ORDER4(m) ORDER(m), ORDER((m) + 1), ORDER((m) + 2), ORDER((m) + 3)
static const uint8_t orders[16][16] = {ORDER4(0), ORDER4(4), ORDER4(8), ORDER4(12)};

/* One step of four lanes; returns the slot entries, whose low bytes are the symbols. */
static inline uint32x4_t step(uint32x4_t *state, const uint32_t *slots, const uint8_t **words)
{
    static const uint32_t lane_bits[4] = {1, 2, 4, 8};
    const uint32x4_t total_mask = vdupq_n_u32(TM_RANS_TOTAL - 1);
    uint32x4_t x = *state;
    uint32_t at[4];
    vst1q_u32(at, vandq_u32(x, total_mask));
    const uint32_t found[4] = {slots[at[0]], slots[at[1]], slots[at[2]], slots[at[3]]};
    uint32x4_t slot = vld1q_u32(found);
    uint32x4_t freq = vshrq_n_u32(slot, 20);
    uint32x4_t bias = vandq_u32(vshrq_n_u32(slot, 8), total_mask);
    x = vmlaq_u32(bias, freq, vshrq_n_u32(x, TM_RANS_BITS));

    uint32x4_t low = vcltq_u32(x, vdupq_n_u32(TM_RANS_LOW));
    uint32_t mask = vaddvq_u32(vandq_u32(low, vld1q_u32(lane_bits)));
    uint8x8_t next = vld1_u8(*words);
    uint8x16_t word = vqtbl1q_u8(vcombine_u8(next, next), vld1q_u8(orders[mask]));
    uint32x4_t renewed = vorrq_u32(vshlq_n_u32(x, 16), vreinterpretq_u32_u8(word));
    *state = vbslq_u32(low, renewed, x);
    *words += 2 * (size_t)__builtin_popcount(mask);
    return slot;
}

bool tm_rans_read_neon(struct tm_rans_reader *r, uint8_t *out, size_t count)
{
    uint32x4_t states[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        states[v] = vld1q_u32(&r->state[4 * v]);
    }
    const uint8_t *words = r->words, *end = r->words + 2 * r->words_left;
    size_t i = 0;
    /* A round takes at most 32 words and each load of four lies within them. */
    for (; count - i >= TM_RANS_LANES && (size_t)(end - words) >= 2 * TM_RANS_LANES;
         i += TM_RANS_LANES) {
        for (int v = 0; v < VECTORS; v += 2) {
            uint16x4_t a = vmovn_u32(step(&states[v], r->slots, &words));
            uint16x4_t b = vmovn_u32(step(&states[v + 1], r->slots, &words));
            vst1_u8(out + i + 4 * v, vmovn_u16(vcombine_u16(a, b)));
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        vst1q_u32(&r->state[4 * v], states[v]);
    }
    r->words_left -= (size_t)(words - r->words) / 2;
    r->words = words;
    return tm_rans_read_ref(r, out + i, count - i);
}
