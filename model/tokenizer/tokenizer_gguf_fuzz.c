/* SPDX-License-Identifier: Apache-2.0
 * Input: a byte n, n bytes of text, a gguf-metadata blob. Blobs that the reader of GGUF files would
 * refuse never come here, so they are sorted out first. */
#include "model/gguf_meta.h"
#include "model/tokenizer/tokenizer.h"
#include "tests/support/tokenizer_fuzz.h"

static tm_status from_checked(struct tm_view meta, const char *path, struct tm_tokenizer **out,
                              struct tm_err *err)
{
    TM_TRY(tm_gguf_meta_check(meta, err));
    return tm_tokenizer_from_gguf(meta, path, out, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return tokenizer_fuzz_one(data, size, from_checked);
}
