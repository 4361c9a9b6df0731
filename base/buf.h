/* SPDX-License-Identifier: Apache-2.0
 * Byte views and growable buffers. Every buffer has a maximum given at creation; reaching it is the
 * status TM_E_LIMIT and leaves the buffer as it was. */
#ifndef TM_BASE_BUF_H
#define TM_BASE_BUF_H

#include "base/status.h"

/* Borrowed bytes; the owner outlives the view. */
struct tm_view {
    const uint8_t *data;
    size_t bytes;
};

struct tm_buf {
    uint8_t *data;
    size_t bytes;
    size_t capacity;
    size_t max_bytes;
};

struct tm_view tm_view_of(const void *data, size_t bytes);
struct tm_view tm_view_str(const char *text);
bool tm_view_eq(struct tm_view a, struct tm_view b);
bool tm_view_eq_str(struct tm_view a, const char *text);

/* Empty, owns nothing yet. */
void tm_buf_init(struct tm_buf *buf, size_t max_bytes);
void tm_buf_deinit(struct tm_buf *buf); /* frees; the buffer can be used again */
void tm_buf_clear(struct tm_buf *buf);  /* keeps the memory */
struct tm_view tm_buf_view(const struct tm_buf *buf);
/* Room for `more` further bytes. */
tm_status tm_buf_reserve(struct tm_buf *buf, size_t more) TM_MUST_USE;
/* Appends and sets *at to the first new byte (uninitialised), valid until the next growth. */
tm_status tm_buf_extend(struct tm_buf *buf, size_t more, uint8_t **at) TM_MUST_USE;
tm_status tm_buf_put(struct tm_buf *buf, const void *data, size_t bytes) TM_MUST_USE;
tm_status tm_buf_put_str(struct tm_buf *buf, const char *text) TM_MUST_USE; /* without the NUL */
tm_status tm_buf_printf(struct tm_buf *buf, const char *fmt, ...) TM_MUST_USE TM_PRINTF(2, 3);
/* Makes data a C string by keeping a NUL after the last byte (not counted). */
tm_status tm_buf_terminate(struct tm_buf *buf) TM_MUST_USE;
/* Little-endian appends. */
tm_status tm_buf_put_u8(struct tm_buf *buf, uint8_t v) TM_MUST_USE;
tm_status tm_buf_put_u16(struct tm_buf *buf, uint16_t v) TM_MUST_USE;
tm_status tm_buf_put_u32(struct tm_buf *buf, uint32_t v) TM_MUST_USE;
tm_status tm_buf_put_u64(struct tm_buf *buf, uint64_t v) TM_MUST_USE;

#endif
