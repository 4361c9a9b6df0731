/* SPDX-License-Identifier: Apache-2.0
 * convert_dump KERNEL decode|encode DTYPE: blocks from stdin to float32 on stdout, or back. For
 * judge_convert.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "model/convert.h"

enum { ELEMENTS_MAX = 1 << 16 }; /* a multiple of every block */

static uint8_t packed[ELEMENTS_MAX * 8];
static float floats[ELEMENTS_MAX];

static int fail(const char *why)
{
    fprintf(stderr, "convert_dump: %s\n", why);
    return EXIT_FAILURE;
}

static int force_kernel(const char *name)
{
    for (unsigned i = 0; i < TM_KERNEL_COUNT; i++) {
        enum tm_kernel kernel = (enum tm_kernel)i;
        if (strcmp(tm_kernel_name(kernel), name) == 0 && tm_kernel_supported(kernel)) {
            return tm_kernel_force(kernel) == TM_OK ? EXIT_SUCCESS : fail("cannot force kernel");
        }
    }
    return fail("kernel not supported");
}

int main(int argc, char **argv)
{
    enum tm_dtype dtype;
    if (argc != 4 || !tm_dtype_parse(tm_view_str(argv[3]), &dtype)) {
        return fail("usage: convert_dump KERNEL decode|encode DTYPE");
    }
    if (force_kernel(argv[1]) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    bool decode = strcmp(argv[2], "decode") == 0;
    size_t packed_bytes = ELEMENTS_MAX / tm_dtype_block_elements(dtype);
    packed_bytes *= tm_dtype_block_bytes(dtype);
    uint8_t *in = decode ? packed : (uint8_t *)floats;
    size_t in_max = decode ? packed_bytes : sizeof floats;
    for (;;) {
        size_t got = fread(in, 1, in_max, stdin);
        if (got == 0) {
            return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("cannot write");
        }
        uint64_t elements = decode
                                ? got / tm_dtype_block_bytes(dtype) * tm_dtype_block_elements(dtype)
                                : got / sizeof(float);
        tm_status status = decode ? tm_convert_to_f32(dtype, packed, elements, floats)
                                  : tm_convert_from_f32(dtype, floats, elements, packed);
        if (status != TM_OK) {
            return fail(tm_status_name(status));
        }
        size_t out_bytes =
            decode ? elements * sizeof(float)
                   : elements / tm_dtype_block_elements(dtype) * tm_dtype_block_bytes(dtype);
        if (fwrite(decode ? (uint8_t *)floats : packed, 1, out_bytes, stdout) != out_bytes) {
            return fail("cannot write");
        }
    }
}
