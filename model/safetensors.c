/* SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/json_pull.h"
#include "model/safetensors_meta.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the safetensors file";
static const char hint_again[] = "fetch the file again";

#define HEADER_AT 8

struct parser {
    struct tm_json_pull pull;
    const struct tm_safetensors_options *options;
    struct tm_inventory *inventory;
    struct tm_err *err;
    uint64_t data_at; /* file offset of the data */
    size_t first;     /* index of this file's first tensor */
    struct tm_buf name, key, text;
};

static tm_status bad_tensor(const struct parser *p, const char *why)
{
    struct tm_where where;
    tm_where(&where, p->options->path, tm_buf_view(&p->name));
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s (at byte %llu)",
                      why, (unsigned long long)(HEADER_AT + p->pull.at));
}

/* ---- one entry of the header ---- */

/* Types of the format that have no counterpart here. */
static bool is_foreign_dtype(struct tm_view name)
{
    static const char *const foreign[] = {"F4",          "F6_E2M3",     "F6_E3M2", "F8_E8M0",
                                          "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64",     NULL};
    for (size_t i = 0; foreign[i] != NULL; i++) {
        if (tm_view_eq_str(name, foreign[i])) {
            return true;
        }
    }
    return false;
}

static tm_status read_dtype(struct parser *p, struct tm_tensor *tensor)
{
    TM_TRY(tm_pull_string(&p->pull, &p->text));
    struct tm_view name = tm_buf_view(&p->text);
    if (tm_dtype_parse(name, &tensor->dtype) && tm_dtype_block_elements(tensor->dtype) == 1) {
        return TM_OK;
    }
    struct tm_where where;
    char shown[64];
    tm_where(&where, p->options->path, tm_buf_view(&p->name));
    tm_escape((const char *)name.data, name.bytes, shown, sizeof shown);
    if (is_foreign_dtype(name)) {
        return tm_err_set(p->err, TM_E_INCOMPATIBLE, where.text, what_failed,
                          "convert it to F32, F16 or BF16 first", "cannot read type %s", shown);
    }
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                      "dtype '%s' is no type of the format", shown);
}

static tm_status read_shape(struct parser *p, struct tm_tensor *tensor)
{
    bool more = true;
    TM_TRY(tm_pull_array(&p->pull));
    while (true) {
        TM_TRY(tm_pull_item(&p->pull, &more));
        if (!more) {
            return TM_OK;
        }
        if (tensor->shape.rank == TM_RANK_MAX) {
            return bad_tensor(p, "more than 8 dimensions");
        }
        TM_TRY(tm_pull_u64(&p->pull, &tensor->shape.dim[tensor->shape.rank]));
        tensor->shape.rank++;
    }
}

/* Leaves the offset relative to the data. */
static tm_status read_offsets(struct parser *p, struct tm_tensor *tensor)
{
    uint64_t offsets[2] = {0, 0};
    bool more = true;
    size_t count = 0;
    TM_TRY(tm_pull_array(&p->pull));
    while (true) {
        TM_TRY(tm_pull_item(&p->pull, &more));
        if (!more) {
            break;
        }
        if (count == 2) {
            return bad_tensor(p, "data_offsets has more than two numbers");
        }
        TM_TRY(tm_pull_u64(&p->pull, &offsets[count]));
        count++;
    }
    if (count != 2 || offsets[0] > offsets[1]) {
        return bad_tensor(p, "data_offsets is not a begin and an end");
    }
    tensor->offset = offsets[0];
    tensor->bytes = offsets[1] - offsets[0];
    return TM_OK;
}

static tm_status read_fields(struct parser *p, struct tm_tensor *tensor)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    unsigned seen = 0;
    bool more = true;
    enum tm_json_kind kind = TM_JSON_NULL;
    TM_TRY(tm_pull_kind(&p->pull, &kind));
    if (kind != TM_JSON_OBJECT) {
        return bad_tensor(p, "the entry is not an object");
    }
    TM_TRY(tm_pull_object(&p->pull));
    while (true) {
        TM_TRY(tm_pull_member(&p->pull, &more, &p->key));
        if (!more) {
            break;
        }
        unsigned which = 0;
        while (which < 3 && !tm_view_eq_str(tm_buf_view(&p->key), keys[which])) {
            which++;
        }
        if (which == 3) {
            return bad_tensor(p, "the entry has a key other than dtype, shape and data_offsets");
        }
        if ((seen & 1u << which) != 0) {
            return bad_tensor(p, "duplicate key in the entry");
        }
        seen |= 1u << which;
        TM_TRY(which == 0   ? read_dtype(p, tensor)
               : which == 1 ? read_shape(p, tensor)
                            : read_offsets(p, tensor));
    }
    return seen == 7 ? TM_OK : bad_tensor(p, "dtype, shape or data_offsets is missing");
}

