/* SPDX-License-Identifier: Apache-2.0
 * Explicit little-endian access and a bounded read cursor. Never cast file bytes to a struct. */
#ifndef TM_BASE_BYTES_H
#define TM_BASE_BYTES_H

#include <float.h>
#include <string.h>

#include "base/buf.h"

/* Encoders give the same bits everywhere only when no float expression is computed in a wider type
 * (docs/decisions/0001). */
_Static_assert(FLT_EVAL_METHOD == 0, "float expressions must be evaluated as float");

static inline uint16_t tm_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)(p[1] << 8));
}
static inline uint32_t tm_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t tm_get_u64(const uint8_t *p)
{
    return (uint64_t)tm_get_u32(p) | (uint64_t)tm_get_u32(p + 4) << 32;
}
static inline void tm_set_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void tm_set_u32(uint8_t *p, uint32_t v)
{
    tm_set_u16(p, (uint16_t)v);
    tm_set_u16(p + 2, (uint16_t)(v >> 16));
}
static inline void tm_set_u64(uint8_t *p, uint64_t v)
{
    tm_set_u32(p, (uint32_t)v);
    tm_set_u32(p + 4, (uint32_t)(v >> 32));
}
static inline uint32_t tm_f32_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
static inline float tm_f32_from_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
static inline uint64_t tm_f64_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
static inline double tm_f64_from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Reads forward over borrowed bytes. A read past the end sets `overrun` for good, gives zeros and
 * leaves `at` unchanged, so that a parser may read several fields and test once. */
struct tm_cursor {
    const uint8_t *data;
    size_t bytes;
    size_t at;
    bool overrun;
};

struct tm_cursor tm_cursor_of(struct tm_view view);
size_t tm_cursor_left(const struct tm_cursor *c);
uint8_t tm_cursor_u8(struct tm_cursor *c);
uint16_t tm_cursor_u16(struct tm_cursor *c);
uint32_t tm_cursor_u32(struct tm_cursor *c);
uint64_t tm_cursor_u64(struct tm_cursor *c);
/* The next `bytes` bytes, borrowed; an empty view on overrun. */
struct tm_view tm_cursor_take(struct tm_cursor *c, uint64_t bytes);

#endif
