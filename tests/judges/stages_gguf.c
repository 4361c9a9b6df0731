/* SPDX-License-Identifier: Apache-2.0
 * stages_gguf KERNEL 8|4 COLS: float32 rows from stdin through "int > rans" of that many bits, each
 * row a block; to stdout for each row a byte, 1 when it fits, and its GGUF bytes (zeros when it
 * does not). For judge_stages.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/num.h"
#include "stages/pipeline_encode.h"

enum { COLS_MAX = 4096 };

static float row[COLS_MAX];
static uint8_t gguf[COLS_MAX / 32 * 34];

static int fail(const char *why)
{
    fprintf(stderr, "stages_gguf: %s\n", why);
    return EXIT_FAILURE;
}

static bool force_kernel(const char *name)
{
    for (enum tm_kernel k = TM_KERNEL_REF; k < TM_KERNEL_COUNT; k++) {
        if (strcmp(tm_kernel_name(k), name) == 0) {
            return tm_kernel_force(k) == TM_OK;
        }
    }
    return false;
}

/* Encodes the row and exports it; whether it fits. */
static bool through_pipeline(const struct tm_pipeline *p, struct tm_block_shape shape,
                             enum tm_dtype dtype)
{
    struct tm_buf out;
    tm_buf_init(&out, tm_pipeline_bound(p, shape));
    tm_status status = tm_pipeline_encode(p, shape, row, &out, NULL);
    if (status == TM_OK) {
        status = tm_pipeline_decode_gguf(p, shape, tm_buf_view(&out), dtype, gguf, NULL);
        TM_ASSERT(status == TM_OK);
    } else {
        TM_ASSERT(status == TM_E_REFUSED && tm_pipeline_fits(p, shape, row) != TM_FITS);
    }
    tm_buf_deinit(&out);
    return status == TM_OK;
}

int main(int argc, char **argv)
{
    uint64_t cols;
    if (argc != 4 || tm_parse_u64(tm_view_str(argv[3]), &cols) != TM_OK || cols == 0 ||
        cols > COLS_MAX || cols % 32 != 0) {
        return fail("usage: stages_gguf KERNEL 8|4 COLS");
    }
    if (!force_kernel(argv[1])) {
        return fail("kernel not supported");
    }
    bool four = strcmp(argv[2], "4") == 0;
    enum tm_dtype dtype = four ? TM_Q4_0 : TM_Q8_0;
    struct tm_block_shape shape = {1, (uint32_t)cols};
    struct tm_pipeline p;
    struct tm_view text = tm_view_str(four ? "int(bits=4) > rans" : "int(bits=8) > rans");
    if (tm_pipeline_parse(text, &p, NULL) != TM_OK) {
        return fail("pipeline");
    }
    size_t bytes = cols / 32 * tm_dtype_block_bytes(dtype);
    while (fread(row, sizeof(float), cols, stdin) == cols) {
        memset(gguf, 0, bytes);
        uint8_t fits = through_pipeline(&p, shape, dtype);
        if (fwrite(&fits, 1, 1, stdout) != 1 || fwrite(gguf, 1, bytes, stdout) != bytes) {
            return fail("cannot write");
        }
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("cannot write");
}
