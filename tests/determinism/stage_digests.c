/* SPDX-License-Identifier: Apache-2.0
 * Prints a digest of everything that must have the same bits in every build: the encoded bytes and
 * the decoded values of every pipeline on many shapes and kinds of data, the measured errors, and
 * the conversions of all dtypes. builds.sh compares the output of several builds.
 *
 *   stage_digests KERNEL    digests under that kernel; exit 3 when this machine lacks it */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/convert.h"
#include "stages/pipeline_encode.h"
#include "tests/support/file_order.h"

enum kind { KIND_FLAT, KIND_PEAKED, KIND_OUTLIERS, KIND_TERNARY, KIND_ZERO, KIND_COUNT };
static const char *const kind_names[] = {"flat", "peaked", "outliers", "ternary", "zero"};

static const char *const pipelines[] = {
    "int(bits=8)",       "int(bits=4)",        "int(bits=8) > rans",        "int(bits=4) > rans",
    "ternary(group=32)", "ternary(group=128)", "ternary(group=128) > rans",
};
#define PIPELINE_COUNT (sizeof pipelines / sizeof pipelines[0])

static const struct tm_block_shape shapes[] = {{1, 32}, {1, 257}, {3, 64},   {5, 100},
                                               {7, 31}, {64, 96}, {33, 1023}};
#define SHAPE_COUNT (sizeof shapes / sizeof shapes[0])
#define WEIGHTS_MAX (33 * 1023)

static void must(tm_status status, const struct tm_err *err)
{
    if (status != TM_OK) {
        char line[1024];
        fprintf(stderr, "stage_digests: %s\n", tm_err_line(err, line, sizeof line));
        exit(EXIT_FAILURE);
    }
}

static void print_digest(struct tm_view bytes, const char *what)
{
    char text[TM_DIGEST_TEXT];
    struct tm_digest digest = tm_digest_of(bytes);
    printf("%s  %s\n", tm_digest_hex(&digest, text), what);
}

/* Overwrites the values. */
static void print_floats(float *values, size_t count, const char *what)
{
    floats_to_file_order(values, count);
    print_digest(tm_view_of(values, count * sizeof values[0]), what);
}

/* Exact in float32: a 24-bit integer times a power of two. */
static float flat(struct tm_rng *rng)
{
    return (float)((int32_t)tm_rng_below(rng, 1 << 24) - (1 << 23)) * 0x1p-26f;
}

static float value_of(struct tm_rng *rng, enum kind kind)
{
    float x = flat(rng);
    switch (kind) {
    case KIND_FLAT:
        return x;
    case KIND_PEAKED:
        return x * x * x;
    case KIND_OUTLIERS:
        return tm_rng_below(rng, 50) == 0 ? x * 300.0f : x;
    case KIND_TERNARY:
        return (float)((int)tm_rng_below(rng, 3) - 1) * 0.03125f;
    default:
        return 0.0f;
    }
}

/* One block there and back. */
static void run_block(const char *text, struct tm_block_shape shape, enum kind kind)
{
    static float values[WEIGHTS_MAX], decoded[WEIGHTS_MAX];
    struct tm_pipeline pipeline;
    struct tm_rng rng;
    struct tm_buf out;
    struct tm_err err = {0};
    char what[512];
    size_t count = (size_t)shape.rows * shape.cols;
    tm_rng_init(&rng, (uint64_t)kind * 1000 + shape.cols);
    for (size_t i = 0; i < count; i++) {
        values[i] = value_of(&rng, kind);
    }
    tm_buf_init(&out, 1 << 24);
    must(tm_pipeline_parse(tm_view_str(text), &pipeline, &err), &err);
    must(tm_pipeline_encode(&pipeline, shape, values, &out, &err), &err);
    snprintf(what, sizeof what, "%s %ux%u %s", text, shape.rows, shape.cols, kind_names[kind]);
    print_digest(tm_buf_view(&out), what);
    must(
        tm_pipeline_decode(&pipeline, shape, tm_buf_view(&out), TM_DECODE_CANONICAL, decoded, &err),
        &err);
    struct tm_block_error error = {0};
    tm_block_measure(values, decoded, count, &error);
    print_floats(decoded, count, "  decoded");
    double figures[] = {error.squared_error, error.squared_norm, error.max_abs};
    doubles_to_file_order(figures, 3);
    print_digest(tm_view_of(figures, sizeof figures), "  error");
    tm_buf_deinit(&out);
}

/* Random bytes of a dtype to float32, and random float32 to a dtype where that is written. */
static void run_dtype(enum tm_dtype dtype, const char *name)
{
    enum { BLOCKS = 64, BYTES_MAX = 256 * 8 };
    static uint8_t raw[BLOCKS * BYTES_MAX];
    static float values[BLOCKS * 256];
    char what[64];
    struct tm_rng rng;
    uint64_t elements = (uint64_t)BLOCKS * tm_dtype_block_elements(dtype);
    uint64_t bytes = (uint64_t)BLOCKS * tm_dtype_block_bytes(dtype);
    tm_rng_init(&rng, dtype + 1);
    tm_rng_fill(&rng, raw, bytes);
    if (tm_convert_to_f32(dtype, raw, elements, values) == TM_OK) {
        snprintf(what, sizeof what, "%s to F32", name);
        print_floats(values, elements, what);
    }
    for (uint64_t i = 0; i < elements; i++) {
        values[i] = value_of(&rng, KIND_OUTLIERS);
    }
    if (tm_convert_from_f32(dtype, values, elements, raw) == TM_OK) {
        snprintf(what, sizeof what, "F32 to %s", name);
        print_digest(tm_view_of(raw, bytes), what);
    }
}

static bool force(const char *name)
{
    for (int kernel = 0; kernel < TM_KERNEL_COUNT; kernel++) {
        if (strcmp(tm_kernel_name((enum tm_kernel)kernel), name) == 0) {
            return tm_kernel_force((enum tm_kernel)kernel) == TM_OK;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: stage_digests KERNEL\n");
        return 2;
    }
    if (!force(argv[1])) {
        return 3;
    }
    struct tm_err err = {0};
    struct tm_digest golden;
    char text[TM_DIGEST_TEXT];
    must(tm_selftest(&golden, &err), &err);
    printf("%s  self-test\n", tm_digest_hex(&golden, text));
    for (size_t p = 0; p < PIPELINE_COUNT; p++) {
        for (size_t s = 0; s < SHAPE_COUNT; s++) {
            for (int kind = 0; kind < KIND_COUNT; kind++) {
                run_block(pipelines[p], shapes[s], (enum kind)kind);
            }
        }
    }
#define RUN_DTYPE(code, value, name, elements, bytes) run_dtype(code, name);
    TM_DTYPE_LIST(RUN_DTYPE)
#undef RUN_DTYPE
    return EXIT_SUCCESS;
}