static tm_status check_size(const struct parser *p, const struct tm_tensor *tensor)
{
    uint64_t bytes = 0;
    if (!tm_shape_bytes(&tensor->shape, tensor->dtype, &bytes)) {
        return bad_tensor(p, "the shape overflows: more than 2^64 bytes");
    }
    if (bytes != tensor->bytes) {
        struct tm_where where;
        char shape[256];
        tm_where(&where, p->options->path, tm_buf_view(&p->name));
        tm_shape_text(&tensor->shape, shape, sizeof shape);
        return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "%s of shape %s takes %llu bytes, but data_offsets spans %llu",
                          tm_dtype_name(tensor->dtype), shape, (unsigned long long)bytes,
                          (unsigned long long)tensor->bytes);
    }
    return TM_OK;
}

static tm_status read_tensor(struct parser *p)
{
    struct tm_tensor tensor = {.file = p->options->file};
    if (p->name.bytes > TM_TENSOR_NAME_MAX) {
        return bad_tensor(p, "a name of more than 65535 bytes");
    }
    if (p->name.bytes > 0 && memchr(p->name.data, 0, p->name.bytes) != NULL) {
        return tm_pull_fail(&p->pull, "a tensor name holds a NUL");
    }
    TM_TRY(read_fields(p, &tensor));
    TM_TRY(check_size(p, &tensor));
    tensor.name = p->name.bytes > 0 ? (char *)p->name.data : (char *)(uintptr_t) "";
    tensor.name_bytes = p->name.bytes;
    tm_status status = tm_inventory_add_tensor(p->inventory, &tensor);
    if (status == TM_E_LIMIT) {
        return tm_pull_fail(&p->pull, "too many tensors");
    }
    return status == TM_OK ? TM_OK : tm_sources_fail(status, p->options->path, p->err);
}

static tm_status read_header(struct parser *p, struct tm_safetensors_meta *meta)
{
    bool more = true, metadata = false;
    TM_TRY(tm_pull_object(&p->pull));
    while (true) {
        TM_TRY(tm_pull_member(&p->pull, &more, &p->name));
        if (!more) {
            break;
        }
        if (!tm_view_eq_str(tm_buf_view(&p->name), "__metadata__")) {
            TM_TRY(read_tensor(p));
            continue;
        }
        if (metadata) {
            return tm_pull_fail(&p->pull, "duplicate key __metadata__");
        }
        metadata = true;
        TM_TRY(tm_safetensors_meta_read(&p->pull, meta));
    }
    return tm_pull_end(&p->pull);
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

static tm_status bad_cover(const struct parser *p, const struct tm_tensor *t, uint64_t expected)
{
    struct tm_where where;
    /* An entry that is there twice makes a hole or an overlap: the name is then the reason. */
    TM_TRY(tm_inventory_seal(p->inventory, p->err));
    tm_where(&where, p->options->path, tm_view_of(t->name, t->name_bytes));
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, NULL,
                      "%s: its data starts at %llu, and the data before it ends at %llu",
                      t->offset < expected ? "overlap" : "hole", (unsigned long long)t->offset,
                      (unsigned long long)expected);
}

static tm_status truncated(const struct parser *p, const struct tm_tensor *hit, uint64_t missing)
{
    struct tm_where where;
    TM_TRY(tm_inventory_seal(p->inventory, p->err));
    tm_where(&where, p->options->path, tm_view_of(hit->name, hit->name_bytes));
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, what_failed, hint_again,
                      "the file is truncated: %llu bytes are missing, and it ends at byte %llu "
                      "within or before this tensor",
                      (unsigned long long)missing, (unsigned long long)p->options->file_bytes);
}

/* In order of offsets each tensor starts where the one before it ends, and the last ends the file.
 */
static tm_status check_cover(const struct parser *p, const size_t *order, size_t count)
{
    uint64_t end = 0, have = p->options->file_bytes - p->data_at;
    const struct tm_tensor *hit = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct tm_tensor *t = &p->inventory->tensors[order[i]];
        if (t->offset != end) {
            return bad_cover(p, t, end);
        }
        end = t->offset + t->bytes; /* data_offsets[1]: no overflow */
        if (hit == NULL && end > have) {
            hit = t;
        }
    }
    if (hit != NULL) {
        return truncated(p, hit, end - have);
    }
    if (end < have) {
        return tm_err_set(p->err, TM_E_MALFORMED, p->options->path, what_failed, NULL,
                          "%llu bytes at the end belong to no tensor",
                          (unsigned long long)(have - end));
    }
    return TM_OK;
}

