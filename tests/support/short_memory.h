/* SPDX-License-Identifier: Apache-2.0
 * For fuzz targets. ctest replays their inputs a second time with each allocation failing
 * (fuzz_replay.c), and there a call may end this way that must otherwise do. */
#ifndef TM_TESTS_SHORT_MEMORY_H
#define TM_TESTS_SHORT_MEMORY_H

#include "base/mem.h"

/* Never true while nothing fails: a fuzzer sees the target as strict as ever. */
static inline bool ran_out(tm_status status)
{
    return status == TM_E_NOMEM && tm_mem_failed();
}

static inline bool ok_or_ran_out(tm_status status)
{
    return status == TM_OK || ran_out(status);
}

#endif
