/* SPDX-License-Identifier: Apache-2.0
 * Kernel of dot.h: the eight lanes in one register. Several rows and vectors at a time hide the
 * latency of the one fma that a lane waits for. */
#include "model/pass/dot.h"

#include <immintrin.h>

#include "base/bytes.h"
#include "model/convert.h"

/* Columns that are done at a time. */
#define STEP 32
/* Bytes ahead of what is worked on that are asked for: the hardware does not see that short rows
 * follow each other. */
#define AHEAD 1024
#define AHEAD_MAX 16384

#define INLINE static inline __attribute__((always_inline))

/* Eight weights of a row as float32, from number base + at on: at is below the reader's block, a
 * multiple of 8 and known when it is compiled. */
typedef __m256 (*load_fn)(const uint8_t *row, size_t base, size_t at);

struct reader {
    load_fn load;
    size_t block; /* weights that are read together; base is a multiple of it */
    size_t bytes; /* that they take, about: for what is asked for ahead */
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

/* Broadcast first: the load does it, and one instruction less goes through the port that the
 * conversions need. */
INLINE __m256 half_at(const uint8_t *bytes)
{
    return _mm256_cvtph_ps(_mm_set1_epi16((short)tm_get_u16(bytes)));
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

/* The layout of convert_k.c; base is a multiple of 32, a quarter of half a block. Its 32 codes are
 * put together as bytes, once for the four calls that want them. */
INLINE __m256 load_q6_k(const uint8_t *row, size_t base, size_t at)
{
    const uint8_t *block = row + base / 256 * 210;
    size_t half = base / 128 % 2, quarter = base / 32 % 4;
    const uint8_t *lows = block + 64 * half + 32 * (quarter % 2);
    const uint8_t *highs = block + 128 + 32 * half;
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)lows);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)highs);
    low = _mm256_srl_epi16(low, _mm_cvtsi32_si128((int)(quarter / 2 * 4)));
    high = _mm256_srl_epi16(high, _mm_cvtsi32_si128((int)(quarter * 2)));
    low = _mm256_and_si256(low, _mm256_set1_epi8(15));
    high = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(3)), 4);
    __m256i q = _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
    __m128i sixteen = at < 16 ? _mm256_castsi256_si128(q) : _mm256_extracti128_si256(q, 1);
    __m128i eight = at % 16 == 0 ? sixteen : _mm_unpackhi_epi64(sixteen, sixteen);
    __m256i scale = _mm256_set1_epi32((int8_t)block[192 + 8 * half + 2 * quarter + at / 16]);
    return _mm256_mul_ps(_mm256_mul_ps(half_at(block + 208), _mm256_cvtepi32_ps(scale)),
                         _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
}

/* ((0+1)+(2+3))+((4+5)+(6+7))+0 of each. */
INLINE __m128 pairwise(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 fours = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    __m128 sums = _mm_add_ps(_mm256_castps256_ps128(fours), _mm256_extractf128_ps(fours, 1));
    return _mm_add_ps(sums, _mm_setzero_ps());
}

/* The sums of `rows` rows with vector number `vector`, which lie `step` apart. */
INLINE void put(const struct tm_dot *dot, size_t row, size_t vector, size_t rows, const __m256 *sum,
                size_t step)
{
    float *y = dot->y + vector * dot->y_stride + row;
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        _mm_storeu_ps(y + r, pairwise(sum[r * step], sum[(r + 1) * step], sum[(r + 2) * step],
                                      sum[(r + 3) * step]));
    }
    for (; r < rows; r++) {
        __m256 one = sum[r * step];
        y[r] = _mm_cvtss_f32(pairwise(one, one, one, one));
    }
}

/* `columns` columns of a tile from number `base` on. A row's part is done before the next row's:
 * its scale takes one register then, and not one for each row. */
INLINE void some_columns(const struct tm_dot *dot, const uint8_t *w, const float *x, size_t rows,
                         size_t base, size_t columns, struct reader reader, __m256 *sum)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t at = 0; at < columns; at += 8) {
            __m256 weights = reader.load(w + r * dot->w_stride, base, at);
            sum[r] = _mm256_fmadd_ps(weights, _mm256_loadu_ps(x + base + at), sum[r]);
        }
    }
}

