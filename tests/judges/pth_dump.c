/* SPDX-License-Identifier: Apache-2.0
 * pth_dump FILE: for each tensor a line with its name, type, shape and the SHA-256 of its row-major
 * little-endian bytes, tabs between. */
#include <inttypes.h>
#include <stdio.h>

#include "model/checkpoint.h"

static int fail(const struct tm_err *err)
{
    char line[2048];
    fprintf(stderr, "%s\n", tm_err_line(err, line, sizeof line));
    return tm_status_exit_code(err->status);
}

static void print_shape(const struct tm_shape *shape)
{
    for (uint32_t d = 0; d < shape->rank; d++) {
        printf("%s%" PRIu64, d == 0 ? "" : ",", shape->dim[d]);
    }
}

int main(int argc, char **argv)
{
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err = {.status = TM_OK};
    if (argc != 2) {
        return 2;
    }
    if (tm_checkpoint_open(argv[1], &checkpoint, &err) != TM_OK) {
        return fail(&err);
    }
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        const struct tm_tensor *t = &inventory->tensors[i];
        struct tm_digest digest;
        char hex[TM_DIGEST_TEXT];
        if (tm_checkpoint_hash(checkpoint, i, &digest, &err) != TM_OK) {
            return fail(&err);
        }
        printf("%s\t%s\t", t->name, tm_dtype_name(t->dtype));
        print_shape(&t->shape);
        printf("\t%s\n", tm_digest_hex(&digest, hex));
    }
    tm_checkpoint_close(&checkpoint);
    return 0;
}
