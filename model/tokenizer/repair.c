/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/repair.h"

#include "base/utf8.h"

/* Bytes of the maximal subpart at text[0]: the longest start of a valid character there. */
static size_t subpart(const uint8_t *text, size_t bytes)
{
    uint8_t lead = text[0], low = 0x80, high = 0xbf;
    if (lead < 0xc2 || lead > 0xf4) {
        return 1;
    }
    low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : low;
    high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : high;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2, good = 1;
    while (good < length && good < bytes && text[good] >= low && text[good] <= high) {
        good++;
        low = 0x80;
        high = 0xbf;
    }
    return good;
}

tm_status tm_repair_utf8(struct tm_view text, struct tm_buf *out)
{
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code;
        const uint8_t *rest = text.data + at;
        size_t length = tm_utf8_decode((const char *)rest, text.bytes - at, &code);
        if (length > 0) {
            TM_TRY(tm_buf_put(out, rest, length));
        } else {
            length = subpart(rest, text.bytes - at);
            TM_TRY(tm_buf_put_str(out, "\xef\xbf\xbd"));
        }
        at += length;
    }
    return TM_OK;
}
