/* SPDX-License-Identifier: Apache-2.0
 * The lines of an HTTP answer's head that a pull hangs on; curl does the rest. A line is as curl
 * hands it over: any bytes, usually with CR LF at its end. */
#ifndef TM_NODE_HTTP_HEAD_H
#define TM_NODE_HTTP_HEAD_H

#include "base/buf.h"

/* Whether the line begins the head of another answer ("HTTP/1.1 206 ..."), as after a redirect. */
bool tm_http_is_status_line(struct tm_view line);
/* Whether the line is a Content-Range field (RFC 9110, 14.4); then *known says whether it names a
 * range in bytes, and *start the first of them. */
bool tm_http_content_range(struct tm_view line, bool *known, uint64_t *start);

#endif
