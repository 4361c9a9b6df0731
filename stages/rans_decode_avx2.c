/* SPDX-License-Identifier: Apache-2.0
 * Kernel of rans_decode.h: four vectors of eight states. Lanes that need a word take the next ones
 * in lane order, so the word stream is the scalar one. */
#include "stages/rans_decode.h"

#include <immintrin.h>

/* For a mask of lanes: entry i is how many lanes below i are in the mask, i.e. which of the next
 * eight words lane i takes. */
#define BELOW(m, i) (uint64_t) __builtin_popcount((m) & ((1 << (i)) - 1)) << (8 * (i))
#define SPREAD(m)                                                                                  \
    (BELOW(m, 0) | BELOW(m, 1) | BELOW(m, 2) | BELOW(m, 3) | BELOW(m, 4) | BELOW(m, 5) |           \
     BELOW(m, 6) | BELOW(m, 7))
#define SPREAD4(m) SPREAD(m), SPREAD((m) + 1), SPREAD((m) + 2), SPREAD((m) + 3)
#define SPREAD16(m) SPREAD4(m), SPREAD4((m) + 4), SPREAD4((m) + 8), SPREAD4((m) + 12)
#define SPREAD64(m) SPREAD16(m), SPREAD16((m) + 16), SPREAD16((m) + 32), SPREAD16((m) + 48)
static const uint64_t spread[256] = {SPREAD64(0), SPREAD64(64), SPREAD64(128), SPREAD64(192)};

/* One step of eight lanes; returns the slot entries, whose low bytes are the symbols. */
static inline __m256i step(__m256i *state, const uint32_t *slots, const uint8_t **words)
{
    const __m256i total_mask = _mm256_set1_epi32(TM_RANS_TOTAL - 1);
    __m256i x = *state;
    __m256i slot = _mm256_i32gather_epi32((const int *)slots, _mm256_and_si256(x, total_mask), 4);
    __m256i freq = _mm256_srli_epi32(slot, 20);
    __m256i bias = _mm256_and_si256(_mm256_srli_epi32(slot, 8), total_mask);
    x = _mm256_add_epi32(_mm256_mullo_epi32(freq, _mm256_srli_epi32(x, TM_RANS_BITS)), bias);

    __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
    __m256i next = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)*words));
    __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&spread[mask]));
    next = _mm256_permutevar8x32_epi32(next, order);
    __m256i renewed = _mm256_or_si256(_mm256_slli_epi32(x, 16), next);
    *state = _mm256_blendv_epi8(x, renewed, low);
    *words += 2 * (size_t)_mm_popcnt_u32(mask);
    return slot;
}

bool tm_rans_read_avx2(struct tm_rans_reader *r, uint8_t *out, size_t count)
{
    const __m256i byte = _mm256_set1_epi32(0xff);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i s0 = _mm256_loadu_si256((const __m256i *)&r->state[0]);
    __m256i s1 = _mm256_loadu_si256((const __m256i *)&r->state[8]);
    __m256i s2 = _mm256_loadu_si256((const __m256i *)&r->state[16]);
    __m256i s3 = _mm256_loadu_si256((const __m256i *)&r->state[24]);
    const uint8_t *words = r->words, *end = r->words + 2 * r->words_left;
    size_t i = 0;
    /* A round takes at most 32 words and each load of eight lies within them. */
    for (; count - i >= TM_RANS_LANES && (size_t)(end - words) >= 2 * TM_RANS_LANES;
         i += TM_RANS_LANES) {
        __m256i a = _mm256_and_si256(step(&s0, r->slots, &words), byte);
        __m256i b = _mm256_and_si256(step(&s1, r->slots, &words), byte);
        __m256i c = _mm256_and_si256(step(&s2, r->slots, &words), byte);
        __m256i d = _mm256_and_si256(step(&s3, r->slots, &words), byte);
        __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
        packed = _mm256_permutevar8x32_epi32(packed, order);
        _mm256_storeu_si256((__m256i *)(out + i), packed);
    }
    _mm256_storeu_si256((__m256i *)&r->state[0], s0);
    _mm256_storeu_si256((__m256i *)&r->state[8], s1);
    _mm256_storeu_si256((__m256i *)&r->state[16], s2);
    _mm256_storeu_si256((__m256i *)&r->state[24], s3);
    r->words_left -= (size_t)(words - r->words) / 2;
    r->words = words;
    return tm_rans_read_ref(r, out + i, count - i);
}
