/* SPDX-License-Identifier: Apache-2.0
 * From the calls that rebuild tensors to tensors of the inventory. Source of the arguments:
 * torch/_utils.py. */
#include "model/pth_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/utf8.h"
#include "model/layout.h"

/* A view may repeat elements (stride 0), and so a small file claim a tensor of any size. */
#define REPEATED_BYTES_MAX (16u << 20)
#define REPEATED_TIMES_MAX 64u

/* ---- which values are tensors ---- */

static struct tm_value argument(const struct tm_pth *p, struct tm_value call, uint32_t index)
{
    struct tm_value args = tm_pickle_item(&p->pickle, call, 1);
    return index < tm_pickle_count(&p->pickle, args) ? tm_pickle_item(&p->pickle, args, index)
                                                     : (struct tm_value){.kind = TM_PICKLE_NONE};
}

bool tm_pth_is_tensor(const struct tm_pth *p, struct tm_value value, struct tm_value *tensor)
{
    /* Wrappers do not nest deeper than this in any checkpoint. */
    for (int wrappers = 0; wrappers < 4; wrappers++) {
        const struct tm_global *g = tm_pickle_global(&p->pickle, value);
        *tensor = value;
        if (value.kind == TM_PICKLE_PERSISTENT) {
            return p->tensor_count > 0;
        }
        if (value.kind != TM_PICKLE_CALL || g == NULL) {
            return false;
        }
        switch (g->kind) {
        case TM_GLOBAL_PARAMETER:
            value = argument(p, value, 0);
            break;
        case TM_GLOBAL_TENSOR_V1:
        case TM_GLOBAL_TENSOR_V2:
        case TM_GLOBAL_TENSOR_V3:
        case TM_GLOBAL_FROM_TYPE:
        case TM_GLOBAL_UNREADABLE:
            return true;
        default:
            return false;
        }
    }
    return false;
}

bool tm_pth_is_scalar(const struct tm_pth *p, struct tm_value tensor)
{
    return tensor.kind == TM_PICKLE_CALL &&
           tm_pickle_global(&p->pickle, tensor)->kind != TM_GLOBAL_FROM_TYPE &&
           argument(p, tensor, 2).kind == TM_PICKLE_TUPLE &&
           tm_pickle_count(&p->pickle, argument(p, tensor, 2)) == 0;
}

/* ---- one tensor ---- */

/* What a call says, before it is checked against the storage. */
struct view {
    struct tm_view name;
    struct tm_value storage, dtype;
    struct tm_shape shape;
    uint64_t stride[TM_RANK_MAX], offset;
};

static tm_status bad(struct tm_pth *p, const struct view *v, const char *why)
{
    return tm_pth_bad_tensor(p, v->name, TM_E_MALFORMED, why);
}

static tm_status read_sizes(struct tm_pth *p, struct view *v, struct tm_value sizes,
                            struct tm_value strides)
{
    uint32_t rank = tm_pickle_count(&p->pickle, sizes);
    if ((sizes.kind != TM_PICKLE_TUPLE && sizes.kind != TM_PICKLE_LIST) ||
        tm_pickle_count(&p->pickle, strides) != rank) {
        return bad(p, v, "its sizes and strides are no tuples of one length");
    }
    if (rank > TM_RANK_MAX) {
        return tm_pth_bad_tensor(p, v->name, TM_E_INCOMPATIBLE, "it has more than 8 dimensions");
    }
    v->shape.rank = rank;
    for (uint32_t i = 0; i < rank; i++) {
        if (!tm_pickle_u64(&p->pickle, tm_pickle_item(&p->pickle, sizes, i), &v->shape.dim[i]) ||
            !tm_pickle_u64(&p->pickle, tm_pickle_item(&p->pickle, strides, i), &v->stride[i])) {
            return bad(p, v, "a size or a stride of it is no whole number of at least 0");
        }
    }
    return TM_OK;
}

/* _rebuild_from_type_v2(function, type, arguments, state): the call that it stands for. */
static bool from_type(const struct tm_pth *p, struct tm_value call, const struct tm_global **g,
                      struct tm_value *args)
{
    *g = tm_pickle_global(&p->pickle, argument(p, call, 0));
    *args = argument(p, call, 2);
    return *g != NULL && args->kind == TM_PICKLE_TUPLE;
}

