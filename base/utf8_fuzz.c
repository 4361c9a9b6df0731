/* SPDX-License-Identifier: Apache-2.0
 * Any bytes: decoding and encoding agree, and what is printed of them holds no control character
 * and is valid UTF-8. */
#include "base/utf8.h"

#include <string.h>

#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
    size_t bytes = strlen(text);
    TM_ASSERT(tm_utf8_valid(text, bytes));
    for (size_t at = 0; at < bytes;) {
        uint32_t code = 0;
        at += tm_utf8_decode(text + at, bytes - at, &code);
        TM_ASSERT(!tm_utf8_is_control(code));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char line[300], back[4];
    bool valid = true;
    for (size_t at = 0; at < size;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode(text + at, size - at, &code);
        valid = valid && length > 0;
        if (length > 0) {
            TM_ASSERT(tm_utf8_encode(code, back) == length);
            TM_ASSERT(memcmp(back, text + at, length) == 0);
        }
        at += length > 0 ? length : 1;
    }
    TM_ASSERT(tm_utf8_valid(text, size) == valid);
    check_printable(tm_escape(text, size, line, sizeof line));
    struct tm_err err;
    tm_err_set(&err, TM_E_MALFORMED, "f", "w", NULL, "%.*s", (int)(size < 300 ? size : 300), text);
    check_printable(tm_err_line(&err, line, sizeof line));
    return 0;
}
