/* SPDX-License-Identifier: Apache-2.0
 * Input: a byte n, n bytes of text, a tokenizer.json. */
#include "model/tokenizer/tokenizer.h"
#include "tests/support/tokenizer_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return tokenizer_fuzz_one(data, size, tm_tokenizer_from_json);
}
