/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "model/gguf_type.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the GGUF file";
static const char hint_again[] = "fetch the file again";

#define FIXED_BYTES 24                      /* magic, version and both counts */
#define ENTRY_BYTES_MIN (8 + 1 + 4 + 4 + 8) /* a name of one byte, no dimension */
#define ALIGNMENT_DEFAULT 32

/* ---- measuring ---- */

static tm_status check_version(uint32_t version, const char *path, struct tm_err *err)
{
    if (version == 2 || version == 3) {
        return TM_OK;
    }
    if (version != 0 && (version & 0xffff) == 0) {
        return tm_err_set(err, TM_E_INCOMPATIBLE, path, what_failed,
                          "make it again as a little-endian GGUF", "the file is big-endian");
    }
    return tm_err_set(err, TM_E_INCOMPATIBLE, path, what_failed, "convert it to version 3 first",
                      "version %lu cannot be read, only 2 and 3", (unsigned long)version);
}

/* Walks one tensor entry without a look at its values. */
static tm_status pass_entry(struct tm_cursor *c, uint64_t number,
                            const struct tm_gguf_layout *layout,
                            const struct tm_gguf_options *options, struct tm_err *err)
{
    uint64_t name_bytes = tm_cursor_u64(c);
    size_t name_at = c->at;
    tm_cursor_take(c, name_bytes);
    uint32_t rank = tm_cursor_u32(c);
    if (!c->overrun && rank > TM_GGUF_RANK_MAX) {
        struct tm_where where;
        tm_where(&where, options->path, tm_view_of(c->data + name_at, (size_t)name_bytes));
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "%lu dimensions (at byte %llu), and at most %d are allowed",
                          (unsigned long)rank, (unsigned long long)c->at - 4, TM_GGUF_RANK_MAX);
    }
    tm_cursor_take(c, (uint64_t)rank * 8 + 4 + 8);
    if (!c->overrun) {
        return TM_OK;
    }
    uint64_t exist = options->file_bytes - c->at;
    if (c->bytes < options->file_bytes && name_bytes <= exist) {
        return TM_E_LIMIT;
    }
    return tm_err_set(
        err, TM_E_MALFORMED, options->path, what_failed, hint_again,
        "the file is truncated within its list of tensors: it has %llu bytes and ends "
        "in tensor %llu of %llu",
        (unsigned long long)options->file_bytes, (unsigned long long)number + 1,
        (unsigned long long)layout->tensor_count);
}

static tm_status measure_meta(struct tm_view head, const struct tm_gguf_options *options,
                              struct tm_gguf_layout *out, struct tm_err *err)
{
    struct tm_gguf_iter iter;
    struct tm_gguf_kv kv;
    struct tm_view blob = tm_view_of(head.data + TM_GGUF_META_AT, head.bytes - TM_GGUF_META_AT);
    tm_status status = tm_gguf_meta_begin(&iter, blob, options->file_bytes - TM_GGUF_META_AT, err);
    while (status == TM_OK) {
        status = tm_gguf_meta_next(&iter, &kv, err);
    }
    if (status == TM_E_NOTHING) {
        out->meta_bytes = iter.cursor.at;
        return TM_OK;
    }
    if (status != TM_E_LIMIT) {
        tm_err_prefix(err, options->path);
    }
    return status;
}

tm_status tm_gguf_measure(struct tm_view head, const struct tm_gguf_options *options,
                          struct tm_gguf_layout *out, struct tm_err *err)
{
    memset(out, 0, sizeof *out);
    if (head.bytes < 4 || memcmp(head.data, "GGUF", 4) != 0) {
        return tm_err_set(err, TM_E_MALFORMED, options->path, what_failed, NULL,
                          "it does not begin with GGUF");
    }
    if (options->file_bytes < FIXED_BYTES) {
        return tm_err_set(err, TM_E_MALFORMED, options->path, what_failed, hint_again,
                          "the file is truncated: it has only %llu bytes",
                          (unsigned long long)options->file_bytes);
    }
    if (head.bytes < FIXED_BYTES) {
        return TM_E_LIMIT;
    }
    TM_TRY(check_version(tm_get_u32(head.data + 4), options->path, err));
    out->tensor_count = tm_get_u64(head.data + 8);
    uint64_t most = (options->file_bytes - FIXED_BYTES) / ENTRY_BYTES_MIN;
    most = most < TM_INVENTORY_TENSORS_MAX ? most : TM_INVENTORY_TENSORS_MAX;
    if (out->tensor_count > most) {
        return tm_err_set(err, TM_E_MALFORMED, options->path, what_failed, NULL,
                          "%llu tensors are announced, and at most %llu fit: the file is truncated "
                          "or damaged",
                          (unsigned long long)out->tensor_count, (unsigned long long)most);
    }
    TM_TRY(measure_meta(head, options, out, err));
    struct tm_cursor cursor = tm_cursor_of(head);
    tm_cursor_take(&cursor, TM_GGUF_META_AT + out->meta_bytes);
    for (uint64_t i = 0; i < out->tensor_count; i++) {
        TM_TRY(pass_entry(&cursor, i, out, options, err));
    }
    out->header_bytes = cursor.at;
    return TM_OK;
}