static tm_status place_tensors(const struct parser *p)
{
    size_t count = p->inventory->tensor_count - p->first;
    size_t *order = tm_calloc(count, sizeof *order);
    if (order == NULL) {
        return tm_sources_fail(TM_E_NOMEM, p->options->path, p->err);
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = p->first + i;
    }
    qsort_r(order, count, sizeof *order, compare_offsets, p->inventory->tensors);
    tm_status status = check_cover(p, order, count);
    tm_free(order);
    for (size_t i = p->first; status == TM_OK && i < p->inventory->tensor_count; i++) {
        p->inventory->tensors[i].offset += p->data_at;
    }
    return status;
}

tm_status tm_safetensors_parse(struct tm_view header, const struct tm_safetensors_options *options,
                               struct tm_inventory *inventory, struct tm_safetensors_meta *meta,
                               struct tm_err *err)
{
    struct parser p = {.options = options, .inventory = inventory, .err = err};
    TM_ASSERT(options->file_bytes >= HEADER_AT && header.bytes <= options->file_bytes - HEADER_AT);
    tm_pull_begin(&p.pull, header, options->path, HEADER_AT, err);
    if (header.bytes == 0 || header.data[0] != '{') {
        return tm_pull_fail(&p.pull, "the header does not start with '{'");
    }
    p.data_at = HEADER_AT + header.bytes;
    p.first = inventory->tensor_count;
    tm_buf_init(&p.name, TM_SAFETENSORS_HEADER_MAX);
    tm_buf_init(&p.key, TM_TENSOR_NAME_MAX);
    tm_buf_init(&p.text, TM_TENSOR_NAME_MAX);
    tm_status status = read_header(&p, meta);
    if (status == TM_OK) {
        status = place_tensors(&p);
    }
    tm_buf_deinit(&p.name);
    tm_buf_deinit(&p.key);
    tm_buf_deinit(&p.text);
    return status;
}

/* ---- files ---- */

static tm_status check_length(uint64_t length, uint64_t file_bytes, const char *path,
                              struct tm_err *err)
{
    if (length > TM_SAFETENSORS_HEADER_MAX) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed, NULL,
                          "a header of %llu bytes is announced, and at most %u are allowed",
                          (unsigned long long)length, TM_SAFETENSORS_HEADER_MAX);
    }
    if (length > file_bytes - HEADER_AT) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed, hint_again,
                          "the file is truncated within its header: it has %llu bytes, and the "
                          "header alone takes %llu",
                          (unsigned long long)file_bytes, (unsigned long long)(HEADER_AT + length));
    }
    return TM_OK;
}

static tm_status read_and_parse(struct tm_sources *sources, uint32_t file, uint8_t **header,
                                struct tm_safetensors_meta *meta, struct tm_err *err)
{
    struct tm_file_in *in = sources->files[file];
    struct tm_safetensors_options options = {
        .path = tm_file_path(in), .file = file, .file_bytes = tm_file_bytes(in)};
    uint8_t prefix[HEADER_AT];
    if (options.file_bytes < HEADER_AT) {
        return tm_err_set(err, TM_E_MALFORMED, options.path, what_failed, hint_again,
                          "the file is truncated: it has only %llu bytes",
                          (unsigned long long)options.file_bytes);
    }
    TM_TRY(tm_file_read_at(in, 0, prefix, HEADER_AT, err));
    uint64_t length = tm_get_u64(prefix);
    TM_TRY(check_length(length, options.file_bytes, options.path, err));
    *header = tm_alloc((size_t)length);
    if (*header == NULL) {
        return tm_sources_fail(TM_E_NOMEM, options.path, err);
    }
    TM_TRY(tm_file_read_at(in, HEADER_AT, *header, (size_t)length, err));
    return tm_safetensors_parse(tm_view_of(*header, (size_t)length), &options, &sources->inventory,
                                meta, err);
}

tm_status tm_safetensors_open(struct tm_sources *sources, uint32_t file, struct tm_err *err)
{
    uint8_t *header = NULL;
    struct tm_safetensors_meta meta;
    tm_safetensors_meta_init(&meta);
    tm_status status = read_and_parse(sources, file, &header, &meta, err);
    tm_free(header);
    if (status == TM_OK) {
        status = tm_safetensors_meta_attach(sources, file, &meta, err);
    }
    tm_safetensors_meta_deinit(&meta);
    return status;
}
