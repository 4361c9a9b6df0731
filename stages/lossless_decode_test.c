/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/lossless_decode.h"

#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static uint8_t source[5000], frame[6000], back[5000];

/* One frame of source with the given settings; its size. */
static size_t make_frame(int window_log, int checksum, int content_size)
{
    for (size_t i = 0; i < sizeof source; i++) {
        source[i] = (uint8_t)(i * i >> 7);
    }
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, checksum);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, content_size);
    if (window_log > 0) {
        ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);
    }
    size_t made = 0;
    if (content_size) {
        made = ZSTD_compress2(ctx, frame, sizeof frame, source, sizeof source);
    } else {
        ZSTD_inBuffer in = {source, sizeof source, 0};
        ZSTD_outBuffer out = {frame, sizeof frame, 0};
        ck_assert_uint_eq(ZSTD_compressStream2(ctx, &out, &in, ZSTD_e_end), 0);
        made = out.pos;
    }
    ZSTD_freeCCtx(ctx);
    ck_assert(!ZSTD_isError(made));
    return made;
}

static void expect(size_t frame_bytes, size_t bytes, const char *why)
{
    struct tm_err err;
    ck_assert_int_eq(tm_zstd_decode(tm_view_of(frame, frame_bytes), bytes, back, &err),
                     TM_E_MALFORMED);
    ck_assert_msg(strstr(err.why, why) != NULL, "'%s' lacks '%s'", err.why, why);
}

START_TEST(accepts_a_plain_frame)
{
    size_t made = make_frame(0, 0, 1);
    ck_assert_int_eq(tm_zstd_decode(tm_view_of(frame, made), sizeof source, back, NULL), TM_OK);
    ck_assert_mem_eq(source, back, sizeof source);
}
END_TEST

START_TEST(refuses_other_frames)
{
    size_t made = make_frame(0, 0, 1);
    expect(made, sizeof source - 1, "4999 were expected");
    frame[made] = 0;
    expect(made + 1, sizeof source, "left after the frame");
    expect(0, sizeof source, "no zstd frame");
    expect(4, sizeof source, "");
    frame[0] ^= 1;
    expect(made, sizeof source, "no zstd frame");
    made = make_frame(0, 1, 1);
    expect(made, sizeof source, "checksum");
    made = make_frame(0, 0, 0);
    expect(made, sizeof source, "content size");
}
END_TEST

/* Written by hand: magic, descriptor (4 byte size, no single segment), window 2^24, size, one empty
 * raw last block. */
START_TEST(refuses_large_windows)
{
    uint8_t large[] = {0x28, 0xb5, 0x2f, 0xfd, 0x80, 14 << 3, 0, 0, 0, 0, 1, 0, 0};
    struct tm_err err;
    ck_assert_int_eq(tm_zstd_decode(tm_view_of(large, sizeof large), 0, back, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "8 MiB"));
    large[5] = 13 << 3;
    ck_assert_int_eq(tm_zstd_decode(tm_view_of(large, sizeof large), 0, back, &err), TM_OK);
    large[5] = 13 << 3 | 1;
    ck_assert_int_eq(tm_zstd_decode(tm_view_of(large, sizeof large), 0, back, &err),
                     TM_E_MALFORMED);
}
END_TEST

START_TEST(damaged_frames)
{
    size_t made = make_frame(0, 0, 1);
    for (size_t cut = 0; cut < made; cut++) {
        expect(cut, sizeof source, "");
    }
    /* Without a checksum a flip may decode, but never outside of the output or to another size. */
    for (size_t i = 0; i < made; i++) {
        frame[i] ^= 0x55;
        tm_status status = tm_zstd_decode(tm_view_of(frame, made), sizeof source, back, NULL);
        ck_assert(status == TM_OK || status == TM_E_MALFORMED);
        frame[i] ^= 0x55;
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("lossless_decode");
    TCase *tc = tcase_create("lossless_decode");
    tcase_add_test(tc, accepts_a_plain_frame);
    tcase_add_test(tc, refuses_other_frames);
    tcase_add_test(tc, refuses_large_windows);
    tcase_add_test(tc, damaged_frames);
    suite_add_tcase(suite, tc);
    return suite;
}
