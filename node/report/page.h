/* SPDX-License-Identifier: Apache-2.0
 * Text that grows: errors stick, so that a writer writes on and looks at the end. Nothing that came
 * from a file goes out but through one of the escaping functions. */
#ifndef TM_REPORT_PAGE_H
#define TM_REPORT_PAGE_H

#include "base/buf.h"

struct tm_page {
    struct tm_buf *out;
    tm_status status;
};

void tm_page_printf(struct tm_page *page, const char *fmt, ...) TM_PRINTF(2, 3);
void tm_page_put(struct tm_page *page, const char *text);
/* Four significant digits; "0" and "infinite" for these. */
void tm_page_number(struct tm_page *page, double value);
/* Text from outside. For a terminal: control characters and bad UTF-8 as \xNN, cut after most
 * bytes. For HTML and SVG, as content or in a quoted attribute: that, and & < > " ' as references.
 * For Markdown: that, and everything that Markdown gives a meaning behind a backslash. */
void tm_page_plain(struct tm_page *page, struct tm_view text, size_t most);
void tm_page_html(struct tm_page *page, struct tm_view text);
void tm_page_markdown(struct tm_page *page, struct tm_view text);

#endif
