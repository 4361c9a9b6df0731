/* SPDX-License-Identifier: Apache-2.0
 * All heap memory of Tensormill. Tests can make the n-th allocation fail and read the live and peak
 * byte counts. Thread-safe. */
#ifndef TM_BASE_MEM_H
#define TM_BASE_MEM_H

#include "base/status.h"

/* NULL on failure. A size of 0 gives a valid, freeable pointer. */
void *tm_alloc(size_t bytes);
void *tm_calloc(size_t count, size_t item_bytes);               /* zeroed, overflow-checked */
void *tm_realloc(void *ptr, size_t bytes);                      /* ptr stays valid on failure */
void *tm_realloc_array(void *ptr, size_t count, size_t item_bytes); /* overflow-checked */
void *tm_alloc_aligned(size_t alignment, size_t bytes);         /* free with tm_free */
void tm_free(void *ptr);                                        /* NULL-safe */
char *tm_strdup(const char *text);
char *tm_strndup(const char *text, size_t bytes); /* copies bytes and adds a NUL */
void *tm_memdup(const void *data, size_t bytes);

/* Test control: the n-th allocation from now (1 = the next) fails once; 0 switches it off. */
void tm_mem_fail_at(uint64_t n);
/* Whether the failure set by tm_mem_fail_at has happened. */
bool tm_mem_failed(void);
size_t tm_mem_live_bytes(void);
size_t tm_mem_live_blocks(void);
size_t tm_mem_peak_bytes(void);
void tm_mem_reset_peak(void);

#endif