/* ---- reading ---- */

struct parser {
    const struct tm_gguf_options *options;
    struct tm_inventory *inventory;
    struct tm_err *err;
    struct tm_cursor cursor;
    uint64_t alignment;
    uint64_t data_at;
    size_t first; /* index of this file's first tensor */
};

static tm_status bad_tensor(const struct parser *p, struct tm_view name, const char *why)
{
    struct tm_where where;
    tm_where(&where, p->options->path, name);
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s", why);
}

static tm_status read_alignment(struct parser *p, struct tm_view blob)
{
    static const char key[] = "general.alignment";
    struct tm_gguf_kv kv;
    p->alignment = ALIGNMENT_DEFAULT;
    if (!tm_gguf_meta_find(blob, key, &kv)) {
        return TM_OK;
    }
    struct tm_where where;
    tm_where_named(&where, p->options->path, "key", tm_view_str(key));
    if (kv.type != TM_GGUF_U32) {
        return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "it must be a u32 and is of type %s", tm_gguf_type_name(kv.type));
    }
    p->alignment = tm_get_u32(kv.value.data);
    if (p->alignment < 8 || (p->alignment & (p->alignment - 1)) != 0) {
        return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "the alignment must be a power of two from 8 on and is %llu",
                          (unsigned long long)p->alignment);
    }
    return TM_OK;
}

static tm_status read_dtype(const struct parser *p, struct tm_view name, uint32_t type,
                            enum tm_dtype *out)
{
    if (tm_gguf_type_dtype(type, out)) {
        return TM_OK;
    }
    struct tm_where where;
    tm_where(&where, p->options->path, name);
    const char *known = tm_gguf_tensor_type_name(type);
    if (known != NULL) {
        return tm_err_set(p->err, TM_E_INCOMPATIBLE, where.text, what_failed,
                          "convert the model to F16, BF16 or Q8_0 first", "cannot read type %s",
                          known);
    }
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                      "%lu is no type of a tensor", (unsigned long)type);
}

static tm_status check_size(const struct parser *p, struct tm_view name, struct tm_tensor *tensor)
{
    const struct tm_shape *shape = &tensor->shape;
    uint64_t last = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
    uint32_t block = tm_dtype_block_elements(tensor->dtype);
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] > INT64_MAX) {
            return bad_tensor(p, name, "a dimension is larger than 2^63-1");
        }
    }
    if (last % block != 0) {
        struct tm_where where;
        tm_where(&where, p->options->path, name);
        return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "rows of %llu elements are not whole blocks of %lu, as %s needs",
                          (unsigned long long)last, (unsigned long)block,
                          tm_dtype_name(tensor->dtype));
    }
    if (!tm_shape_bytes(shape, tensor->dtype, &tensor->bytes)) {
        return bad_tensor(p, name, "the shape overflows: more than 2^64 bytes");
    }
    return TM_OK;
}

/* The offset from the file, still relative to the data, to one from the start of the file. */
static tm_status place_tensor(const struct parser *p, struct tm_view name, struct tm_tensor *tensor)
{
    struct tm_where where;
    uint64_t end;
    if (tensor->offset % p->alignment != 0) {
        tm_where(&where, p->options->path, name);
        return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "its offset %llu is no multiple of the alignment %llu",
                          (unsigned long long)tensor->offset, (unsigned long long)p->alignment);
    }
    if (!tm_add_u64(p->data_at, tensor->offset, &tensor->offset) ||
        !tm_add_u64(tensor->offset, tensor->bytes, &end) ||
        !tm_align_u64(end, p->alignment, &end)) {
        return bad_tensor(p, name, "its offset and size overflow: it ends behind byte 2^64");
    }
    return TM_OK;
}

static tm_status check_name(const struct parser *p, struct tm_view name, uint64_t number)
{
    bool text = name.bytes > 0 && name.bytes <= TM_TENSOR_NAME_MAX &&
                memchr(name.data, 0, name.bytes) == NULL &&
                tm_utf8_valid((const char *)name.data, name.bytes);
    if (text) {
        return TM_OK;
    }
    return tm_err_set(p->err, TM_E_MALFORMED, p->options->path, what_failed, NULL,
                      "the name of tensor %llu is not 1 to %d bytes of UTF-8 text",
                      (unsigned long long)number + 1, TM_TENSOR_NAME_MAX);
}

