/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/vectors_encode.h"

#include "base/bytes.h"
#include "base/mem.h"

static const struct tm_vector vectors[] = {
    {"int.1(bits=8,group=32) > rans.1", {16, 512}, TM_VECTOR_BELL, 1},
    {"int.1(bits=8,group=32) > rans.1", {7, 77}, TM_VECTOR_MIXED, 2},
    {"int.1(bits=8,group=32)", {5, 96}, TM_VECTOR_MIXED, 3},
    {"int.1(bits=4,group=32) > rans.1", {16, 512}, TM_VECTOR_BELL, 4},
    {"int.1(bits=4,group=32) > rans.1", {9, 129}, TM_VECTOR_MIXED, 5},
    {"int.1(bits=4,group=32)", {3, 45}, TM_VECTOR_MIXED, 6},
    {"int.1(bits=4,group=32) > rans.1", {4, 64}, TM_VECTOR_ZERO, 7},
    {"ternary.1(group=128) > rans.1", {16, 512}, TM_VECTOR_BELL, 8},
    {"ternary.1(group=64) > rans.1", {9, 131}, TM_VECTOR_MIXED, 9},
    {"ternary.1(group=32)", {8, 160}, TM_VECTOR_TERNARY, 10},
    {"ternary.1(group=1024)", {2, 1536}, TM_VECTOR_BELL, 11},
    {"ternary.1(group=128) > rans.1", {4, 64}, TM_VECTOR_ZERO, 12},
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

size_t tm_vector_count(void)
{
    return VECTORS;
}

const struct tm_vector *tm_vector_at(size_t index)
{
    TM_ASSERT(index < VECTORS);
    return &vectors[index];
}

const char *tm_vector_kind_name(enum tm_vector_kind kind)
{
    static const char *const names[] = {"bell", "mixed", "ternary", "zero"};
    return names[kind];
}

/* ---- inputs ---- */

/* splitmix64 (G. Steele and others, 2014). */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The sum of eight 16-bit numbers around 0, times 2^-18: exact in float32. */
static float bell(uint64_t *state)
{
    uint64_t a = next(state), b = next(state);
    int32_t sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (int32_t)(a >> (16 * i) & 0xffff) + (int32_t)(b >> (16 * i) & 0xffff) - 65535;
    }
    return (float)sum * 0x1p-18f;
}

static float fill_one(enum tm_vector_kind kind, uint64_t *state, uint32_t row, uint32_t col)
{
    switch (kind) {
    case TM_VECTOR_BELL:
        return bell(state);
    case TM_VECTOR_MIXED: {
        float x = bell(state) / (float)(1u << (row % 7));
        bool zero_group = (row + col / 32) % 5 == 4;
        return zero_group ? 0.0f : next(state) % 61 == 0 ? x * 16.0f : x;
    }
    case TM_VECTOR_TERNARY: {
        unsigned group = 1 + col / 32;
        return (float)((int)(next(state) % 3) - 1) * (float)group * 0x1p-6f;
    }
    case TM_VECTOR_ZERO:
        return next(state) % 2 == 0 ? 0.0f : -0.0f;
    }
    return 0.0f;
}

void tm_vector_fill(const struct tm_vector *vector, float *values)
{
    uint64_t state = vector->seed;
    for (uint32_t row = 0; row < vector->shape.rows; row++) {
        for (uint32_t col = 0; col < vector->shape.cols; col++) {
            *values++ = fill_one(vector->kind, &state, row, col);
        }
    }
}

/* ---- digests ---- */

static void hash_floats(struct tm_hash *hash, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[4];
        tm_set_u32(bytes, tm_f32_bits(values[i]));
        tm_hash_update(hash, bytes, sizeof bytes);
    }
}

static void hash_f64(struct tm_hash *hash, double value)
{
    uint8_t bytes[8];
    tm_set_u64(bytes, tm_f64_bits(value));
    tm_hash_update(hash, bytes, sizeof bytes);
}

/* Encodes source, decodes into decoded and hashes all. */
static tm_status run_vector(const struct tm_vector *vector, float *source, float *decoded,
                            struct tm_hash *hash, struct tm_err *err)
{
    struct tm_pipeline pipeline;
    struct tm_block_error error;
    struct tm_buf out;
    size_t count = (size_t)vector->shape.rows * vector->shape.cols;
    TM_TRY(tm_pipeline_parse(tm_view_str(vector->pipeline), &pipeline, err));
    tm_vector_fill(vector, source);
    tm_buf_init(&out, tm_pipeline_bound(&pipeline, vector->shape));
    tm_status status = tm_pipeline_encode(&pipeline, vector->shape, source, &out, err);
    if (status == TM_OK) {
        status = tm_pipeline_decode(&pipeline, vector->shape, tm_buf_view(&out),
                                    TM_DECODE_CANONICAL, decoded, err);
    }
    if (status == TM_OK) {
        tm_block_measure(source, decoded, count, &error);
        tm_hash_update(hash, out.data, out.bytes);
        hash_floats(hash, decoded, count);
        hash_f64(hash, error.squared_error);
        hash_f64(hash, error.squared_norm);
        hash_f64(hash, error.max_abs);
    }
    tm_buf_deinit(&out);
    return status;
}

tm_status tm_vector_digest(const struct tm_vector *vector, struct tm_digest *out,
                           struct tm_err *err)
{
    tm_status status = TM_E_NOMEM;
    struct tm_hash *hash = NULL;
    size_t count = (size_t)vector->shape.rows * vector->shape.cols;
    float *values = tm_realloc_array(NULL, 2 * count, sizeof *values);
    if (values == NULL) {
        goto done;
    }
    TM_TRY_GOTO(tm_hash_new(&hash), done);
    TM_TRY_GOTO(run_vector(vector, values, values + count, hash, err), done);
    *out = tm_hash_final(hash);
done:
    tm_hash_destroy(&hash);
    tm_free(values);
    return status;
}
