/* SPDX-License-Identifier: Apache-2.0
 * What a codec encodes it gives back. Input: which codec (a byte), its parameter (a byte), rows
 * and columns (a byte each), data. The decoders' own targets (pipeline_fuzz, rans_decode_fuzz)
 * start from bytes of strangers; this one starts from data. */
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "stages/lossless_decode.h"
#include "stages/lossless_encode.h"
#include "stages/pipeline_encode.h"
#include "stages/rans_decode.h"
#include "stages/rans_encode.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_rans(uint8_t parameter, struct tm_view data)
{
    uint32_t alphabet = parameter < 2 ? 256 : parameter;
    struct tm_buf stream;
    uint8_t *codes = tm_calloc(data.bytes, 1), *back = tm_calloc(data.bytes, 1);
    if (codes == NULL || back == NULL) {
        TM_ASSERT(tm_mem_failed());
        tm_free(codes);
        tm_free(back);
        return;
    }
    for (size_t i = 0; i < data.bytes; i++) {
        codes[i] = (uint8_t)(data.data[i] % alphabet);
    }
    tm_buf_init(&stream, tm_rans_bound(alphabet, data.bytes));
    tm_status status = tm_rans_encode(alphabet, codes, data.bytes, &stream);
    struct tm_cursor in = tm_cursor_of(tm_buf_view(&stream));
    if (status == TM_OK) {
        status = tm_rans_decode(&in, alphabet, data.bytes, TM_DECODE_CANONICAL, back, NULL);
    }
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || (in.at == stream.bytes && memcmp(codes, back, data.bytes) == 0));
    tm_buf_deinit(&stream);
    tm_free(codes);
    tm_free(back);
}

static void fuzz_lossless(uint8_t parameter, struct tm_view data)
{
    struct tm_buf frame;
    uint8_t *back = tm_calloc(data.bytes, 1);
    if (back == NULL) {
        TM_ASSERT(tm_mem_failed());
        return;
    }
    tm_buf_init(&frame, tm_zstd_bound(data.bytes));
    tm_status status = tm_zstd_encode(1u + parameter % 5, data, &frame, NULL);
    if (status == TM_OK) {
        status = tm_zstd_decode(tm_buf_view(&frame), data.bytes, back, NULL);
    }
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || data.bytes == 0 || memcmp(data.data, back, data.bytes) == 0);
    tm_buf_deinit(&frame);
    tm_free(back);
}

/* Symbols that a quantizer gave come back from the bytes that they became, and the values decoded
 * from either are the same to the bit. */
static void check_symbols(const struct tm_pipeline *p, struct tm_block_shape shape,
                          struct tm_view encoded)
{
    struct tm_symbols symbols;
    struct tm_buf again;
    size_t count = (size_t)shape.rows * shape.cols;
    float *first = tm_calloc(2 * count, sizeof *first);
    if (first == NULL) {
        TM_ASSERT(tm_mem_failed());
        return;
    }
    float *second = first + count;
    tm_symbols_init(&symbols);
    tm_buf_init(&again, tm_pipeline_bound(p, shape));
    tm_status status =
        tm_pipeline_decode_symbols(p, shape, encoded, TM_DECODE_CANONICAL, &symbols, NULL);
    if (status == TM_OK) {
        status = tm_pipeline_encode_symbols(p, &symbols, &again);
        TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(&again), encoded));
    }
    if (status == TM_OK) {
        status = tm_pipeline_decode(p, shape, encoded, TM_DECODE_FAST, first, NULL);
    }
    if (status == TM_OK) {
        status =
            tm_pipeline_decode(p, shape, tm_buf_view(&again), TM_DECODE_CANONICAL, second, NULL);
    }
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || memcmp(first, second, count * sizeof *first) == 0);
    tm_buf_deinit(&again);
    tm_symbols_deinit(&symbols);
    tm_free(first);
}

static void fuzz_quantizer(const char *text, struct tm_block_shape shape, struct tm_view data)
{
    struct tm_pipeline p;
    struct tm_buf out, twice;
    size_t count = (size_t)shape.rows * shape.cols;
    float *values = tm_calloc(count, sizeof *values);
    TM_ASSERT(tm_pipeline_parse(tm_view_str(text), &p, NULL) == TM_OK);
    if (values == NULL) {
        TM_ASSERT(tm_mem_failed());
        return;
    }
    memcpy(values, data.data, data.bytes < 4 * count ? data.bytes : 4 * count);
    tm_buf_init(&out, tm_pipeline_bound(&p, shape));
    tm_buf_init(&twice, tm_pipeline_bound(&p, shape));
    if (tm_pipeline_fits(&p, shape, values) == TM_FITS) {
        tm_status first = tm_pipeline_encode(&p, shape, values, &out, NULL);
        tm_status second = tm_pipeline_encode(&p, shape, values, &twice, NULL);
        TM_ASSERT(ok_or_ran_out(first) && ok_or_ran_out(second));
        TM_ASSERT(first != TM_OK || second != TM_OK ||
                  tm_view_eq(tm_buf_view(&out), tm_buf_view(&twice)));
        if (first == TM_OK) {
            check_symbols(&p, shape, tm_buf_view(&out));
        }
    }
    tm_buf_deinit(&out);
    tm_buf_deinit(&twice);
    tm_free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const quantizers[] = {"int",
                                             "int > rans",
                                             "int(bits=4)",
                                             "int(bits=4) > rans",
                                             "ternary > rans",
                                             "ternary(group=64) > rans"};
    const size_t quantizer_count = sizeof quantizers / sizeof quantizers[0];
    if (size < 5) {
        return 0;
    }
    struct tm_view rest = tm_view_of(data + 4, size - 4);
    struct tm_block_shape shape = {data[2], data[3]};
    if (data[0] < quantizer_count) {
        if (tm_shape_is_block(shape) && shape.rows > 0 && shape.cols > 0) {
            fuzz_quantizer(quantizers[data[0]], shape, rest);
        }
    } else if (data[0] % 2 == 0) {
        fuzz_rans(data[1], rest);
    } else {
        fuzz_lossless(data[1], rest);
    }
    return 0;
}
