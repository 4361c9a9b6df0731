/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layout.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/crc32.h"
#include "model/where.h"

#define WINDOW_BYTES (64u << 10)
#define CRC_PIECE_BYTES (1u << 20)

static const char what_failed[] = "cannot read the tensor";

bool tm_layout_extent(const struct tm_shape *shape, const uint64_t *stride, uint64_t *last)
{
    uint64_t sum = 0, step;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0) {
            *last = 0;
            return true;
        }
    }
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (!tm_mul_u64(shape->dim[i] - 1, stride[i], &step) || !tm_add_u64(sum, step, &sum)) {
            return false;
        }
    }
    *last = sum;
    return true;
}

bool tm_layout_is_dense(const struct tm_shape *shape, const uint64_t *stride)
{
    uint64_t expected = 1;
    for (uint32_t i = shape->rank; i > 0; i--) {
        if (shape->dim[i - 1] != 1 && stride[i - 1] != expected) {
            return false;
        }
        if (!tm_mul_u64(expected, shape->dim[i - 1], &expected)) {
            return false;
        }
    }
    return true;
}

/* ---- reading ---- */

/* A piece of the file that was read ahead. */
struct window {
    const struct tm_layout *layout;
    struct tm_file_in *file;
    const struct tm_tensor *tensor;
    uint8_t *data;
    uint64_t at, bytes; /* of the file */
    uint64_t ahead;     /* how much a read takes */
    struct tm_err *err;
};

/* Where element `index` (row-major) lies, in elements from the first one. */
static uint64_t place_of(const struct window *w, uint64_t index)
{
    const struct tm_shape *shape = &w->tensor->shape;
    uint64_t place = 0;
    for (uint32_t i = shape->rank; i > 0; i--) {
        TM_ASSERT(shape->dim[i - 1] > 0); /* an element was asked for */
        place += index % shape->dim[i - 1] * w->layout->stride[i - 1];
        index /= shape->dim[i - 1];
    }
    return place;
}

/* Makes element `place` be in the window, with what follows it. */
static tm_status fetch(struct window *w, uint64_t place, const uint8_t **out)
{
    uint32_t size = w->layout->element_bytes;
    uint64_t at = w->tensor->offset + place * size, end = tm_file_bytes(w->file);
    if (at < w->at || at - w->at > w->bytes || w->bytes - (at - w->at) < size) {
        uint64_t take = end - at < w->ahead ? end - at : w->ahead;
        w->bytes = 0;
        TM_TRY(tm_file_read_at(w->file, at, w->data, (size_t)take, w->err));
        w->at = at;
        w->bytes = take;
    }
    *out = w->data + (at - w->at);
    return TM_OK;
}

static void put_element(const struct tm_layout *layout, const uint8_t *from, uint8_t *to)
{
    uint32_t size = layout->element_bytes;
    for (uint32_t i = 0; i < size; i++) {
        to[i] = from[layout->swapped ? size - 1 - i : i];
    }
}

/* count elements from `first` on, one by one. */
static tm_status gather(struct window *w, uint64_t first, uint64_t count, uint8_t *out)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *from = NULL;
        TM_TRY(fetch(w, place_of(w, first + i), &from));
        put_element(w->layout, from, out + i * w->layout->element_bytes);
    }
    return TM_OK;
}

/* Whole rows of a matrix whose columns lie one after the other (the transpose of a dense one): read
 * a column's part for all the rows at once. */
static tm_status gather_columns(struct window *w, uint64_t first_row, uint64_t rows, uint8_t *out)
{
    const struct tm_layout *layout = w->layout;
    uint32_t size = layout->element_bytes, rank = w->tensor->shape.rank;
    uint64_t cols = w->tensor->shape.dim[rank - 1], row = first_row;
    w->ahead = rows < WINDOW_BYTES / size ? rows * size : WINDOW_BYTES;
    for (uint64_t c = 0; c < cols; c++) {
        uint64_t place = place_of(w, row * cols + c);
        for (uint64_t r = 0; r < rows; r++) {
            const uint8_t *from = NULL;
            TM_TRY(fetch(w, place + r, &from));
            put_element(layout, from, out + (r * cols + c) * size);
        }
    }
    w->ahead = WINDOW_BYTES;
    return TM_OK;
}

