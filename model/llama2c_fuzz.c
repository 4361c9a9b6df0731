/* SPDX-License-Identifier: Apache-2.0
 * The start of a llama2.c file, and the size of the whole in the first eight bytes: what is
 * accepted lies inside the file and does not overlap. */
#include "base/bytes.h"
#include "model/llama2c.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) {
        return 0;
    }
    struct tm_llama2c_options options = {.path = "f", .file_bytes = tm_get_u64(data)};
    struct tm_view head = tm_view_of(data + 8, size - 8);
    head.bytes = head.bytes < TM_LLAMA2C_HEAD_BYTES ? head.bytes : TM_LLAMA2C_HEAD_BYTES;
    if (head.bytes > options.file_bytes) {
        return 0;
    }
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_llama2c_parse(head, &options, &inventory, &err);
    TM_ASSERT(status == TM_OK || (err.status == status && err.why[0] != '\0'));
    if (status == TM_OK) {
        uint64_t sum = 0;
        TM_ASSERT(tm_llama2c_is(head));
        for (size_t i = 0; i < inventory.tensor_count; i++) {
            const struct tm_tensor *t = &inventory.tensors[i];
            TM_ASSERT(t->offset >= 28 && t->offset <= options.file_bytes);
            TM_ASSERT(t->bytes > 0 && t->bytes <= options.file_bytes - t->offset);
            sum += t->bytes;
        }
        TM_ASSERT(sum < options.file_bytes);
        TM_ASSERT(ok_or_ran_out(tm_inventory_seal(&inventory, &err)));
    }
    tm_inventory_deinit(&inventory);
    return 0;
}
