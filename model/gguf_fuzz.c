/* SPDX-License-Identifier: Apache-2.0
 * A GGUF file in memory: what is accepted lies inside it and does not overlap; a header that is
 * read in pieces gives the same. */
#include "model/gguf.h"
#include "model/tokenizer_count.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tm_inventory *inventory, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        const struct tm_tensor *t = &inventory->tensors[i];
        TM_ASSERT(t->bytes == 0 || (t->offset <= size && t->bytes <= size - t->offset));
        sum += t->bytes;
    }
    TM_ASSERT(sum <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_gguf_options options = {.path = "f", .file_bytes = size};
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_gguf_layout layout, again;
    struct tm_token_counts counts;
    struct tm_err err = {.status = TM_OK};
    struct tm_view file = tm_view_of(data, size);
    tm_status status = tm_gguf_measure(file, &options, &layout, &err);
    if (status == TM_OK) {
        struct tm_view head = tm_view_of(data, (size_t)layout.header_bytes);
        status = tm_gguf_measure(head, &options, &again, &err);
        TM_ASSERT(ok_or_ran_out(status));
        TM_ASSERT(status != TM_OK || again.header_bytes == layout.header_bytes);
        TM_ASSERT(tm_gguf_measure(tm_view_of(data, head.bytes - 1), &options, &again, &err) !=
                  TM_OK);
        status = tm_gguf_parse(head, &layout, &options, &inventory, &err);
    }
    if (status == TM_OK) {
        check(&inventory, size);
        struct tm_view blob = tm_view_of(data + TM_GGUF_META_AT, (size_t)layout.meta_bytes);
        status = tm_token_count_gguf(blob, "f", &counts, &err);
    }
    TM_ASSERT(status == TM_OK || (err.status == status && err.why[0] != '\0'));
    tm_inventory_deinit(&inventory);
    return 0;
}
