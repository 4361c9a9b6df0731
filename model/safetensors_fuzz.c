/* SPDX-License-Identifier: Apache-2.0
 * A safetensors file in memory: what is accepted lies inside it, and every byte of the data belongs
 * to exactly one tensor. */
#include "base/bytes.h"
#include "model/safetensors.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tm_inventory *inventory, size_t header_bytes, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        const struct tm_tensor *t = &inventory->tensors[i];
        TM_ASSERT(t->offset >= 8 + header_bytes && t->offset <= size);
        TM_ASSERT(t->bytes <= size - t->offset);
        sum += t->bytes;
    }
    TM_ASSERT(sum == size - 8 - header_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8 || tm_get_u64(data) > size - 8) {
        return 0;
    }
    struct tm_safetensors_options options = {.path = "f", .file_bytes = size};
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_safetensors_meta meta;
    struct tm_err err = {.status = TM_OK};
    size_t header_bytes = (size_t)tm_get_u64(data);
    tm_safetensors_meta_init(&meta);
    tm_status status =
        tm_safetensors_parse(tm_view_of(data + 8, header_bytes), &options, &inventory, &meta, &err);
    if (status == TM_OK) {
        check(&inventory, header_bytes, size);
        TM_ASSERT(ok_or_ran_out(tm_inventory_sort_natural(&inventory)));
        status = tm_inventory_seal(&inventory, &err);
    }
    TM_ASSERT(status == TM_OK || (err.status == status && err.why[0] != '\0'));
    tm_safetensors_meta_deinit(&meta);
    tm_inventory_deinit(&inventory);
    return 0;
}
