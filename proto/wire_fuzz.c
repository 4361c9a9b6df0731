/* SPDX-License-Identifier: Apache-2.0
 * Any bytes through tm_wire_unpack: never more memory than the budget, and what is accepted packs
 * to a frame that reads as the same message. */
#include "base/mem.h"
#include "proto/wire.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The allocator's budget, and nothing else may be alive at the peak. */
static void check_memory(size_t before, size_t frame_bytes)
{
    TM_ASSERT(tm_mem_live_bytes() == before);
    TM_ASSERT(tm_mem_peak_bytes() - before <= 1024 + 8 * frame_bytes);
}

static bool same(const struct tm_msg *a, const struct tm_msg *b)
{
    if (a->type == TM_MSG_DATA) {
        return b->type == TM_MSG_DATA && tm_digest_eq(&a->data.id, &b->data.id) &&
               a->data.offset == b->data.offset && a->data.total == b->data.total &&
               tm_view_eq(a->data.piece, b->data.piece);
    }
    return tm_view_eq(tm_view_of(a, sizeof *a), tm_view_of(b, sizeof *b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tm_msg first, second;
    size_t before = tm_mem_live_bytes();
    tm_mem_reset_peak();
    tm_status status = tm_wire_unpack(tm_view_of(data, size), &first, NULL);
    check_memory(before, size);
    if (status != TM_OK) {
        return 0;
    }
    struct tm_buf buf;
    tm_buf_init(&buf, TM_BULK_BYTES_MAX);
    status = tm_wire_pack(&first, &buf);
    TM_ASSERT(ok_or_ran_out(status));
    if (status == TM_OK) {
        TM_ASSERT(buf.bytes <= size); /* ours is the shortest encoding */
        status = tm_wire_unpack(tm_buf_view(&buf), &second, NULL);
        TM_ASSERT(ok_or_ran_out(status));
        TM_ASSERT(status != TM_OK || same(&first, &second));
    }
    tm_buf_deinit(&buf);
    return 0;
}
