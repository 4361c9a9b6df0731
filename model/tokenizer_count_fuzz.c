/* SPDX-License-Identifier: Apache-2.0
 * A tokenizer.json: counted, or refused with a reason. */
#include "model/tokenizer_count.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_token_counts counts;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_token_count_json(tm_view_of(data, size), "f", &counts, &err);
    TM_ASSERT(status == TM_OK || (err.status == status && err.why[0] != '\0'));
    /* Each token takes some bytes of the text, so no count can exceed it. */
    TM_ASSERT(status != TM_OK || (counts.tokens < size && counts.merges < size));
    return 0;
}
