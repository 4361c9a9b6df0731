/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/line_reader.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "node/common/program.h"

/* Another thread may take the signal; then nothing ends the wait but its time. */
#define WAIT_MS 200
#define PIECE_BYTES 4096

static const char where[] = "standard input";

void tm_line_reader_init(struct tm_line_reader *reader, int fd, size_t line_bytes_max)
{
    *reader = (struct tm_line_reader){.fd = fd};
    tm_buf_init(&reader->pending, line_bytes_max + PIECE_BYTES);
}

void tm_line_reader_deinit(struct tm_line_reader *reader)
{
    tm_buf_deinit(&reader->pending);
}

/* Until there is something to read. */
static tm_status wait_for_input(struct tm_line_reader *r, struct tm_err *err)
{
    struct pollfd input = {.fd = r->fd, .events = POLLIN};
    for (;;) {
        if (tm_stop_signal != 0) {
            tm_buf_clear(&r->pending);
            return tm_err_set(err, TM_E_STOPPED, where, "stopped", NULL, "asked to stop");
        }
        int ready = poll(&input, 1, WAIT_MS);
        if (ready > 0) {
            return TM_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return tm_err_set_os(err, errno, where, "cannot read");
        }
    }
}

static tm_status read_more(struct tm_line_reader *r, struct tm_err *err)
{
    uint8_t piece[PIECE_BYTES];
    TM_TRY(wait_for_input(r, err));
    ssize_t count = read(r->fd, piece, sizeof piece);
    if (count < 0) {
        return errno == EINTR || errno == EAGAIN ? TM_OK
                                                 : tm_err_set_os(err, errno, where, "cannot read");
    }
    r->ended = count == 0;
    tm_status status = count > 0 ? tm_buf_put(&r->pending, piece, (size_t)count) : TM_OK;
    if (status == TM_E_LIMIT) {
        return tm_err_set(err, TM_E_USAGE, where, "cannot read a line", "give shorter lines",
                          "it has more than %zu bytes", r->pending.max_bytes - PIECE_BYTES);
    }
    return status;
}

static void forget_line(struct tm_line_reader *r)
{
    r->pending.bytes -= r->used;
    if (r->used > 0 && r->pending.bytes > 0) {
        memmove(r->pending.data, r->pending.data + r->used, r->pending.bytes);
    }
    r->used = 0;
}

tm_status tm_line_reader_next(struct tm_line_reader *reader, struct tm_view *line,
                              struct tm_err *err)
{
    size_t looked = 0; /* bytes without a newline */
    forget_line(reader);
    for (;;) {
        struct tm_view text = tm_buf_view(&reader->pending);
        const uint8_t *end =
            text.bytes > looked ? memchr(text.data + looked, '\n', text.bytes - looked) : NULL;
        if (end != NULL || (reader->ended && text.bytes > 0)) {
            size_t bytes = end != NULL ? (size_t)(end - text.data) : text.bytes;
            reader->used = bytes + (end != NULL);
            bytes -= bytes > 0 && text.data[bytes - 1] == '\r';
            *line = tm_view_of(text.data, bytes);
            return TM_OK;
        }
        if (reader->ended) {
            return TM_E_NOTHING;
        }
        looked = text.bytes;
        TM_TRY(read_more(reader, err));
    }
}