static bool has_columns(const struct window *w)
{
    const struct tm_shape *shape = &w->tensor->shape;
    return shape->rank == 2 && w->layout->stride[0] == 1 && w->layout->stride[1] > 1;
}

/* Elements [first, first + count). */
static tm_status read_elements(struct window *w, uint64_t first, uint64_t count, uint8_t *out)
{
    uint64_t cols = has_columns(w) ? w->tensor->shape.dim[1] : 0;
    if (cols == 0 || count < 2 * cols) {
        return gather(w, first, count, out);
    }
    uint32_t size = w->layout->element_bytes;
    uint64_t head = (cols - first % cols) % cols, rows = (count - head) / cols;
    uint64_t tail = count - head - rows * cols;
    TM_TRY(gather(w, first, head, out));
    TM_TRY(gather_columns(w, (first + head) / cols, rows, out + head * size));
    return gather(w, first + count - tail, tail, out + (count - tail) * size);
}

/* Reads that begin or end within an element. */
static tm_status read_ragged(struct window *w, uint64_t offset, uint8_t *out, size_t bytes)
{
    uint32_t size = w->layout->element_bytes;
    while (bytes > 0) {
        uint8_t element[16];
        size_t within = (size_t)(offset % size);
        uint64_t whole = within == 0 ? bytes / size : 0;
        if (whole > 0) {
            TM_TRY(read_elements(w, offset / size, whole, out));
            offset += whole * size;
            out += whole * size;
            bytes -= (size_t)(whole * size);
            continue;
        }
        size_t part = size - within < bytes ? size - within : bytes;
        TM_TRY(read_elements(w, offset / size, 1, element));
        memcpy(out, element + within, part);
        offset += part;
        out += part;
        bytes -= part;
    }
    return TM_OK;
}

static tm_status no_memory(const struct tm_tensor *tensor, const struct tm_file_in *file,
                           struct tm_err *err)
{
    struct tm_where where;
    tm_where(&where, tm_file_path(file), tm_view_of(tensor->name, tensor->name_bytes));
    return tm_err_set(err, TM_E_NOMEM, where.text, what_failed, NULL, "out of memory");
}

tm_status tm_layout_read(const struct tm_layout *layout, struct tm_file_in *file,
                         const struct tm_tensor *tensor, uint64_t offset, void *out, size_t bytes,
                         struct tm_err *err)
{
    if (!layout->strided && !layout->swapped) {
        return tm_file_read_at(file, tensor->offset + offset, out, bytes, err);
    }
    struct window w = {
        .layout = layout, .file = file, .tensor = tensor, .ahead = WINDOW_BYTES, .err = err};
    w.data = tm_alloc(WINDOW_BYTES);
    if (w.data == NULL) {
        return no_memory(tensor, file, err);
    }
    tm_status status = read_ragged(&w, offset, out, bytes);
    tm_free(w.data);
    return status;
}

/* ---- checksum ---- */

tm_status tm_layout_check(struct tm_layout_check *check, struct tm_file_in *file,
                          const struct tm_tensor *tensor, struct tm_err *err)
{
    if (atomic_load(&check->good)) {
        return TM_OK;
    }
    uint8_t *data = tm_alloc(CRC_PIECE_BYTES);
    uint32_t crc = 0;
    tm_status status = data == NULL ? no_memory(tensor, file, err) : TM_OK;
    for (uint64_t at = 0; at < check->bytes && status == TM_OK;) {
        uint64_t left = check->bytes - at;
        size_t piece = left < CRC_PIECE_BYTES ? (size_t)left : CRC_PIECE_BYTES;
        status = tm_file_read_at(file, check->at + at, data, piece, err);
        if (status == TM_OK) {
            crc = tm_crc32(crc, tm_view_of(data, piece));
        }
        at += piece;
    }
    tm_free(data);
    if (status == TM_OK && crc != check->crc) {
        struct tm_where where;
        tm_where(&where, tm_file_path(file), tm_view_of(tensor->name, tensor->name_bytes));
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, "fetch the file again",
                          "the checksum (CRC-32) of its data is %08x, and the archive says %08x",
                          crc, check->crc);
    }
    atomic_store(&check->good, status == TM_OK);
    return status;
}
