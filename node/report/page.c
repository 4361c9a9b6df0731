/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

#define LINE_MAX_BYTES 1024
#define NAME_MAX_BYTES 200 /* of text from outside on a page; what is longer ends in "..." */

void tm_page_put(struct tm_page *page, const char *text)
{
    if (page->status == TM_OK) {
        page->status = tm_buf_put_str(page->out, text);
    }
}

void tm_page_printf(struct tm_page *page, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int bytes = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    TM_ASSERT(bytes >= 0 && (size_t)bytes < sizeof line);
    tm_page_put(page, line);
}

void tm_page_number(struct tm_page *page, double value)
{
    char text[TM_SHORT_TEXT];
    if (value == 0) {
        tm_page_put(page, "0");
    } else {
        tm_page_put(page, isinf(value) ? "infinite" : tm_format_short(value, text));
    }
}

/* The text as tm_escape gives it, at most `most` of its bytes. */
static const char *escaped(struct tm_view text, size_t most, char out[LINE_MAX_BYTES])
{
    bool cut = text.bytes > most;
    while (cut && most > 0 && (text.data[most] & 0xc0) == 0x80) {
        most--; /* between two characters */
    }
    tm_escape((const char *)text.data, cut ? most : text.bytes, out, LINE_MAX_BYTES - 4);
    if (cut) {
        size_t bytes = strlen(out);
        memcpy(out + bytes, "...", 4);
    }
    return out;
}

void tm_page_plain(struct tm_page *page, struct tm_view text, size_t most)
{
    char line[LINE_MAX_BYTES];
    tm_page_put(page, escaped(text, most < NAME_MAX_BYTES ? most : NAME_MAX_BYTES, line));
}

void tm_page_html(struct tm_page *page, struct tm_view text)
{
    char line[LINE_MAX_BYTES], one[2] = {0};
    for (const char *at = escaped(text, NAME_MAX_BYTES, line); *at != '\0'; at++) {
        one[0] = *at;
        switch (*at) {
        case '&':
            tm_page_put(page, "&amp;");
            break;
        case '<':
            tm_page_put(page, "&lt;");
            break;
        case '>':
            tm_page_put(page, "&gt;");
            break;
        case '"':
            tm_page_put(page, "&quot;");
            break;
        case '\'':
            tm_page_put(page, "&#39;");
            break;
        default:
            tm_page_put(page, one);
        }
    }
}

void tm_page_markdown(struct tm_page *page, struct tm_view text)
{
    char line[LINE_MAX_BYTES];
    for (const char *at = escaped(text, NAME_MAX_BYTES, line); *at != '\0'; at++) {
        char one[3] = {'\\', *at, '\0'};
        bool special = strchr("\\`*_{}[]<>()#+-.!|~&\"':", *at) != NULL;
        tm_page_put(page, special ? one : one + 1);
    }
}
