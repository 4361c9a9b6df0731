/* SPDX-License-Identifier: Apache-2.0
 * Each block has a header in front of it, so that tm_free knows the size and, for aligned blocks,
 * where the C library's block begins. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct header {
    size_t bytes; /* as asked for */
    void *base;   /* what malloc gave */
};

#define HEADER_BYTES 16 /* keeps the 16-byte alignment of malloc */
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header fits in front of a block");
#define BYTES_MAX (SIZE_MAX / 4)

static atomic_size_t live_bytes, live_blocks, peak_bytes;
static _Atomic uint64_t fail_countdown;
static atomic_bool failed;

static bool must_fail(void)
{
    uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1)) {
            if (left == 1) {
                atomic_store(&failed, true);
                return true;
            }
            return false;
        }
    }
    return false;
}

static void count_in(size_t bytes)
{
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    size_t now = atomic_fetch_add_explicit(&live_bytes, bytes, memory_order_relaxed) + bytes;
    size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now)) {
    }
}

static void count_out(size_t bytes)
{
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_bytes, bytes, memory_order_relaxed);
}

static struct header *header_of(void *ptr)
{
    return (struct header *)(void *)((uint8_t *)ptr - HEADER_BYTES);
}

/* Writes the header of the block that begins `skip` bytes into base. */
static void *hand_out(void *base, size_t skip, size_t bytes)
{
    void *ptr = (uint8_t *)base + skip;
    *header_of(ptr) = (struct header){.bytes = bytes, .base = base};
    count_in(bytes);
    return ptr;
}

void *tm_alloc(size_t bytes)
{
    if (bytes > BYTES_MAX || must_fail()) {
        return NULL;
    }
    void *base = malloc(HEADER_BYTES + bytes);
    return base != NULL ? hand_out(base, HEADER_BYTES, bytes) : NULL;
}

void *tm_calloc(size_t count, size_t item_bytes)
{
    if (item_bytes > 0 && count > BYTES_MAX / item_bytes) {
        return NULL;
    }
    if (must_fail()) {
        return NULL;
    }
    /* The C library knows which pages are zero already. */
    void *base = calloc(1, HEADER_BYTES + count * item_bytes);
    return base != NULL ? hand_out(base, HEADER_BYTES, count * item_bytes) : NULL;
}

void *tm_alloc_aligned(size_t alignment, size_t bytes)
{
    TM_ASSERT(alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (alignment <= HEADER_BYTES) {
        return tm_alloc(bytes);
    }
    if (bytes > BYTES_MAX || alignment > BYTES_MAX || must_fail()) {
        return NULL;
    }
    uint8_t *base = malloc(HEADER_BYTES + alignment + bytes);
    if (base == NULL) {
        return NULL;
    }
    uintptr_t first = (uintptr_t)base + HEADER_BYTES;
    uintptr_t aligned = (first + alignment - 1) & ~(uintptr_t)(alignment - 1);
    return hand_out(base, (size_t)(aligned - (uintptr_t)base), bytes);
}

void *tm_realloc(void *ptr, size_t bytes)
{
    if (ptr == NULL) {
        return tm_alloc(bytes);
    }
    struct header *old = header_of(ptr);
    size_t old_bytes = old->bytes;
    if (old->base != (void *)old) { /* an aligned block moves to a plain one */
        void *moved = tm_alloc(bytes);
        if (moved != NULL) {
            memcpy(moved, ptr, old_bytes < bytes ? old_bytes : bytes);
            tm_free(ptr);
        }
        return moved;
    }
    if (bytes > BYTES_MAX || must_fail()) {
        return NULL;
    }
    void *base = realloc(old, HEADER_BYTES + bytes);
    if (base == NULL) {
        return NULL;
    }
    count_out(old_bytes);
    return hand_out(base, HEADER_BYTES, bytes);
}

void *tm_realloc_array(void *ptr, size_t count, size_t item_bytes)
{
    if (item_bytes > 0 && count > BYTES_MAX / item_bytes) {
        return NULL;
    }
    return tm_realloc(ptr, count * item_bytes);
}

void tm_free(void *ptr)
{
    if (ptr == NULL) {
        return;
    }
    struct header *header = header_of(ptr);
    count_out(header->bytes);
    free(header->base);
}

char *tm_strdup(const char *text)
{
    return tm_strndup(text, strlen(text));
}

char *tm_strndup(const char *text, size_t bytes)
{
    if (bytes >= BYTES_MAX) {
        return NULL;
    }
    char *copy = tm_alloc(bytes + 1);
    if (copy != NULL) {
        if (bytes > 0) {
            memcpy(copy, text, bytes);
        }
        copy[bytes] = '\0';
    }
    return copy;
}

void *tm_memdup(const void *data, size_t bytes)
{
    void *copy = tm_alloc(bytes);
    if (copy != NULL && bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

void tm_mem_fail_at(uint64_t n)
{
    atomic_store(&failed, false);
    atomic_store(&fail_countdown, n);
}

bool tm_mem_failed(void)
{
    return atomic_load(&failed);
}

size_t tm_mem_live_bytes(void)
{
    return atomic_load(&live_bytes);
}

size_t tm_mem_live_blocks(void)
{
    return atomic_load(&live_blocks);
}

size_t tm_mem_peak_bytes(void)
{
    return atomic_load(&peak_bytes);
}

void tm_mem_reset_peak(void)
{
    atomic_store(&peak_bytes, atomic_load(&live_bytes));
}
