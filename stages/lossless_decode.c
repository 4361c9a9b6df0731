/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/lossless_decode.h"

#include <zstd.h>

#include "base/bytes.h"

size_t tm_zstd_bound(size_t bytes)
{
    return ZSTD_compressBound(bytes);
}

static tm_status malformed(struct tm_err *err, const char *why)
{
    return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot decode zstd bytes", NULL, "%s", why);
}

/* NULL, or what the frame header (RFC 8878, 3.1.1.1) has that the stage does not allow. */
static const char *check_header(struct tm_view frame, size_t bytes)
{
    struct tm_cursor c = tm_cursor_of(frame);
    if (tm_cursor_u32(&c) != ZSTD_MAGICNUMBER) {
        return "this is no zstd frame";
    }
    uint8_t descriptor = tm_cursor_u8(&c);
    bool single = (descriptor & 0x20) != 0;
    if ((descriptor & 0x1f) != 0) {
        return "the frame has a checksum, a dictionary or reserved bits";
    }
    uint64_t window = bytes;
    if (!single) {
        uint8_t w = tm_cursor_u8(&c);
        uint64_t base = 1ull << (10 + (w >> 3));
        window = base + base / 8 * (w & 7);
    }
    if (window > TM_ZSTD_WINDOW_MAX) {
        return "the frame's window is larger than 8 MiB";
    }
    return NULL;
}

tm_status tm_zstd_decode(struct tm_view frame, size_t bytes, uint8_t *out, struct tm_err *err)
{
    const char *why = check_header(frame, bytes);
    if (why != NULL) {
        return malformed(err, why);
    }
    unsigned long long content = ZSTD_getFrameContentSize(frame.data, frame.bytes);
    if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN) {
        return malformed(err, "the frame does not say its content size");
    }
    if (content != bytes) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot decode zstd bytes", NULL,
                          "the frame holds %llu bytes, %zu were expected", content, bytes);
    }
    size_t used = ZSTD_findFrameCompressedSize(frame.data, frame.bytes);
    if (ZSTD_isError(used)) {
        return malformed(err, ZSTD_getErrorName(used));
    }
    if (used != frame.bytes) {
        return malformed(err, "bytes are left after the frame");
    }
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (ctx == NULL) {
        return TM_E_NOMEM;
    }
    size_t made = ZSTD_decompressDCtx(ctx, out, bytes, frame.data, frame.bytes);
    ZSTD_freeDCtx(ctx);
    if (ZSTD_isError(made)) {
        return malformed(err, ZSTD_getErrorName(made));
    }
    return made == bytes ? TM_OK : malformed(err, "the frame ends before its content size");
}
