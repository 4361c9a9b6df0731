/* SPDX-License-Identifier: Apache-2.0
 * What the fuzz targets of the tokenizer's readers do: a file that is accepted turns a text into
 * ids, and every id back into bytes. */
#ifndef TM_TESTS_TOKENIZER_FUZZ_H
#define TM_TESTS_TOKENIZER_FUZZ_H

#include "model/tokenizer/tokenizer.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef tm_status tokenizer_reader(struct tm_view file, const char *path, struct tm_tokenizer **out,
                                   struct tm_err *err);

static inline int tokenizer_fuzz_one(const uint8_t *data, size_t size, tokenizer_reader *read)
{
    size_t text_bytes = size > 0 ? data[0] : 0;
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    if (size < 1 + text_bytes) {
        return 0;
    }
    struct tm_view text = tm_view_of(data + 1, text_bytes);
    struct tm_view file = tm_view_of(data + 1 + text_bytes, size - 1 - text_bytes);
    tm_status status = read(file, "f", &t, &err);
    TM_ASSERT((status == TM_OK) == (t != NULL));
    TM_ASSERT(status != TM_E_INTERNAL && status != TM_E_LIMIT);
    if (t != NULL) {
        struct tm_buf ids, back;
        tm_buf_init(&ids, 1u << 20);
        tm_buf_init(&back, 1u << 20);
        status = tm_tokenizer_encode(t, text, TM_TOKENIZE_FRAME | TM_TOKENIZE_SPECIALS, &ids, &err);
        if (status == TM_OK) {
            /* a frame may name a token that is not there; all others are */
            status = tm_tokenizer_decode(t, (const uint32_t *)(const void *)ids.data, ids.bytes / 4,
                                         0, &back, &err);
        }
        TM_ASSERT(status == TM_OK || status == TM_E_MALFORMED || status == TM_E_LIMIT ||
                  ran_out(status));
        tm_buf_deinit(&ids);
        tm_buf_deinit(&back);
    }
    tm_tokenizer_destroy(&t);
    return 0;
}

#endif
