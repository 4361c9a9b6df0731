/* SPDX-License-Identifier: Apache-2.0
 * Kernel of dot.h: the eight lanes in one register. Several rows and vectors at a time hide the
 * latency of the one fma that a lane waits for. */
#include "model/pass/dot.h"

#include <immintrin.h>

#include "base/bytes.h"
#include "model/convert.h"

#define INLINE static inline __attribute__((always_inline))

/* Eight weights of a row as float32, from number base + at on: at is below the block, a multiple of
 * 8 and known when it is compiled. */
typedef __m256 (*load_fn)(const uint8_t *row, size_t base, size_t at);

struct reader {
    load_fn load;
    size_t block;
};

INLINE __m256 load_f32(const uint8_t *row, size_t base, size_t at)
{
    return _mm256_loadu_ps((const float *)(const void *)(row + (base + at) * 4));
}

INLINE __m256 load_f16(const uint8_t *row, size_t base, size_t at)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(row + (base + at) * 2)));
}

INLINE __m256 load_bf16(const uint8_t *row, size_t base, size_t at)
{
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(row + (base + at) * 2));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

INLINE __m256 half_at(const uint8_t *bytes)
{
    return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(tm_get_u16(bytes))));
}

INLINE __m256 load_q8_0(const uint8_t *row, size_t base, size_t at)
{
    const uint8_t *block = row + base / 32 * 34;
    __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(block + 2 + at));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), half_at(block));
}

/* Nibbles of 32 weights: the first 16 are the low ones of the 16 bytes. */
INLINE __m256i nibbles(const uint8_t *codes, size_t at)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(codes + at % 16));
    __m256i wide = _mm256_cvtepu8_epi32(bytes);
    return at < 16 ? _mm256_and_si256(wide, _mm256_set1_epi32(15)) : _mm256_srli_epi32(wide, 4);
}

INLINE __m256 load_q4_0(const uint8_t *row, size_t base, size_t at)
{
    const uint8_t *block = row + base / 32 * 18;
    __m256i q = _mm256_sub_epi32(nibbles(block + 2, at), _mm256_set1_epi32(8));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(q), half_at(block));
}

INLINE __m256 load_q4_1(const uint8_t *row, size_t base, size_t at)
{
    const uint8_t *block = row + base / 32 * 20;
    __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(nibbles(block + 4, at)), half_at(block));
    return _mm256_add_ps(product, half_at(block + 2));
}

/* ((0+1)+(2+3))+((4+5)+(6+7))+0 */
INLINE float pairwise(__m256 v)
{
    __m256 pairs = _mm256_hadd_ps(v, v);
    __m256 fours = _mm256_hadd_ps(pairs, pairs);
    __m128 sum = _mm_add_ss(_mm256_castps256_ps128(fours), _mm256_extractf128_ps(fours, 1));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_setzero_ps()));
}

/* `rows` rows (a constant) from number `row` on times `vectors` vectors (a constant). */
INLINE void tile(const struct tm_dot *dot, size_t row, size_t vector, size_t rows, size_t vectors,
                 struct reader reader)
{
    const uint8_t *w = dot->w + row * dot->w_stride;
    const float *x = dot->x + vector * dot->x_stride;
    __m256 sum[12];
    for (size_t i = 0; i < rows * vectors; i++) {
        sum[i] = _mm256_setzero_ps();
    }
    for (size_t base = 0; base < dot->cols; base += reader.block) {
        for (size_t at = 0; at < reader.block; at += 8) {
            __m256 part[4];
            for (size_t v = 0; v < vectors; v++) {
                part[v] = _mm256_loadu_ps(x + v * dot->x_stride + base + at);
            }
            for (size_t r = 0; r < rows; r++) {
                __m256 weights = reader.load(w + r * dot->w_stride, base, at);
                for (size_t v = 0; v < vectors; v++) {
                    sum[r * vectors + v] = _mm256_fmadd_ps(weights, part[v], sum[r * vectors + v]);
                }
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) {
            dot->y[(vector + v) * dot->y_stride + row + r] = pairwise(sum[r * vectors + v]);
        }
    }
}

/* All rows times one vector. */
INLINE void one_vector(const struct tm_dot *dot, size_t vector, struct reader reader)
{
    size_t row = 0;
    for (; row + 8 <= dot->rows; row += 8) {
        tile(dot, row, vector, 8, 1, reader);
    }
    for (; row + 4 <= dot->rows; row += 4) {
        tile(dot, row, vector, 4, 1, reader);
    }
    for (; row < dot->rows; row++) {
        tile(dot, row, vector, 1, 1, reader);
    }
}

INLINE void all_vectors(const struct tm_dot *dot, struct reader reader)
{
    size_t vector = 0;
    for (; vector + 3 <= dot->vectors; vector += 3) {
        size_t row = 0;
        for (; row + 4 <= dot->rows; row += 4) {
            tile(dot, row, vector, 4, 3, reader);
        }
        for (; row < dot->rows; row++) {
            tile(dot, row, vector, 1, 3, reader);
        }
    }
    for (; vector < dot->vectors; vector++) {
        one_vector(dot, vector, reader);
    }
}

void tm_dot_avx2(const struct tm_dot *dot)
{
    switch (dot->dtype) {
    case TM_F32:
        all_vectors(dot, (struct reader){load_f32, 8});
        break;
    case TM_F16:
        all_vectors(dot, (struct reader){load_f16, 8});
        break;
    case TM_BF16:
        all_vectors(dot, (struct reader){load_bf16, 8});
        break;
    case TM_Q8_0:
        all_vectors(dot, (struct reader){load_q8_0, 32});
        break;
    case TM_Q4_0:
        all_vectors(dot, (struct reader){load_q4_0, 32});
        break;
    default:
        TM_ASSERT(dot->dtype == TM_Q4_1);
        all_vectors(dot, (struct reader){load_q4_1, 32});
    }
}

INLINE void unpack(const uint8_t *w, size_t elements, struct reader reader, float *out)
{
    for (size_t base = 0; base < elements; base += reader.block) {
        for (size_t at = 0; at < reader.block; at += 8) {
            _mm256_storeu_ps(out + base + at, reader.load(w, base, at));
        }
    }
}

void tm_unpack_avx2(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out)
{
    switch (dtype) {
    case TM_F32:
        unpack(w, elements, (struct reader){load_f32, 8}, out);
        break;
    case TM_F16:
        unpack(w, elements, (struct reader){load_f16, 8}, out);
        break;
    case TM_BF16:
        unpack(w, elements, (struct reader){load_bf16, 8}, out);
        break;
    case TM_Q8_0:
        unpack(w, elements, (struct reader){load_q8_0, 32}, out);
        break;
    case TM_Q4_0:
        unpack(w, elements, (struct reader){load_q4_0, 32}, out);
        break;
    default:
        TM_ASSERT(dtype == TM_Q4_1);
        unpack(w, elements, (struct reader){load_q4_1, 32}, out);
    }
}
