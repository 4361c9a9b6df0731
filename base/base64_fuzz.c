/* SPDX-License-Identifier: Apache-2.0
 * What decodes must encode to the same text: the decoder accepts the canonical form only. */
#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_buf plain;
    struct tm_buf text;
    tm_buf_init(&plain, 1 << 20);
    tm_buf_init(&text, 1 << 21);
    if (tm_base64_decode(tm_view_of(data, size), &plain) == TM_OK &&
        tm_base64_encode(tm_buf_view(&plain), &text) == TM_OK) {
        TM_ASSERT(tm_view_eq(tm_buf_view(&text), tm_view_of(data, size)));
    }
    tm_buf_deinit(&plain);
    tm_buf_deinit(&text);
    return 0;
}
