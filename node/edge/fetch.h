/* SPDX-License-Identifier: Apache-2.0
 * Where a device fetches from: a folder, or any static HTTP(S) server (libcurl, Range). Nothing
 * that comes from there is trusted; the caller verifies every byte. A server that ignores Range is
 * coped with: what lies before the wanted bytes is read and dropped; one that sends more than was
 * asked for is cut off. */
#ifndef TM_NODE_FETCH_H
#define TM_NODE_FETCH_H

#include "base/buf.h"

struct tm_source;
/* location: "http://...", "https://..." or a folder. Other schemes are TM_E_USAGE; a folder that is
 * not there is TM_E_NOT_FOUND. stop may be NULL. */
tm_status tm_source_open(const char *location, const volatile int *stop, struct tm_source **out,
                         struct tm_err *err) TM_MUST_USE;
void tm_source_close(struct tm_source **source);
/* Is location one that tm_source_open takes as a server? */
bool tm_source_is_url(const char *location);

/* bytes at offset of a file below the location, appended to out. Exactly that many or an error:
 * TM_E_NOT_FOUND (404), TM_E_NETWORK (after 3 tries without progress; at once for a refusal, too
 * many redirects, or another range than was asked), TM_E_MALFORMED when the file is shorter,
 * TM_E_STOPPED. out may have grown on failure. */
tm_status tm_source_range(struct tm_source *source, const char *path, uint64_t offset,
                          uint64_t bytes, struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* A whole small file of at most max bytes. */
tm_status tm_source_file(struct tm_source *source, const char *path, uint64_t max,
                         struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* The same bytes piece by piece, in order and each once; a failure of the sink ends it and is
 * returned. Memory: one piece. */
typedef tm_status (*tm_source_sink)(void *context, const uint8_t *data, size_t bytes,
                                    struct tm_err *err);
tm_status tm_source_stream(struct tm_source *source, const char *path, uint64_t offset,
                           uint64_t bytes, tm_source_sink sink, void *context,
                           struct tm_err *err) TM_MUST_USE;
/* Whether the server has answered a range with a whole file: each range then costs all that lies
 * before it, and few long ones are better than many short ones. */
bool tm_source_ignores_range(const struct tm_source *source);
/* Bytes that came over the wire (or out of the folder) so far, dropped ones included. */
uint64_t tm_source_received(const struct tm_source *source);

#endif
