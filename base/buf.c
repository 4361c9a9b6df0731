/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#define FIRST_CAPACITY 64

struct tm_view tm_view_of(const void *data, size_t bytes)
{
    return (struct tm_view){.data = data, .bytes = bytes};
}

struct tm_view tm_view_str(const char *text)
{
    return tm_view_of(text, strlen(text));
}

bool tm_view_eq(struct tm_view a, struct tm_view b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

bool tm_view_eq_str(struct tm_view a, const char *text)
{
    return tm_view_eq(a, tm_view_str(text));
}

void tm_buf_init(struct tm_buf *buf, size_t max_bytes)
{
    *buf = (struct tm_buf){.max_bytes = max_bytes < SIZE_MAX ? max_bytes : SIZE_MAX - 1};
}

void tm_buf_deinit(struct tm_buf *buf)
{
    tm_free(buf->data);
    tm_buf_init(buf, buf->max_bytes);
}

void tm_buf_clear(struct tm_buf *buf)
{
    buf->bytes = 0;
}

struct tm_view tm_buf_view(const struct tm_buf *buf)
{
    return tm_view_of(buf->data, buf->bytes);
}

tm_status tm_buf_reserve(struct tm_buf *buf, size_t more)
{
    if (more > buf->max_bytes - buf->bytes) {
        return TM_E_LIMIT;
    }
    size_t needed = buf->bytes + more;
    if (buf->data != NULL && needed <= buf->capacity) {
        return TM_OK;
    }
    size_t capacity = buf->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buf->capacity;
    while (capacity < needed && capacity <= buf->max_bytes / 2) {
        capacity *= 2;
    }
    if (capacity < needed || capacity > buf->max_bytes) {
        capacity = buf->max_bytes;
    }
    /* One more than the capacity, so that there is always room for a NUL. */
    uint8_t *data = tm_realloc(buf->data, capacity + 1);
    if (data == NULL) {
        return TM_E_NOMEM;
    }
    buf->data = data;
    buf->capacity = capacity;
    return TM_OK;
}

tm_status tm_buf_extend(struct tm_buf *buf, size_t more, uint8_t **at)
{
    TM_TRY(tm_buf_reserve(buf, more));
    *at = buf->data + buf->bytes;
    buf->bytes += more;
    return TM_OK;
}

tm_status tm_buf_put(struct tm_buf *buf, const void *data, size_t bytes)
{
    uint8_t *at = NULL;
    TM_TRY(tm_buf_extend(buf, bytes, &at));
    if (bytes > 0) {
        memcpy(at, data, bytes);
    }
    return TM_OK;
}

tm_status tm_buf_put_str(struct tm_buf *buf, const char *text)
{
    return tm_buf_put(buf, text, strlen(text));
}

tm_status tm_buf_printf(struct tm_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0) {
        return TM_E_INTERNAL;
    }
    TM_TRY(tm_buf_reserve(buf, (size_t)length));
    va_start(args, fmt);
    vsnprintf((char *)buf->data + buf->bytes, (size_t)length + 1, fmt, args);
    va_end(args);
    buf->bytes += (size_t)length;
    return TM_OK;
}

tm_status tm_buf_terminate(struct tm_buf *buf)
{
    TM_TRY(tm_buf_reserve(buf, 0));
    buf->data[buf->bytes] = 0;
    return TM_OK;
}

tm_status tm_buf_put_u8(struct tm_buf *buf, uint8_t v)
{
    return tm_buf_put(buf, &v, 1);
}

tm_status tm_buf_put_u16(struct tm_buf *buf, uint16_t v)
{
    uint8_t le[2];
    tm_set_u16(le, v);
    return tm_buf_put(buf, le, sizeof le);
}

tm_status tm_buf_put_u32(struct tm_buf *buf, uint32_t v)
{
    uint8_t le[4];
    tm_set_u32(le, v);
    return tm_buf_put(buf, le, sizeof le);
}

tm_status tm_buf_put_u64(struct tm_buf *buf, uint64_t v)
{
    uint8_t le[8];
    tm_set_u64(le, v);
    return tm_buf_put(buf, le, sizeof le);
}