/* `rows` rows (a constant) from number `row` on times one vector: waits for memory. */
INLINE void narrow(const struct tm_dot *dot, size_t row, size_t vector, size_t rows,
                   struct reader reader)
{
    const uint8_t *w = dot->w + row * dot->w_stride;
    const float *x = dot->x + vector * dot->x_stride;
    /* Where the rows of the next tile are; of long rows what comes next of them. */
    size_t ahead = rows * dot->w_stride <= AHEAD_MAX ? rows * dot->w_stride : AHEAD;
    size_t base = 0, step_bytes = STEP / reader.block * reader.bytes;
    __m256 sum[8];
    for (size_t r = 0; r < rows; r++) {
        sum[r] = _mm256_setzero_ps();
    }
    for (; base + STEP <= dot->cols; base += STEP) {
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *next = w + r * dot->w_stride + base / STEP * step_bytes + ahead;
            for (size_t at = 0; at < step_bytes; at += 64) {
                _mm_prefetch((const char *)next + at, _MM_HINT_T0);
            }
        }
        some_columns(dot, w, x, rows, base, STEP, reader, sum);
    }
    for (; base < dot->cols; base += reader.block) {
        some_columns(dot, w, x, rows, base, reader.block, reader, sum);
    }
    put(dot, row, vector, rows, sum, 1);
}

/* The same times `vectors` vectors (a constant): waits for arithmetic. */
INLINE void wide(const struct tm_dot *dot, size_t row, size_t vector, size_t rows, size_t vectors,
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
            __m256 part[3];
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
    for (size_t v = 0; v < vectors; v++) {
        put(dot, row, vector + v, rows, sum + v, vectors);
    }
}

/* All rows times one vector. */
INLINE void one_vector(const struct tm_dot *dot, size_t vector, struct reader reader)
{
    size_t row = 0;
    for (; row + 8 <= dot->rows; row += 8) {
        narrow(dot, row, vector, 8, reader);
    }
    for (; row + 4 <= dot->rows; row += 4) {
        narrow(dot, row, vector, 4, reader);
    }
    for (; row < dot->rows; row++) {
        narrow(dot, row, vector, 1, reader);
    }
}

INLINE void all_vectors(const struct tm_dot *dot, struct reader reader)
{
    size_t vector = 0;
    for (; vector + 3 <= dot->vectors; vector += 3) {
        size_t row = 0;
        for (; row + 4 <= dot->rows; row += 4) {
            wide(dot, row, vector, 4, 3, reader);
        }
        for (; row < dot->rows; row++) {
            wide(dot, row, vector, 1, 3, reader);
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
        all_vectors(dot, (struct reader){load_f32, 8, 32});
        break;
    case TM_F16:
        all_vectors(dot, (struct reader){load_f16, 8, 16});
        break;
    case TM_BF16:
        all_vectors(dot, (struct reader){load_bf16, 8, 16});
        break;
    case TM_Q8_0:
        all_vectors(dot, (struct reader){load_q8_0, 32, 34});
        break;
    case TM_Q4_0:
        all_vectors(dot, (struct reader){load_q4_0, 32, 18});
        break;
    case TM_Q6_K:
        all_vectors(dot, (struct reader){load_q6_k, 32, 26});
        break;
    default:
        TM_ASSERT(dot->dtype == TM_Q4_1);
        all_vectors(dot, (struct reader){load_q4_1, 32, 20});
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
        unpack(w, elements, (struct reader){load_f32, 8, 32}, out);
        break;
    case TM_F16:
        unpack(w, elements, (struct reader){load_f16, 8, 16}, out);
        break;
    case TM_BF16:
        unpack(w, elements, (struct reader){load_bf16, 8, 16}, out);
        break;
    case TM_Q8_0:
        unpack(w, elements, (struct reader){load_q8_0, 32, 34}, out);
        break;
    case TM_Q4_0:
        unpack(w, elements, (struct reader){load_q4_0, 32, 18}, out);
        break;
    case TM_Q6_K:
        unpack(w, elements, (struct reader){load_q6_k, 32, 26}, out);
        break;
    default:
        TM_ASSERT(dtype == TM_Q4_1);
        unpack(w, elements, (struct reader){load_q4_1, 32, 20}, out);
    }
}