static tm_status read_call(struct tm_pth *p, struct tm_value call, struct view *v)
{
    const struct tm_global *g = tm_pickle_global(&p->pickle, call);
    struct tm_value args = tm_pickle_item(&p->pickle, call, 1);
    const struct tm_pickle *pickle = &p->pickle;
    if (g->kind == TM_GLOBAL_FROM_TYPE && !from_type(p, call, &g, &args)) {
        return bad(p, v, "it is rebuilt from a type in a way that is not known");
    }
    bool v3 = g->kind == TM_GLOBAL_TENSOR_V3;
    if (!v3 && g->kind != TM_GLOBAL_TENSOR_V2 && g->kind != TM_GLOBAL_TENSOR_V1) {
        return tm_pth_bad_tensor(p, v->name, TM_E_INCOMPATIBLE,
                                 "it is quantised, sparse or nested by PyTorch, which cannot be "
                                 "read");
    }
    if (tm_pickle_count(pickle, args) < (v3 ? 7u : 4u) ||
        !tm_pickle_u64(pickle, tm_pickle_item(pickle, args, 1), &v->offset)) {
        return bad(p, v, "it is rebuilt with too few or wrong arguments");
    }
    v->storage = tm_pickle_item(pickle, args, 0);
    v->dtype = v3 ? tm_pickle_item(pickle, args, 6) : (struct tm_value){.kind = TM_PICKLE_NONE};
    return read_sizes(p, v, tm_pickle_item(pickle, args, 2), tm_pickle_item(pickle, args, 3));
}

/* ---- its storage ---- */

struct place {
    struct tm_pth_storage storage;
    const struct tm_global *type;
    uint64_t elements; /* that the persistent id promises */
    uint64_t base;     /* element of the storage where a view of it begins */
};

static tm_status find_storage(struct tm_pth *p, const struct view *v, struct tm_view key,
                              struct place *out)
{
    tm_status status = tm_pth_storage(p, key, &out->storage);
    return status == TM_E_NOT_FOUND ? bad(p, v, "its storage is not in the file") : status;
}

/* ('storage', type, key, location, elements[, (view key, offset, elements)]) */
static tm_status read_storage(struct tm_pth *p, const struct view *v, struct place *out)
{
    const struct tm_pickle *pickle = &p->pickle;
    /* Some writers of the tar form put the id itself there. */
    struct tm_value id = v->storage;
    if (id.kind == TM_PICKLE_PERSISTENT) {
        id = tm_pickle_item(pickle, id, 0);
    }
    uint32_t count = tm_pickle_count(pickle, id);
    if (id.kind != TM_PICKLE_TUPLE || count < 5 ||
        !tm_view_eq_str(tm_pickle_str(pickle, tm_pickle_item(pickle, id, 0)), "storage") ||
        !tm_pickle_u64(pickle, tm_pickle_item(pickle, id, 4), &out->elements)) {
        return bad(p, v, "its storage is not named as a storage is");
    }
    out->type = tm_pickle_global(pickle, tm_pickle_item(pickle, id, 1));
    if (out->type == NULL || out->type->kind != TM_GLOBAL_STORAGE) {
        return bad(p, v, "its storage has no type of numbers");
    }
    TM_TRY(find_storage(p, v, tm_pickle_str(pickle, tm_pickle_item(pickle, id, 2)), out));
    struct tm_value part =
        count > 5 ? tm_pickle_item(pickle, id, 5) : (struct tm_value){.kind = TM_PICKLE_NONE};
    if (part.kind == TM_PICKLE_TUPLE &&
        (tm_pickle_count(pickle, part) < 3 ||
         !tm_pickle_u64(pickle, tm_pickle_item(pickle, part, 1), &out->base) ||
         !tm_pickle_u64(pickle, tm_pickle_item(pickle, part, 2), &out->elements))) {
        return bad(p, v, "its storage is a view that is not described");
    }
    return TM_OK;
}

/* Of the elements: the storage's own type, or the one that is given beside plain bytes. */
static tm_status read_dtype(struct tm_pth *p, const struct view *v, struct place *place,
                            enum tm_dtype *out)
{
    const struct tm_global *type = place->type;
    TM_ASSERT(type != NULL);
    if (type->elements == TM_TORCH_BYTES) {
        const struct tm_global *given = tm_pickle_global(&p->pickle, v->dtype);
        if (given == NULL || given->kind != TM_GLOBAL_DTYPE) {
            return bad(p, v, "its storage is bytes without a type");
        }
        type = given;
        /* promised in bytes */
        if (type->elements == TM_TORCH_PLAIN) {
            place->elements /= tm_dtype_block_bytes(type->dtype);
        }
    }
    if (type->elements != TM_TORCH_PLAIN) {
        char why[96];
        snprintf(why, sizeof why, "cannot read type torch.%s", type->name);
        return tm_pth_bad_tensor(p, v->name, TM_E_INCOMPATIBLE, why);
    }
    *out = type->dtype;
    return TM_OK;
}

static bool has_elements(const struct tm_shape *shape)
{
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0) {
            return false;
        }
    }
    return true;
}

/* The view lies within what its storage has; *first is its first element. */
static tm_status check_bounds(struct tm_pth *p, const struct view *v, const struct place *place,
                              uint32_t element_bytes, uint64_t *first)
{
    uint64_t last = 0, end = 0, storage_end = 0;
    uint64_t held = place->storage.bytes / element_bytes;
    if (!tm_add_u64(place->base, place->elements, &storage_end) || storage_end > held) {
        return bad(p, v, "its storage is shorter than promised");
    }
    if (!tm_add_u64(place->base, v->offset, first)) {
        return bad(p, v, "it begins outside of its storage");
    }
    if (!has_elements(&v->shape)) {
        *first = 0;
        return TM_OK;
    }
    if (!tm_layout_extent(&v->shape, v->stride, &last) || !tm_add_u64(v->offset, last, &end) ||
        end >= place->elements) {
        return bad(p, v, "its strides lead out of its storage");
    }
    return TM_OK;
}

