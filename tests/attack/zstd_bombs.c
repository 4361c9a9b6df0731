/* SPDX-License-Identifier: Apache-2.0
 * Hand-made zstd frames (RFC 8878) that would fill the memory: a gibibyte out of 33 kB, ten bytes
 * that ask for a window of 128 MiB and more, sizes that do not fit. Both ways to the decoder refuse
 * each, within a mebibyte, and write nothing past the output. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "stages/lossless_decode.h"
#include "stages/pipeline.h"

#define EXPECTED 4096u /* bytes that the signed tables say */
#define GUARD 65536u
#define GROWTH_KIB_MAX 1024
#define GIB_BLOCKS 8192u /* of 128 KiB each */

static long peak_kib(void)
{
    struct rusage usage;
    TM_ASSERT(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_maxrss;
}

/* ---- frames ---- */

static void put(struct tm_buf *out, const void *data, size_t bytes)
{
    TM_ASSERT(tm_buf_put(out, data, bytes) == TM_OK);
}

static void put_magic(struct tm_buf *out)
{
    put(out, "\x28\xb5\x2f\xfd", 4);
}

/* content_bytes of 8 with a window of 2^window_log, or without one as a single segment (0). */
static void put_header(struct tm_buf *out, unsigned window_log, uint64_t content)
{
    uint8_t size[8];
    uint8_t descriptor = (uint8_t)(0xc0 | (window_log == 0 ? 0x20 : 0));
    uint8_t window = (uint8_t)((window_log > 10 ? window_log - 10 : 0) << 3);
    put_magic(out);
    put(out, &descriptor, 1);
    if (window_log > 0) {
        put(out, &window, 1);
    }
    tm_set_u64(size, content);
    put(out, size, sizeof size);
}

/* Blocks that repeat one byte 2^17 times. */
static void put_blocks(struct tm_buf *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t head = (i + 1 == count ? 1u : 0u) | 1u << 1 | 131072u << 3;
        uint8_t block[4] = {(uint8_t)head, (uint8_t)(head >> 8), (uint8_t)(head >> 16), 'B'};
        put(out, block, sizeof block);
    }
}

/* ---- the two ways in ---- */

static uint8_t output[EXPECTED + GUARD];
static struct tm_pipeline pipeline;
static int wrong;

static bool refused(const char *what, tm_status status, const struct tm_err *err)
{
    for (size_t i = EXPECTED; i < sizeof output; i++) {
        if (output[i] != 0x5a) {
            printf("%s: wrote past the output at %zu\n", what, i);
            return false;
        }
    }
    if (status != TM_E_MALFORMED || err->why[0] == '\0') {
        printf("%s: %s '%s', expected a refusal\n", what, tm_status_name(status), err->why);
        return false;
    }
    return true;
}

static void check(const char *what, struct tm_buf *frame)
{
    struct tm_err err = {0};
    long before = peak_kib();
    memset(output, 0x5a, sizeof output);
    bool good = refused(what, tm_zstd_decode(tm_buf_view(frame), EXPECTED, output, &err), &err);
    char why[sizeof err.why];
    memcpy(why, err.why, sizeof why);
    memset(&err, 0, sizeof err);
    memset(output, 0x5a, sizeof output);
    good &= refused(what,
                    tm_pipeline_decode_bytes(&pipeline, EXPECTED, tm_buf_view(frame), output, &err),
                    &err);
    long grown = peak_kib() - before;
    printf("%-44s %6zu bytes, +%ld KiB: %s\n", what, frame->bytes, grown, why);
    if (!good || grown > GROWTH_KIB_MAX) {
        wrong++;
    }
    tm_buf_clear(frame);
}

static void bombs(struct tm_buf *frame)
{
    put_header(frame, 0, (uint64_t)GIB_BLOCKS << 17);
    put_blocks(frame, GIB_BLOCKS);
    check("a gibibyte, and says so", frame);
    put_header(frame, 0, EXPECTED);
    put_blocks(frame, GIB_BLOCKS);
    check("a gibibyte that says 4096, single segment", frame);
    put_header(frame, 17, EXPECTED);
    put_blocks(frame, GIB_BLOCKS);
    check("a gibibyte that says 4096, window of 2^17", frame);
    put_header(frame, 23, EXPECTED);
    put_blocks(frame, GIB_BLOCKS);
    check("a gibibyte that says 4096, window of 2^23", frame);
    put_header(frame, 0, UINT64_MAX);
    put_blocks(frame, 1);
    check("2^64 - 1 bytes", frame);
    put_header(frame, 0, EXPECTED);
    put_blocks(frame, 0);
    check("a header alone", frame);
}

static void windows(struct tm_buf *frame)
{
    static const unsigned logs[] = {24, 27, 31, 41};
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        char what[64];
        snprintf(what, sizeof what, "a window of 2^%u", logs[i]);
        put_header(frame, logs[i], EXPECTED);
        put_blocks(frame, 1);
        check(what, frame);
    }
    /* Ten bytes: magic, no content size, window of 2^27, an empty last block. */
    put_magic(frame);
    put(frame, "\x00\x88\x01\x00\x00\x00", 6);
    check("ten bytes with a window of 2^27", frame);
}

static void others(struct tm_buf *frame)
{
    put(frame, "\x50\x2a\x4d\x18\xff\xff\xff\xff", 8);
    check("a skippable frame of 4 GiB", frame);
    put(frame, "\x50\x2a\x4d\x18\0\0\0\0", 8);
    put_header(frame, 0, EXPECTED);
    put_blocks(frame, 1);
    check("a skippable frame before the frame", frame);
    for (int i = 0; i < 2; i++) {
        put_header(frame, 0, EXPECTED / 2);
        uint8_t half[4] = {1u | 1u << 1 | (uint8_t)((EXPECTED / 2) << 3),
                           (uint8_t)((EXPECTED / 2) >> 5), 0, 'B'};
        put(frame, half, sizeof half);
    }
    check("two frames of half", frame);
    check("nothing", frame);
}

/* The frames are refused for what they are, not because hand-made ones never decode. */
static bool an_honest_one(struct tm_buf *frame)
{
    struct tm_err err = {0};
    uint8_t block[4] = {1u | 1u << 1 | (uint8_t)(EXPECTED << 3), (uint8_t)(EXPECTED >> 5), 0, 'B'};
    put_header(frame, 17, EXPECTED);
    put(frame, block, sizeof block);
    bool good = tm_zstd_decode(tm_buf_view(frame), EXPECTED, output, &err) == TM_OK;
    tm_buf_clear(frame);
    printf("an honest frame: %s %s\n", good ? "decoded" : "REFUSED", err.why);
    return good && output[0] == 'B' && output[EXPECTED - 1] == 'B';
}

int main(void)
{
    struct tm_buf frame;
    tm_buf_init(&frame, 1 << 20);
    TM_ASSERT(tm_buf_reserve(&frame, 1 << 20) == TM_OK);
    TM_ASSERT(tm_pipeline_parse(tm_view_str("zstd"), &pipeline, NULL) == TM_OK);
    bool honest = an_honest_one(&frame);
    bombs(&frame);
    windows(&frame);
    others(&frame);
    tm_buf_deinit(&frame);
    return honest && wrong == 0 && tm_mem_live_blocks() == 0 ? 0 : 1;
}
