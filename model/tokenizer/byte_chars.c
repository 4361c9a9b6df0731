/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/byte_chars.h"

#include "base/utf8.h"

/* How many bytes below `byte` are not printable, of the three ranges that are not. */
static uint32_t unprintable_below(uint32_t byte)
{
    if (byte <= 0x20) {
        return byte;
    }
    if (byte <= 0x7f) {
        return 0x21;
    }
    if (byte <= 0xa0) {
        return 0x21 + (byte - 0x7f);
    }
    return 0x21 + 0x22;
}

static bool is_printable(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
           (byte >= 0xae && byte <= 0xff);
}

uint32_t tm_byte_char(uint8_t byte)
{
    return is_printable(byte) ? byte : 0x100 + unprintable_below(byte);
}

bool tm_byte_of_char(uint32_t code, uint8_t *out)
{
    if (code < 0x100) {
        *out = (uint8_t)code;
        return is_printable(code);
    }
    code -= 0x100;
    if (code <= 0x20) {
        *out = (uint8_t)code;
    } else if (code <= 0x42) {
        *out = (uint8_t)(0x7f + (code - 0x21));
    } else {
        *out = 0xad;
    }
    return code <= 0x43;
}

tm_status tm_byte_chars_put(struct tm_view data, struct tm_buf *out)
{
    TM_TRY(tm_buf_reserve(out, data.bytes * 2));
    for (size_t i = 0; i < data.bytes; i++) {
        out->bytes += tm_utf8_encode(tm_byte_char(data.data[i]), (char *)out->data + out->bytes);
    }
    return TM_OK;
}

tm_status tm_byte_chars_get(struct tm_view text, struct tm_buf *out)
{
    size_t start = out->bytes;
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code = 0;
        uint8_t byte = 0;
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        if (length == 0 || !tm_byte_of_char(code, &byte)) {
            out->bytes = start;
            return TM_E_NOTHING;
        }
        TM_TRY(tm_buf_put_u8(out, byte));
        at += length;
    }
    return TM_OK;
}
