/* SPDX-License-Identifier: Apache-2.0
 * Shared by the forms of PyTorch checkpoints (pth.c, pth_forms.c) and what is in them
 * (pth_tensors.c, pth_choose.c). */
#ifndef TM_MODEL_PTH_PARTS_H
#define TM_MODEL_PTH_PARTS_H

#include "model/pickle.h"
#include "model/pth.h"
#include "model/zip.h"

#define TM_PTH_STORAGES_MAX (1u << 20)
#define TM_PTH_DEPTH_MAX 32u
/* A shared value is visited once for each way that leads to it, and a few bytes of pickle can make
 * millions of ways. All walks together visit at most TM_PTH_VISITS + the bytes of the pickle
 * values, make at most TM_PTH_NAMES + 4 * these bytes of names, and take at most TM_PTH_TENSORS + a
 * 32nd of these bytes tensors: without sharing each takes more than that. */
#define TM_PTH_VISITS (1u << 18)
#define TM_PTH_NAMES (16u << 20)
#define TM_PTH_TENSORS (1u << 16)
/* Views of one storage may overlap: together they have at most TM_PTH_VIEWS + 64 times the bytes of
 * the file. */
#define TM_PTH_VIEWS (64u << 20)

/* Elements that tensors share. */
struct tm_pth_storage {
    struct tm_view key;     /* into the pickle that names it; legacy and tar */
    uint64_t at, bytes;     /* in the file */
    uint32_t element_bytes; /* tar */
    uint32_t check;         /* tm_sources_add_check; 0: the file has no checksum of it */
};

/* A tensor of the tar form, which its pickle names by a number. */
struct tm_pth_tensor {
    struct tm_view key, storage;
    const struct tm_global *type;
    struct tm_shape shape;
    uint64_t stride[TM_RANK_MAX], offset;
};

struct tm_pth {
    struct tm_sources *sources;
    const struct tm_pth_options *options;
    struct tm_file_in *file;
    const char *path;
    struct tm_buf bytes; /* of the pickle of the object */
    struct tm_pickle pickle;
    struct tm_zip zip;
    struct tm_view prefix;           /* zip: "archive/" */
    uint32_t *checks;                /* zip, by entry: its check, or 0 */
    struct tm_buf keys;              /* legacy and tar: the bytes of the pickles of keys */
    struct tm_pth_storage *storages; /* by key */
    size_t storage_count;
    struct tm_pth_tensor *tensors; /* tar, by key */
    size_t tensor_count;
    bool swapped;                                   /* the storages are big-endian */
    uint64_t visits, name_bytes, added, view_bytes; /* so far, of the limits above */
    struct tm_err *err;
};

/* TM_E_MALFORMED of the file, or of a tensor in it. */
tm_status tm_pth_bad(struct tm_pth *p, const char *why);
tm_status tm_pth_bad_tensor(struct tm_pth *p, struct tm_view name, tm_status status,
                            const char *why);
tm_status tm_pth_no_memory(struct tm_pth *p);

/* Reads the object, finds the storages. */
tm_status tm_pth_load(struct tm_pth *p) TM_MUST_USE;
void tm_pth_unload(struct tm_pth *p);
/* By the key in a persistent id. TM_E_NOT_FOUND (without an error) when there is none. */
tm_status tm_pth_storage(struct tm_pth *p, struct tm_view key,
                         struct tm_pth_storage *out) TM_MUST_USE;
bool tm_pth_tensor(struct tm_pth *p, struct tm_view key, const struct tm_pth_tensor **out);

/* The value without what is wrapped around a tensor (Parameter), when it is one. */
bool tm_pth_is_tensor(const struct tm_pth *p, struct tm_value value, struct tm_value *tensor);
/* Whether a tensor (unwrapped) is a number without dimensions: a loss, a step. */
bool tm_pth_is_scalar(const struct tm_pth *p, struct tm_value tensor);
/* Adds a tensor (unwrapped) to the inventory under `name`. */
tm_status tm_pth_add(struct tm_pth *p, struct tm_value tensor, struct tm_view name) TM_MUST_USE;

/* Calls visit for every tensor below value, with its dotted name; dictionaries and lists right in
 * value whose key `skip` (may be NULL) says so are left out. TM_E_MALFORMED for values too deep, or
 * more of them than the limits above. */
typedef tm_status tm_pth_visit(struct tm_pth *p, struct tm_value tensor, struct tm_view name,
                               void *context);
typedef bool tm_pth_skip(struct tm_view key);
tm_status tm_pth_walk(struct tm_pth *p, struct tm_value value, tm_pth_skip *skip,
                      tm_pth_visit *visit, void *context) TM_MUST_USE;
/* Chooses the model's dictionary (pth.h) and adds what is in it. */
tm_status tm_pth_choose(struct tm_pth *p) TM_MUST_USE;

#endif
