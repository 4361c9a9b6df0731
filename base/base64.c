/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { FOREIGN = 64 };

tm_status tm_base64_encode(struct tm_view data, struct tm_buf *out)
{
    if (data.bytes > SIZE_MAX / 2) {
        return TM_E_LIMIT;
    }
    size_t groups = data.bytes / 3;
    size_t rest = data.bytes % 3;
    uint8_t *to;
    TM_TRY(tm_buf_extend(out, 4 * (groups + (rest != 0)), &to));
    const uint8_t *from = data.data;
    for (size_t i = 0; i < groups; i++, from += 3, to += 4) {
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        to[0] = (uint8_t)alphabet[bits >> 18];
        to[1] = (uint8_t)alphabet[bits >> 12 & 63];
        to[2] = (uint8_t)alphabet[bits >> 6 & 63];
        to[3] = (uint8_t)alphabet[bits & 63];
    }
    if (rest != 0) {
        uint32_t bits = (uint32_t)from[0] << 16 | (rest == 2 ? (uint32_t)from[1] << 8 : 0);
        to[0] = (uint8_t)alphabet[bits >> 18];
        to[1] = (uint8_t)alphabet[bits >> 12 & 63];
        to[2] = rest == 2 ? (uint8_t)alphabet[bits >> 6 & 63] : '=';
        to[3] = '=';
    }
    return TM_OK;
}

static uint32_t value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - (uint32_t)'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - (uint32_t)'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - (uint32_t)'0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : FOREIGN;
}

/* The 24 bits of four characters, the last `padding` of them '='; false when they are not valid. */
static bool decode_group(const uint8_t *text, unsigned padding, uint32_t *bits)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t value = i + padding < 4 ? value_of(text[i]) : 0;
        if (value == FOREIGN) {
            return false;
        }
        sum = sum << 6 | value;
    }
    *bits = sum;
    return (sum & ((1u << 8 * padding) - 1)) == 0;
}

tm_status tm_base64_decode(struct tm_view text, struct tm_buf *out)
{
    if (text.bytes % 4 != 0) {
        return TM_E_MALFORMED;
    }
    size_t groups = text.bytes / 4;
    unsigned padding = 0;
    while (groups > 0 && padding < 2 && text.data[text.bytes - 1 - padding] == '=') {
        padding++;
    }
    size_t before = out->bytes;
    uint8_t *to;
    TM_TRY(tm_buf_extend(out, 3 * groups - padding, &to));
    for (size_t i = 0; i < groups; i++, to += 3) {
        unsigned missing = i + 1 == groups ? padding : 0;
        uint32_t bits;
        if (!decode_group(text.data + 4 * i, missing, &bits)) {
            out->bytes = before;
            return TM_E_MALFORMED;
        }
        to[0] = (uint8_t)(bits >> 16);
        if (missing < 2) {
            to[1] = (uint8_t)(bits >> 8);
        }
        if (missing < 1) {
            to[2] = (uint8_t)bits;
        }
    }
    return TM_OK;
}
