/* SPDX-License-Identifier: Apache-2.0
 * Structured log events: an id and fixed fields go into a sink; only node/ chooses what a sink
 * prints. Line format is logfmt: `ts=... level=warn event=node.banned node=ab12 why="..."`. */
#ifndef TM_BASE_EVENT_H
#define TM_BASE_EVENT_H

#include <stdio.h>

#include "base/buf.h"

enum tm_level { TM_LEVEL_DEBUG, TM_LEVEL_INFO, TM_LEVEL_WARN, TM_LEVEL_ERROR };

struct tm_field {
    const char *key;
    const char *text; /* NULL: number is the value */
    uint64_t number;
};

struct tm_sink {
    void (*emit)(void *context, enum tm_level level, const char *event,
                 const struct tm_field *fields, size_t count);
    void *context;
    enum tm_level min_level;
};

/* Sends an event; sink may be NULL. event is dotted lower case: "unit.accepted". */
void tm_event(const struct tm_sink *sink, enum tm_level level, const char *event,
              const struct tm_field *fields, size_t count);
#define TM_EVENT(sink, level, event, ...)                                                          \
    tm_event(sink, level, event, (const struct tm_field[]){__VA_ARGS__},                           \
             sizeof((const struct tm_field[]){__VA_ARGS__}) / sizeof(struct tm_field))

/* Appends the logfmt line without newline. */
tm_status tm_event_format(struct tm_buf *out, enum tm_level level, const char *event,
                          const struct tm_field *fields, size_t count) TM_MUST_USE;
/* A sink that writes lines to a stream under a lock; the stream outlives it. */
struct tm_sink tm_sink_stream(FILE *stream, enum tm_level min_level);

#endif