/* ---- into the inventory ---- */

static tm_status check_name(struct tm_pth *p, struct tm_view name)
{
    if (name.bytes == 0 || name.bytes > TM_TENSOR_NAME_MAX ||
        !tm_utf8_valid((const char *)name.data, name.bytes) ||
        memchr(name.data, 0, name.bytes) != NULL) {
        return tm_pth_bad_tensor(p, name, TM_E_MALFORMED,
                                 "its name is empty, too long, or no UTF-8 text");
    }
    return TM_OK;
}

static tm_status put(struct tm_pth *p, const struct view *v, const struct place *place,
                     enum tm_dtype dtype, uint64_t first)
{
    uint32_t element_bytes = tm_dtype_block_bytes(dtype);
    struct tm_tensor tensor = {.name = (char *)(uintptr_t)v->name.data,
                               .name_bytes = v->name.bytes,
                               .dtype = dtype,
                               .shape = v->shape,
                               .file = p->options->file,
                               .offset = place->storage.at + first * element_bytes};
    struct tm_layout layout = {.element_bytes = element_bytes,
                               .strided = !tm_layout_is_dense(&v->shape, v->stride),
                               .swapped = p->swapped && element_bytes > 1,
                               .check = place->storage.check};
    memcpy(layout.stride, v->stride, sizeof layout.stride);
    if (!tm_shape_bytes(&v->shape, dtype, &tensor.bytes) ||
        (tensor.bytes > REPEATED_BYTES_MAX &&
         tensor.bytes / REPEATED_TIMES_MAX > place->storage.bytes)) {
        return bad(p, v, "it repeats the elements of its storage beyond measure");
    }
    p->view_bytes += tensor.bytes; /* no overflow: far less than the limit each */
    if (p->view_bytes > TM_PTH_VIEWS + REPEATED_TIMES_MAX * tm_file_bytes(p->file)) {
        return bad(p, v, "the tensors together repeat the elements of the file beyond measure");
    }
    if (++p->added > TM_PTH_TENSORS + p->pickle.data.bytes / 32) {
        return tm_pth_bad(p, "more tensors than a checkpoint of this size has");
    }
    tm_status status = TM_OK;
    if (layout.strided || layout.swapped || layout.check != 0) {
        status = tm_sources_add_layout(p->sources, &layout, &tensor.layout);
    }
    if (status == TM_OK) {
        status = tm_inventory_add_tensor(&p->sources->inventory, &tensor);
    }
    return tm_sources_fail(status, p->path, p->err);
}

/* A tensor of the tar form is known by its number. */
static tm_status add_numbered(struct tm_pth *p, struct tm_value id, struct view *v)
{
    const struct tm_pth_tensor *t = NULL;
    struct place place = {.base = 0};
    char number[24] = "";
    int64_t value;
    struct tm_view key = tm_pickle_str(&p->pickle, id);
    if (tm_pickle_int(&p->pickle, id, &value)) {
        snprintf(number, sizeof number, "%lld", (long long)value);
        key = tm_view_str(number);
    }
    if (!tm_pth_tensor(p, key, &t)) {
        return bad(p, v, "the tensor is not in the file");
    }
    TM_TRY(find_storage(p, v, t->storage, &place));
    v->shape = t->shape;
    v->offset = t->offset;
    memcpy(v->stride, t->stride, sizeof v->stride);
    if (t->type->elements != TM_TORCH_PLAIN) {
        return tm_pth_bad_tensor(p, v->name, TM_E_INCOMPATIBLE, "cannot read its type");
    }
    uint64_t first = 0;
    place.type = t->type;
    place.elements = place.storage.bytes / tm_dtype_block_bytes(t->type->dtype);
    TM_TRY(check_bounds(p, v, &place, tm_dtype_block_bytes(t->type->dtype), &first));
    return put(p, v, &place, t->type->dtype, first);
}

tm_status tm_pth_add(struct tm_pth *p, struct tm_value tensor, struct tm_view name)
{
    struct view v = {.name = name};
    struct place place = {.base = 0};
    enum tm_dtype dtype = TM_F32;
    uint64_t first = 0;
    TM_TRY(check_name(p, name));
    if (tensor.kind == TM_PICKLE_PERSISTENT) {
        return add_numbered(p, tm_pickle_item(&p->pickle, tensor, 0), &v);
    }
    TM_TRY(read_call(p, tensor, &v));
    TM_TRY(read_storage(p, &v, &place));
    TM_TRY(read_dtype(p, &v, &place, &dtype));
    TM_TRY(check_bounds(p, &v, &place, tm_dtype_block_bytes(dtype), &first));
    return put(p, &v, &place, dtype, first);
}
