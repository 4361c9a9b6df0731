/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layout.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/crc32.h"
#include "model/where.h"

#define WINDOW_BYTES (256u << 10)
#define WASTE_TIMES 4u /* bytes read for each byte that is wanted, at most, in large reads */
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

/* A part of the view that is a box: count[d] indices from some index of each dimension on. */
struct box {
    uint64_t first; /* element of the file, from the view's first one on */
    uint64_t count[TM_RANK_MAX];
    uint64_t out_step[TM_RANK_MAX]; /* elements of the output from one index to the next */
};

struct gatherer {
    const struct tm_layout *layout;
    struct tm_file_in *file;
    const struct tm_tensor *tensor;
    uint8_t *data; /* WINDOW_BYTES */
    struct tm_err *err;
};

/* How many elements of the file a box spans, and how many it has. A view without overflow has no
 * box with one; elements that repeat may be more than there are bytes, but they fit the output. */
static void measure(const struct gatherer *g, const struct box *box, uint64_t *span,
                    uint64_t *elements)
{
    *span = 1;
    *elements = 1;
    for (uint32_t d = 0; d < g->tensor->shape.rank; d++) {
        *span += (box->count[d] - 1) * g->layout->stride[d];
        *elements *= box->count[d];
    }
}

static void put_element(const struct tm_layout *layout, const uint8_t *from, uint8_t *to)
{
    uint32_t size = layout->element_bytes;
    if (layout->swapped) {
        for (uint32_t i = 0; i < size; i++) {
            to[i] = from[size - 1 - i];
        }
    } else if (size == 4) { /* a size that the compiler knows is one load */
        memcpy(to, from, 4);
    } else if (size == 2) {
        memcpy(to, from, 2);
    } else {
        memcpy(to, from, size);
    }
}

/* The box from what was read. The longest dimension is the innermost loop. */
static void scatter(const struct gatherer *g, const struct box *box, uint8_t *out)
{
    uint32_t size = g->layout->element_bytes, rank = 0, inner = 0;
    uint64_t count[TM_RANK_MAX + 1], from_step[TM_RANK_MAX + 1], out_step[TM_RANK_MAX + 1];
    uint64_t at[TM_RANK_MAX + 1] = {0}, from = 0, to = 0;
    for (uint32_t d = 0; d < g->tensor->shape.rank; d++) {
        if (box->count[d] > 1) {
            count[rank] = box->count[d];
            from_step[rank] = g->layout->stride[d] * size;
            out_step[rank] = box->out_step[d] * size;
            inner = count[rank] > count[inner] ? rank : inner;
            rank++;
        }
    }
    if (rank == 0) {
        put_element(g->layout, g->data, out);
        return;
    }
    while (true) {
        for (uint64_t i = 0; i < count[inner]; i++) {
            put_element(g->layout, g->data + from + i * from_step[inner],
                        out + to + i * out_step[inner]);
        }
        uint32_t d = 0;
        for (; d < rank; d++) {
            if (d == inner) {
                continue;
            }
            from += from_step[d];
            to += out_step[d];
            if (++at[d] < count[d]) {
                break;
            }
            from -= count[d] * from_step[d];
            to -= count[d] * out_step[d];
            at[d] = 0;
        }
        if (d == rank) {
            return;
        }
    }
}

/* Whether to read all that the box spans at once. */
static bool is_compact(const struct gatherer *g, uint64_t span, uint64_t elements)
{
    uint64_t most = WINDOW_BYTES / g->layout->element_bytes;
    return span <= most && (span <= WASTE_TIMES * elements || span <= most / 16);
}

/* Reads the box: at once when it is compact; else in slices of the dimension with the largest
 * stride, each as thick as is compact. A slice that is not compact has one dimension less: the
 * depth is at most the rank. */
