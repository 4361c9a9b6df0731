/* SPDX-License-Identifier: Apache-2.0
 * An index of shards: names are sorted and unique, shards are plain file names. */
#include <string.h>

#include "model/safetensors_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_shards index;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_shards_parse(tm_view_of(data, size), "f", &index, &err);
    TM_ASSERT(status == TM_OK || (err.status == status && err.why[0] != '\0'));
    for (size_t i = 0; i < index.shard_count; i++) {
        TM_ASSERT(index.shards[i][0] != '\0' && strchr(index.shards[i], '/') == NULL);
    }
    for (size_t i = 0; status == TM_OK && i < index.entry_count; i++) {
        TM_ASSERT(index.entries[i].shard < index.shard_count);
        TM_ASSERT(i == 0 || !tm_view_eq(index.entries[i - 1].tensor, index.entries[i].tensor));
    }
    tm_shards_deinit(&index);
    return 0;
}
