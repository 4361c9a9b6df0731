/* SPDX-License-Identifier: Apache-2.0
 * The names that a pickle may ask for. A pickle is a program for a small machine, and a name is how
 * it would reach Python's code; here a name is only a number, and nothing is ever called. What is
 * not in this list ends the reading. Private to model/. */
#ifndef TM_MODEL_PICKLE_GLOBALS_H
#define TM_MODEL_PICKLE_GLOBALS_H

#include "model/tensor.h"

enum tm_global_kind {
    TM_GLOBAL_TYPE,        /* a word (torch.float16, torch.strided): calling it is refused */
    TM_GLOBAL_STORAGE,     /* torch.FloatStorage...: says the type of numbers */
    TM_GLOBAL_DTYPE,       /* torch.float16...: the same */
    TM_GLOBAL_OPAQUE,      /* a call gives a value that nobody looks into */
    TM_GLOBAL_DICT,        /* a call gives a dictionary */
    TM_GLOBAL_LIST,        /* a call gives a list */
    TM_GLOBAL_SAME,        /* a call gives its first argument: torch.Size */
    TM_GLOBAL_TENSOR_V1,   /* _rebuild_tensor(storage, offset, size, stride) */
    TM_GLOBAL_TENSOR_V2,   /* the same with more behind it */
    TM_GLOBAL_TENSOR_V3,   /* _v2 with a dtype at index 6, for types without a storage class */
    TM_GLOBAL_PARAMETER,   /* the first argument is the tensor */
    TM_GLOBAL_FROM_TYPE,   /* _rebuild_from_type_v2(function, type, args, state) */
    TM_GLOBAL_RECONSTRUCT, /* copyreg._reconstructor(class, base, state): a call of the class */
    TM_GLOBAL_UNREADABLE   /* known, and a tensor of a kind that cannot be read */
};

/* What the elements are. */
enum tm_torch_dtype { TM_TORCH_NONE, TM_TORCH_PLAIN, TM_TORCH_BYTES, TM_TORCH_UNKNOWN };

struct tm_global {
    const char *module; /* NULL: any of the names that a module had over the years */
    const char *name;
    enum tm_global_kind kind;
    enum tm_torch_dtype elements;
    enum tm_dtype dtype;    /* of TM_TORCH_PLAIN */
    uint32_t element_bytes; /* of TM_TORCH_UNKNOWN: types that there is no tm_dtype for */
};

/* Index of the row for MODULE.NAME; false when the name is not in the list. */
bool tm_global_find(struct tm_view module, struct tm_view name, uint32_t *out);
const struct tm_global *tm_global_at(uint32_t index);

#endif
