/* SPDX-License-Identifier: Apache-2.0
 * Where the elements of a tensor lie when they do not simply follow each other in row-major,
 * little-endian order: strides of a view, the byte order of another machine, and the checksum of
 * what they lie in. Private to model/. */
#ifndef TM_MODEL_LAYOUT_H
#define TM_MODEL_LAYOUT_H

#include <stdatomic.h>

#include "base/file.h"
#include "model/inventory.h"

struct tm_layout {
    uint64_t stride[TM_RANK_MAX]; /* elements from one index to the next; 0 repeats */
    uint32_t element_bytes;
    bool strided;
    bool swapped;   /* big-endian */
    uint32_t check; /* tm_sources.checks[check - 1] covers the elements; 0: nothing does */
};

/* CRC-32 of a part of a file, which several tensors may lie in. */
struct tm_layout_check {
    uint64_t at, bytes;
    uint32_t crc;
    atomic_bool good; /* it was checked, and right */
};

/* The last element of a view of `shape` at strides, counted from its first one. false on overflow.
 * A shape without elements gives 0. */
bool tm_layout_extent(const struct tm_shape *shape, const uint64_t *stride, uint64_t *last);
/* Whether the strides are those of row-major order (of a dimension of one they do not matter). */
bool tm_layout_is_dense(const struct tm_shape *shape, const uint64_t *stride);

/* bytes at offset of the tensor's logical bytes (row-major, little-endian). The view was checked
 * against its file. Thread-safe, 256 KiB of memory. What lies far apart is read piece by piece, for
 * all the bytes asked for at once: ask for a MiB rather than a row. */
tm_status tm_layout_read(const struct tm_layout *layout, struct tm_file_in *file,
                         const struct tm_tensor *tensor, uint64_t offset, void *out, size_t bytes,
                         struct tm_err *err) TM_MUST_USE;
/* Checks the CRC once; TM_E_MALFORMED names the tensor. */
tm_status tm_layout_check(struct tm_layout_check *check, struct tm_file_in *file,
                          const struct tm_tensor *tensor, struct tm_err *err) TM_MUST_USE;

#endif
