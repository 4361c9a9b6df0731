/* SPDX-License-Identifier: Apache-2.0
 * Any text as a pipeline, any bytes as a block, any floats through encode and decode.
 * Input: what to do (a byte); rows and columns (a byte each) unless it is a text; the rest. */
#include "stages/pipeline_encode.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tests/support/short_memory.h"

static const char *const float_pipelines[] = {"int > rans",     "int",
                                              "int(bits=4)",    "int(bits=4) > rans",
                                              "ternary > rans", "ternary(group=32)"};
#define FLOATS (sizeof float_pipelines / sizeof float_pipelines[0])

static struct tm_pipeline must_parse(const char *text)
{
    struct tm_pipeline p;
    TM_ASSERT(tm_pipeline_parse(tm_view_str(text), &p, NULL) == TM_OK);
    return p;
}

/* An accepted text has a canonical form that means the same. */
static void fuzz_text(struct tm_view text)
{
    struct tm_pipeline p, again;
    struct tm_err err;
    char canonical[TM_PIPELINE_TEXT];
    if (tm_pipeline_parse(text, &p, &err) == TM_OK) {
        again = must_parse(tm_pipeline_text(&p, canonical));
        TM_ASSERT(memcmp(&p, &again, sizeof p) == 0);
    }
}

/* Accepted bytes are the ones that their symbols encode to. */
static void fuzz_decode(const struct tm_pipeline *p, struct tm_block_shape shape,
                        struct tm_view bytes, float *values)
{
    struct tm_symbols symbols;
    struct tm_buf again;
    tm_symbols_init(&symbols);
    tm_buf_init(&again, tm_pipeline_bound(p, shape));
    tm_status status =
        tm_pipeline_decode_symbols(p, shape, bytes, TM_DECODE_CANONICAL, &symbols, NULL);
    tm_status decoded = tm_pipeline_decode(p, shape, bytes, TM_DECODE_CANONICAL, values, NULL);
    TM_ASSERT(decoded == status || ran_out(decoded) || ran_out(status));
    if (status == TM_OK && decoded == TM_OK) {
        status = tm_pipeline_encode_symbols(p, &symbols, &again);
        TM_ASSERT(ok_or_ran_out(status));
        TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(&again), bytes));
        size_t count = (size_t)shape.rows * shape.cols;
        for (size_t i = 0; i < count; i++) {
            TM_ASSERT((tm_f32_bits(values[i]) & 0x7f800000) != 0x7f800000);
        }
    }
    tm_symbols_deinit(&symbols);
    tm_buf_deinit(&again);
}

/* Encoding succeeds exactly for what fits, within the bound, and decodes canonically. */
static void fuzz_encode(const struct tm_pipeline *p, struct tm_block_shape shape,
                        const float *source, float *values)
{
    struct tm_buf out;
    tm_buf_init(&out, tm_pipeline_bound(p, shape));
    tm_status status = tm_pipeline_encode(p, shape, source, &out, NULL);
    bool fits = tm_pipeline_fits(p, shape, source) == TM_FITS;
    TM_ASSERT(ran_out(status) || status == (fits ? TM_OK : TM_E_REFUSED));
    if (status == TM_OK) {
        status = tm_pipeline_decode(p, shape, tm_buf_view(&out), TM_DECODE_CANONICAL, values, NULL);
        TM_ASSERT(ok_or_ran_out(status));
    }
    tm_buf_deinit(&out);
}

static void fuzz_block(uint8_t choice, struct tm_block_shape shape, struct tm_view rest)
{
    size_t count = (size_t)shape.rows * shape.cols;
    float *values = tm_calloc(2 * count, sizeof *values);
    if (values == NULL) {
        TM_ASSERT(tm_mem_failed());
        return;
    }
    float *source = values + count;
    if (choice < FLOATS) {
        struct tm_pipeline p = must_parse(float_pipelines[choice]);
        fuzz_decode(&p, shape, rest, values);
    } else if (choice < 2 * FLOATS) {
        struct tm_pipeline p = must_parse(float_pipelines[choice - FLOATS]);
        size_t bytes = rest.bytes < 4 * count ? rest.bytes : 4 * count;
        if (bytes > 0) {
            memcpy(source, rest.data, bytes);
        }
        fuzz_encode(&p, shape, source, values);
    } else {
        struct tm_pipeline p = must_parse(choice % 2 == 0 ? "zstd" : "raw");
        (void)!tm_pipeline_decode_bytes(&p, 4 * count, rest, (uint8_t *)values, NULL);
    }
    tm_free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 1 && data[0] == 't') {
        fuzz_text(tm_view_of(data + 1, size - 1));
    } else if (size >= 3 && data[0] < 2 * FLOATS + 2) {
        struct tm_block_shape shape = {data[1], data[2]};
        fuzz_block(data[0], shape, tm_view_of(data + 3, size - 3));
    }
    return 0;
}
