/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a PyTorch checkpoint, in any of its forms: what is accepted can be read whole, and
 * reading a part gives the same as the part of the whole. */
#include <string.h>

#include "base/mem.h"
#include "model/checkpoint.h"
#include "tests/support/memory_file.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct tm_checkpoint *checkpoint, size_t index)
{
    const struct tm_tensor *t = &tm_checkpoint_inventory(checkpoint)->tensors[index];
    struct tm_digest digest;
    size_t bytes = t->bytes < 4096 ? (size_t)t->bytes : 4096;
    uint8_t *whole = tm_calloc(1, 2 * bytes), *part = whole != NULL ? whole + bytes : NULL;
    if (whole == NULL) {
        TM_ASSERT(tm_mem_failed());
        return;
    }
    tm_status status = tm_checkpoint_read(checkpoint, index, 0, whole, bytes, NULL);
    /* a checksum of the archive */
    TM_ASSERT(ok_or_ran_out(status) || status == TM_E_MALFORMED);
    tm_status again =
        tm_checkpoint_read(checkpoint, index, bytes / 3, part, bytes - bytes / 3, NULL);
    tm_status hashed = tm_checkpoint_hash(checkpoint, index, &digest, NULL);
    TM_ASSERT(again == status || ran_out(again) || ran_out(status));
    TM_ASSERT(hashed == status || ran_out(hashed) || ran_out(status));
    TM_ASSERT(status != TM_OK || again != TM_OK ||
              memcmp(whole + bytes / 3, part, bytes - bytes / 3) == 0);
    tm_free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    int fd = memory_file(data, size, path);
    tm_status status = tm_checkpoint_open(path, &checkpoint, &err);
    TM_ASSERT(status == TM_OK || err.why[0] != '\0');
    for (size_t i = 0; status == TM_OK && i < tm_checkpoint_inventory(checkpoint)->tensor_count;
         i++) {
        check(checkpoint, i);
    }
    tm_checkpoint_close(&checkpoint);
    close(fd);
    return 0;
}
