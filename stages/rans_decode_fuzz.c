/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a rans stream. Input: alphabet - 2 (a byte), number of symbols (16 bits), stream.
 * Whatever CANONICAL accepts is what the encoder writes for these symbols; FAST accepts it too;
 * every kernel says the same. */
#include "stages/rans_decode.h"

#include "base/mem.h"
#include "stages/rans_encode.h"
#include "tests/support/short_memory.h"

static void check_reencodes(uint32_t alphabet, const uint8_t *codes, size_t count,
                            struct tm_view stream)
{
    struct tm_buf again;
    tm_buf_init(&again, tm_rans_bound(alphabet, count));
    tm_status status = tm_rans_encode(alphabet, codes, count, &again);
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(&again), stream));
    tm_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || data[0] == 255) {
        return 0;
    }
    uint32_t alphabet = 2u + data[0];
    size_t count = tm_get_u16(data + 1), kernels = 0;
    tm_status first = TM_OK;
    uint8_t *codes = tm_alloc(count);
    if (codes == NULL) {
        TM_ASSERT(tm_mem_failed());
        return 0;
    }
    for (enum tm_kernel k = TM_KERNEL_REF; k < TM_KERNEL_COUNT; k++) {
        if (!tm_kernel_supported(k) || tm_kernel_force(k) != TM_OK) {
            continue;
        }
        struct tm_cursor in = tm_cursor_of(tm_view_of(data + 3, size - 3));
        tm_status status = tm_rans_decode(&in, alphabet, count, TM_DECODE_CANONICAL, codes, NULL);
        TM_ASSERT(kernels++ == 0 || status == first);
        first = status;
        if (status == TM_OK) {
            check_reencodes(alphabet, codes, count, tm_view_of(data + 3, in.at));
        }
        struct tm_cursor fast = tm_cursor_of(tm_view_of(data + 3, size - 3));
        tm_status loose = tm_rans_decode(&fast, alphabet, count, TM_DECODE_FAST, codes, NULL);
        TM_ASSERT(status != TM_OK || (loose == TM_OK && fast.at == in.at));
    }
    tm_free(codes);
    return 0;
}
