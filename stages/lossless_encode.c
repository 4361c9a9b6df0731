/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/lossless_encode.h"

#include <zstd.h>

static size_t compress(ZSTD_CCtx *ctx, uint32_t level, struct tm_view bytes, uint8_t *out,
                       size_t capacity)
{
    /* libzstd picks a window of at most 2^23 for levels up to 19; setting the level alone keeps the
     * smaller windows of the low levels. The decoder checks the limit. */
    size_t code = ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, (int)level);
    if (!ZSTD_isError(code)) {
        code = ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 0);
    }
    if (!ZSTD_isError(code)) {
        code = ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 1);
    }
    if (!ZSTD_isError(code)) {
        code = ZSTD_compress2(ctx, out, capacity, bytes.data, bytes.bytes);
    }
    return code;
}

tm_status tm_zstd_encode(uint32_t level, struct tm_view bytes, struct tm_buf *out,
                         struct tm_err *err)
{
    TM_ASSERT(level >= 1 && level <= 19);
    size_t start = out->bytes, capacity = ZSTD_compressBound(bytes.bytes);
    uint8_t *at;
    TM_TRY(tm_buf_extend(out, capacity, &at));
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    size_t made = ctx == NULL ? 0 : compress(ctx, level, bytes, at, capacity);
    ZSTD_freeCCtx(ctx);
    if (ctx == NULL) {
        out->bytes = start;
        return TM_E_NOMEM;
    }
    if (ZSTD_isError(made)) {
        out->bytes = start;
        return tm_err_set(err, TM_E_INTERNAL, NULL, "cannot compress bytes", NULL, "zstd: %s",
                          ZSTD_getErrorName(made));
    }
    out->bytes = start + made;
    return TM_OK;
}
