/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tensor.h"

#include <stdio.h>

#include "base/num.h"

struct dtype_row {
    uint32_t value;
    const char *name;
    uint32_t block_elements, block_bytes;
};

#define DTYPE_ROW(code, value, text, elements, bytes) {value, text, elements, bytes},
static const struct dtype_row dtype_rows[] = {TM_DTYPE_LIST(DTYPE_ROW)};
#undef DTYPE_ROW

#define DTYPE_COUNT (sizeof dtype_rows / sizeof dtype_rows[0])

static const struct dtype_row *find_row(uint32_t value)
{
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        if (dtype_rows[i].value == value) {
            return &dtype_rows[i];
        }
    }
    return NULL;
}

/* An unknown value here is our bug: values from files pass tm_dtype_known first. */
static const struct dtype_row *row_of(enum tm_dtype dtype)
{
    const struct dtype_row *row = find_row((uint32_t)dtype);
    TM_ASSERT(row != NULL);
    return row;
}

bool tm_dtype_known(uint32_t value)
{
    return find_row(value) != NULL;
}

const char *tm_dtype_name(enum tm_dtype dtype)
{
    return row_of(dtype)->name;
}

bool tm_dtype_parse(struct tm_view name, enum tm_dtype *out)
{
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        if (tm_view_eq_str(name, dtype_rows[i].name)) {
            *out = (enum tm_dtype)dtype_rows[i].value;
            return true;
        }
    }
    return false;
}

uint32_t tm_dtype_block_elements(enum tm_dtype dtype)
{
    return row_of(dtype)->block_elements;
}

uint32_t tm_dtype_block_bytes(enum tm_dtype dtype)
{
    return row_of(dtype)->block_bytes;
}

bool tm_dtype_is_float(enum tm_dtype dtype)
{
    switch (dtype) {
    case TM_I8:
    case TM_I16:
    case TM_I32:
    case TM_I64:
    case TM_U8:
    case TM_U16:
    case TM_U32:
    case TM_U64:
    case TM_BOOL:
        return false;
    default:
        return true;
    }
}

bool tm_shape_elements(const struct tm_shape *shape, uint64_t *out)
{
    /* The product of the dimensions that are not 0 must fit too: code that walks only some of the
     * dimensions of an empty tensor may then multiply without checks. */
    uint64_t product = 1;
    bool empty = false;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0) {
            empty = true;
        } else if (!tm_mul_u64(product, shape->dim[i], &product)) {
            return false;
        }
    }
    *out = empty ? 0 : product;
    return true;
}

bool tm_shape_bytes(const struct tm_shape *shape, enum tm_dtype dtype, uint64_t *out)
{
    const struct dtype_row *row = row_of(dtype);
    uint64_t elements;
    uint64_t last = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
    if (last % row->block_elements != 0 || !tm_shape_elements(shape, &elements)) {
        return false;
    }
    return tm_mul_u64(elements / row->block_elements, row->block_bytes, out);
}

bool tm_shape_eq(const struct tm_shape *a, const struct tm_shape *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (uint32_t i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i]) {
            return false;
        }
    }
    return true;
}

void tm_shape_matrix(const struct tm_shape *shape, uint64_t *rows, uint64_t *cols)
{
    uint64_t elements = 0;
    *rows = 0;
    *cols = 0;
    if (!tm_shape_elements(shape, &elements) || elements == 0) {
        return;
    }
    if (shape->rank < 2) {
        *rows = 1;
        *cols = elements;
        return;
    }
    uint64_t joined = shape->dim[shape->rank - 1];
    if (joined < TM_SHAPE_COLS_MIN) {
        joined = elements / shape->dim[0];
    }
    if (joined < TM_SHAPE_COLS_MIN) {
        joined = elements;
    }
    *cols = joined;
    *rows = elements / joined;
}

const char *tm_shape_text(const struct tm_shape *shape, char *out, size_t out_bytes)
{
    TM_ASSERT(out_bytes > 0);
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i <= shape->rank && at < out_bytes; i++) {
        int n;
        if (i == shape->rank) {
            n = snprintf(out + at, out_bytes - at, "%s", i == 0 ? "[]" : "]");
        } else {
            n = snprintf(out + at, out_bytes - at, "%s%llu", i == 0 ? "[" : ", ",
                         (unsigned long long)shape->dim[i]);
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return out;
}
