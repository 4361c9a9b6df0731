/* SPDX-License-Identifier: Apache-2.0
 * Lines of standard input as they come. Waiting for one ends when a signal asks to stop
 * (tm_stop_signal), which reading with the C library does not. */
#ifndef TM_NODE_LINE_READER_H
#define TM_NODE_LINE_READER_H

#include "base/buf.h"

struct tm_line_reader {
    int fd; /* borrowed */
    struct tm_buf pending;
    size_t used; /* of pending: the line that was given last */
    bool ended;
};

/* Lines of more than line_bytes_max bytes are an error. */
void tm_line_reader_init(struct tm_line_reader *reader, int fd, size_t line_bytes_max);
void tm_line_reader_deinit(struct tm_line_reader *reader);
/* The next line without "\n" or "\r\n", valid until the next call; the last one need not have them.
 * TM_E_NOTHING: there are no more. TM_E_STOPPED: a signal came; what was read so far of the line is
 * gone, as a terminal forgets it too. TM_E_USAGE: too long. */
tm_status tm_line_reader_next(struct tm_line_reader *reader, struct tm_view *line,
                              struct tm_err *err) TM_MUST_USE;

#endif