static tm_status read_entry(struct parser *p, uint64_t number)
{
    struct tm_tensor tensor = {.file = p->options->file};
    struct tm_cursor *c = &p->cursor;
    uint64_t name_bytes = tm_cursor_u64(c);
    struct tm_view name = tm_cursor_take(c, name_bytes);
    TM_TRY(check_name(p, name, number));
    tensor.shape.rank = tm_cursor_u32(c);
    TM_ASSERT(!c->overrun && tensor.shape.rank <= TM_GGUF_RANK_MAX);
    for (uint32_t i = tensor.shape.rank; i > 0; i--) {
        tensor.shape.dim[i - 1] = tm_cursor_u64(c);
    }
    uint32_t type = tm_cursor_u32(c);
    tensor.offset = tm_cursor_u64(c);
    TM_ASSERT(!c->overrun);
    TM_TRY(read_dtype(p, name, type, &tensor.dtype));
    TM_TRY(check_size(p, name, &tensor));
    TM_TRY(place_tensor(p, name, &tensor));
    tensor.name = (char *)(uintptr_t)name.data;
    tensor.name_bytes = name.bytes;
    if (tm_inventory_add_tensor(p->inventory, &tensor) != TM_OK) {
        return tm_err_set(p->err, TM_E_NOMEM, p->options->path, what_failed, NULL,
                          "out of memory, or more than %u tensors", TM_INVENTORY_TENSORS_MAX);
    }
    return TM_OK;
}

/* ---- the data section ---- */

static int compare_offsets(const void *a, const void *b, void *context)
{
    const struct tm_tensor *tensors = context;
    const struct tm_tensor *x = &tensors[*(const size_t *)a], *y = &tensors[*(const size_t *)b];
    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static tm_status overlap(const struct parser *p, const struct tm_tensor *a,
                         const struct tm_tensor *b)
{
    struct tm_where where;
    char other[128];
    uint64_t end = a->offset + a->bytes;
    tm_where(&where, p->options->path, tm_view_of(b->name, b->name_bytes));
    tm_escape(a->name, a->name_bytes, other, sizeof other);
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                      "overlap: it starts at byte %llu, and '%s' ends at byte %llu",
                      (unsigned long long)b->offset, other, (unsigned long long)end);
}

/* Tensors without elements take no bytes and may lie anywhere. */
static tm_status check_ranges(const struct parser *p, const size_t *order, size_t count)
{
    const struct tm_tensor *before = NULL, *hit = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct tm_tensor *t = &p->inventory->tensors[order[i]];
        if (t->bytes == 0) {
            continue;
        }
        if (before != NULL && t->offset < before->offset + before->bytes) {
            return overlap(p, before, t);
        }
        if (hit == NULL && t->offset + t->bytes > p->options->file_bytes) {
            hit = t;
        }
        before = t;
    }
    if (hit == NULL) {
        return TM_OK;
    }
    struct tm_where where;
    tm_where(&where, p->options->path, tm_view_of(hit->name, hit->name_bytes));
    uint64_t hit_end = hit->offset + hit->bytes;
    uint64_t missing = before->offset + before->bytes - p->options->file_bytes;
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, hint_again,
                      "the file is truncated: it ends at byte %llu, this tensor at byte %llu; %llu "
                      "bytes are missing",
                      (unsigned long long)p->options->file_bytes, (unsigned long long)hit_end,
                      (unsigned long long)missing);
}

static tm_status check_data(const struct parser *p)
{
    size_t count = p->inventory->tensor_count - p->first;
    size_t *order = tm_calloc(count, sizeof *order);
    if (order == NULL) {
        return tm_err_set(p->err, TM_E_NOMEM, p->options->path, what_failed, NULL, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = p->first + i;
    }
    qsort_r(order, count, sizeof *order, compare_offsets, p->inventory->tensors);
    tm_status status = check_ranges(p, order, count);
    tm_free(order);
    return status;
}

tm_status tm_gguf_parse(struct tm_view head, const struct tm_gguf_layout *layout,
                        const struct tm_gguf_options *options, struct tm_inventory *inventory,
                        struct tm_err *err)
{
    struct parser p = {.options = options, .inventory = inventory, .err = err};
    TM_ASSERT(head.bytes >= layout->header_bytes);
    struct tm_view blob = tm_view_of(head.data + TM_GGUF_META_AT, (size_t)layout->meta_bytes);
    tm_status status = tm_gguf_meta_check(blob, err);
    if (status != TM_OK) {
        tm_err_prefix(err, options->path);
        return status;
    }
    TM_TRY(read_alignment(&p, blob));
    if (!tm_align_u64(layout->header_bytes, p.alignment, &p.data_at)) {
        return tm_err_set(err, TM_E_MALFORMED, options->path, what_failed, NULL,
                          "the alignment overflows");
    }
    p.first = inventory->tensor_count;
    p.cursor = tm_cursor_of(tm_view_of(head.data, (size_t)layout->header_bytes));
    tm_cursor_take(&p.cursor, TM_GGUF_META_AT + layout->meta_bytes);
    for (uint64_t i = 0; i < layout->tensor_count; i++) {
        TM_TRY(read_entry(&p, i));
    }
    /* A name that is there twice often overlaps itself: say the former. */
    TM_TRY(tm_inventory_seal(inventory, err));
    return check_data(&p);
}
