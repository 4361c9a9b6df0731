/* SPDX-License-Identifier: Apache-2.0
 * A writer whose buffer cannot grow, at each byte of what it writes: whatever it puts there must
 * not be missing from a result that is called good. */
#ifndef TM_TESTS_GROWTH_H
#define TM_TESTS_GROWTH_H

#include <check.h>

#include "base/buf.h"
#include "base/mem.h"

/* `write` appends `bytes` bytes; its first allocation is the growth of the buffer. */
static inline void growth_fails_everywhere(tm_status (*write)(struct tm_buf *out), size_t bytes)
{
    for (size_t room = 0; room < bytes; room++) {
        struct tm_buf out;
        tm_buf_init(&out, bytes * 8);
        ck_assert_int_eq(tm_buf_reserve(&out, bytes), TM_OK);
        memset(out.data, 0, out.capacity);
        out.bytes = out.capacity - room;
        tm_mem_fail_at(1);
        tm_status status = write(&out);
        ck_assert(tm_mem_failed());
        tm_mem_fail_at(0);
        ck_assert_msg(status == TM_E_NOMEM, "room for %zu bytes: %s", room, tm_status_name(status));
        tm_buf_deinit(&out);
    }
}

#endif
