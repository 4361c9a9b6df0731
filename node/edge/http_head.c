/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/http_head.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

static bool starts_with(struct tm_view text, const char *word)
{
    size_t bytes = strlen(word);
    return text.bytes >= bytes && strncasecmp((const char *)text.data, word, bytes) == 0;
}

static struct tm_view skip(struct tm_view text, size_t bytes)
{
    return tm_view_of(text.data + bytes, text.bytes - bytes);
}

static struct tm_view skip_blanks(struct tm_view text)
{
    while (text.bytes > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = skip(text, 1);
    }
    return text;
}

bool tm_http_is_status_line(struct tm_view line)
{
    return line.bytes >= 5 && memcmp(line.data, "HTTP/", 5) == 0;
}

/* "Content-Range: bytes 100-199/1000", "... bytes * /1000" (no range) */
bool tm_http_content_range(struct tm_view line, bool *known, uint64_t *start)
{
    static const char name[] = "content-range:";
    if (!starts_with(line, name)) {
        return false;
    }
    *known = false;
    struct tm_view value = skip_blanks(skip(line, sizeof name - 1));
    if (!starts_with(value, "bytes ")) {
        return true;
    }
    value = skip_blanks(skip(value, 6));
    size_t digits = 0;
    while (digits < value.bytes && value.data[digits] >= '0' && value.data[digits] <= '9') {
        digits++;
    }
    *known = digits < value.bytes && value.data[digits] == '-' &&
             tm_parse_u64(tm_view_of(value.data, digits), start) == TM_OK;
    return true;
}
