/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

struct tm_cursor tm_cursor_of(struct tm_view view)
{
    return (struct tm_cursor){.data = view.data, .bytes = view.bytes};
}

size_t tm_cursor_left(const struct tm_cursor *c)
{
    return c->bytes - c->at;
}

/* The next bytes, or NULL on overrun. An overrun stays: later reads fail too. */
static const uint8_t *next(struct tm_cursor *c, uint64_t bytes)
{
    if (c->overrun || bytes > tm_cursor_left(c)) {
        c->overrun = true;
        return NULL;
    }
    const uint8_t *at = c->data + c->at;
    c->at += (size_t)bytes;
    return at;
}

uint8_t tm_cursor_u8(struct tm_cursor *c)
{
    const uint8_t *p = next(c, 1);
    return p != NULL ? p[0] : 0;
}

uint16_t tm_cursor_u16(struct tm_cursor *c)
{
    const uint8_t *p = next(c, 2);
    return p != NULL ? tm_get_u16(p) : 0;
}

uint32_t tm_cursor_u32(struct tm_cursor *c)
{
    const uint8_t *p = next(c, 4);
    return p != NULL ? tm_get_u32(p) : 0;
}

uint64_t tm_cursor_u64(struct tm_cursor *c)
{
    const uint8_t *p = next(c, 8);
    return p != NULL ? tm_get_u64(p) : 0;
}

struct tm_view tm_cursor_take(struct tm_cursor *c, uint64_t bytes)
{
    if (bytes == 0 && !c->overrun) { /* data may be NULL, to which nothing may be added */
        return tm_view_of(c->bytes > 0 ? c->data + c->at : NULL, 0);
    }
    const uint8_t *p = next(c, bytes);
    return tm_view_of(p, p != NULL ? (size_t)bytes : 0);
}