static tm_status gather(const struct gatherer *g, const struct box *box, uint8_t *out)
{
    uint32_t size = g->layout->element_bytes, d = 0;
    uint64_t span, elements;
    measure(g, box, &span, &elements);
    if (is_compact(g, span, elements)) {
        uint64_t at = g->tensor->offset + box->first * size;
        TM_TRY(tm_file_read_at(g->file, at, g->data, (size_t)span * size, g->err));
        scatter(g, box, out);
        return TM_OK;
    }
    for (uint32_t i = 1; i < g->tensor->shape.rank; i++) {
        bool larger = g->layout->stride[i] > g->layout->stride[d] && box->count[i] > 1;
        d = box->count[d] == 1 || larger ? i : d;
    }
    uint64_t stride = g->layout->stride[d], all = box->count[d], thick = 1;
    TM_ASSERT(all > 0);
    uint64_t thin = span - (all - 1) * stride, most = WINDOW_BYTES / size;
    uint64_t wanted = WASTE_TIMES * (elements / all);
    if (thin <= most && thin <= wanted && stride <= wanted) {
        thick = 1 + (stride > 0 ? (most - thin) / stride : 0);
    }
    for (uint64_t i = 0; i < all; i += thick) {
        struct box slice = *box;
        slice.first += i * stride;
        slice.count[d] = all - i < thick ? all - i : thick;
        TM_TRY(gather(g, &slice, out + i * box->out_step[d] * size));
    }
    return TM_OK;
}

/* The largest box that element `first` (row-major) begins and that has at most `count` elements:
 * some indices of one dimension, all of those behind it. Returns its elements. */
static uint64_t box_at(const struct gatherer *g, uint64_t first, uint64_t count, struct box *out)
{
    const struct tm_shape *shape = &g->tensor->shape;
    uint64_t step = 1, left = first, inner = 1, elements = 1;
    bool whole = true; /* all dimensions so far are taken whole */
    memset(out, 0, sizeof *out);
    for (uint32_t d = shape->rank; d > 0; d--) {
        uint64_t dim = shape->dim[d - 1];
        TM_ASSERT(dim > 0); /* an element was asked for */
        uint64_t index = left % dim, fit = whole ? count / inner : 1;
        uint64_t take = fit < dim - index ? fit : dim - index;
        take = take > 0 ? take : 1;
        whole = whole && take == dim;
        out->first += index * g->layout->stride[d - 1];
        out->count[d - 1] = take;
        out->out_step[d - 1] = step;
        elements *= take;
        step *= dim;
        inner *= whole ? dim : 1;
        left /= dim;
    }
    return elements;
}

/* Elements [first, first + count). */
static tm_status read_elements(const struct gatherer *g, uint64_t first, uint64_t count,
                               uint8_t *out)
{
    while (count > 0) {
        struct box box;
        uint64_t taken = box_at(g, first, count, &box);
        TM_TRY(gather(g, &box, out));
        first += taken;
        count -= taken;
        out += taken * g->layout->element_bytes;
    }
    return TM_OK;
}

/* Reads that begin or end within an element. */
static tm_status read_ragged(const struct gatherer *g, uint64_t offset, uint8_t *out, size_t bytes)
{
    uint32_t size = g->layout->element_bytes;
    while (bytes > 0) {
        uint8_t element[16];
        size_t within = (size_t)(offset % size);
        uint64_t whole = within == 0 ? bytes / size : 0;
        if (whole > 0) {
            TM_TRY(read_elements(g, offset / size, whole, out));
            offset += whole * size;
            out += whole * size;
            bytes -= (size_t)(whole * size);
            continue;
        }
        size_t part = size - within < bytes ? size - within : bytes;
        TM_TRY(read_elements(g, offset / size, 1, element));
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
    struct gatherer g = {.layout = layout, .file = file, .tensor = tensor, .err = err};
    g.data = tm_alloc(WINDOW_BYTES);
    if (g.data == NULL) {
        return no_memory(tensor, file, err);
    }
    tm_status status = read_ragged(&g, offset, out, bytes);
    tm_free(g.data);
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
