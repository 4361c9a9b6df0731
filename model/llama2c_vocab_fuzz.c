/* SPDX-License-Identifier: Apache-2.0
 * A tokenizer.bin behind the number of its tokens: what is accepted gives valid GGUF metadata with
 * that many tokens. */
#include "base/bytes.h"
#include "model/gguf_meta.h"
#include "model/llama2c_vocab.h"
#include "model/tokenizer_count.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    struct tm_token_counts counts;
    struct tm_err err;
    struct tm_buf blob;
    uint32_t tokens = tm_get_u32(data);
    tm_buf_init(&blob, 1u << 24);
    tm_status status = tm_buf_put_u64(&blob, TM_LLAMA2C_VOCAB_PAIRS);
    TM_ASSERT(ok_or_ran_out(status));
    size_t before = blob.bytes;
    if (status == TM_OK &&
        tm_llama2c_vocab_put(tm_view_of(data + 4, size - 4), tokens, &blob) == TM_OK) {
        status = tm_gguf_meta_check(tm_buf_view(&blob), &err);
        TM_ASSERT(ok_or_ran_out(status));
        if (status == TM_OK) {
            status = tm_token_count_gguf(tm_buf_view(&blob), "f", &counts, &err);
            TM_ASSERT(ok_or_ran_out(status));
        }
        TM_ASSERT(status != TM_OK || counts.tokens == tokens);
    } else {
        TM_ASSERT(blob.bytes == before);
    }
    tm_buf_deinit(&blob);
    return 0;
}
