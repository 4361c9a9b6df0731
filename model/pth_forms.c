/* SPDX-License-Identifier: Apache-2.0
 * The three forms: where the pickle of the object is, and where the storages are. */
#include "model/pth_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/tar.h"

static const char what_failed[] = "cannot read the PyTorch checkpoint";

#define FIRST_READ 4096u    /* of a pickle of unknown length; doubled until it is whole */
#define KEYS_MAX (1u << 20) /* bytes of the keys of the tar form */
/* The least that a storage or a tensor of the tar form takes: three values in a pickle, of which
 * one is a name, and what follows it. */
#define TAR_ITEM_BYTES 32u
#define WORD_BYTES_MAX 64 /* of the entry byteorder */

/* The first of the five pickles of the legacy form: 0x1950a86a20f9469cfc6c, torch's MAGIC_NUMBER,
 * behind the number of the protocol (torch.save takes one) and, from 4 on, a frame. */
static const uint8_t legacy_magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                       0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e};

#define PROTO 0x80
#define FRAME 0x95
#define PROTO_BYTES 2
#define FRAME_BYTES 9

/* ---- pickles in a file ---- */

static tm_status read_at(struct tm_pth *p, uint64_t at, uint64_t bytes, struct tm_buf *out)
{
    uint8_t *room = NULL;
    tm_buf_clear(out);
    if (tm_buf_extend(out, (size_t)bytes, &room) != TM_OK) {
        return tm_pth_no_memory(p);
    }
    return bytes == 0 ? TM_OK : tm_file_read_at(p->file, at, room, (size_t)bytes, p->err);
}

/* Reads the pickle at `at`, which ends before `end`: takes more of the file until it is whole. */
static tm_status read_pickle(struct tm_pth *p, uint64_t at, uint64_t end, struct tm_buf *bytes,
                             struct tm_pickle *out)
{
    const struct tm_pickle_options options = {.path = p->path, .offset = at};
    uint64_t most = end - at < TM_PICKLE_BYTES_MAX ? end - at : TM_PICKLE_BYTES_MAX;
    uint64_t take = most < FIRST_READ ? most : FIRST_READ;
    while (true) {
        TM_TRY(read_at(p, at, take, bytes));
        tm_status status = tm_pickle_read(tm_buf_view(bytes), &options, out, p->err);
        if (status == TM_OK || !out->cut || take == most) {
            return status;
        }
        tm_pickle_deinit(out);
        take = take < most / 2 ? take * 2 : most;
    }
}

static int compare_keys(struct tm_view a, struct tm_view b)
{
    size_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes == 0 ? 0 : memcmp(a.data, b.data, bytes);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int by_key(const void *a, const void *b)
{
    const struct tm_pth_storage *x = a, *y = b;
    return compare_keys(x->key, y->key);
}

static tm_status sort_storages(struct tm_pth *p)
{
    if (p->storage_count > 0) {
        qsort(p->storages, p->storage_count, sizeof *p->storages, by_key);
    }
    for (size_t i = 1; i < p->storage_count; i++) {
        if (by_key(&p->storages[i - 1], &p->storages[i]) == 0) {
            return tm_pth_bad(p, "two storages have the same key");
        }
    }
    return TM_OK;
}

/* ---- zip ---- */

static bool ends_with(struct tm_view name, const char *end)
{
    size_t bytes = strlen(end);
    return name.bytes >= bytes && memcmp(name.data + name.bytes - bytes, end, bytes) == 0;
}

/* NAME/data.pkl, the only one. */
static tm_status find_object(struct tm_pth *p, const struct tm_zip_entry **out)
{
    *out = NULL;
    for (size_t i = 0; i < p->zip.count; i++) {
        const struct tm_zip_entry *e = &p->zip.entries[i];
        if (!tm_view_eq_str(e->name, "data.pkl") && !ends_with(e->name, "/data.pkl")) {
            continue;
        }
        if (*out != NULL) {
            return tm_pth_bad(p, "the archive has two entries data.pkl");
        }
        *out = e;
        p->prefix = tm_view_of(e->name.data, e->name.bytes - strlen("data.pkl"));
    }
    return *out != NULL ? TM_OK
                        : tm_pth_bad(p, "it is a zip archive without data.pkl: no checkpoint");
}

/* The entry PREFIX + name, or NULL. */
static const struct tm_zip_entry *entry(const struct tm_pth *p, const char *folder,
                                        struct tm_view name)
{
    char path[1024];
    size_t folder_bytes = strlen(folder);
    if (p->prefix.bytes + folder_bytes + name.bytes > sizeof path) {
        return NULL;
    }
    memcpy(path, p->prefix.data, p->prefix.bytes);
    memcpy(path + p->prefix.bytes, folder, folder_bytes);
    memcpy(path + p->prefix.bytes + folder_bytes, name.data, name.bytes);
    return tm_zip_find(&p->zip, tm_view_of(path, p->prefix.bytes + folder_bytes + name.bytes));
}

static tm_status read_byte_order(struct tm_pth *p)
{
    const struct tm_zip_entry *e = entry(p, "", tm_view_str("byteorder"));
    struct tm_buf word;
    if (e == NULL) {
        return TM_OK; /* written before 2.1: little-endian, but on rare machines */
    }
    tm_buf_init(&word, WORD_BYTES_MAX);
    tm_status status = tm_zip_read(&p->zip, e, &word, p->err);
    if (status == TM_OK) {
        p->swapped = tm_view_eq_str(tm_buf_view(&word), "big");
        if (!p->swapped && !tm_view_eq_str(tm_buf_view(&word), "little")) {
            status = tm_pth_bad(p, "its byteorder is neither little nor big");
        }
    }
    tm_buf_deinit(&word);
    return status;
}

static tm_status load_zip(struct tm_pth *p)
{
    const struct tm_zip_entry *object = NULL;
    TM_TRY(tm_zip_open(p->file, &p->zip, p->err));
    p->checks = tm_calloc(p->zip.count, sizeof *p->checks);
    if (p->checks == NULL) {
        return tm_pth_no_memory(p);
    }
    TM_TRY(find_object(p, &object));
    TM_ASSERT(object != NULL);
    TM_TRY(read_byte_order(p));
    TM_TRY(tm_zip_read(&p->zip, object, &p->bytes, p->err));
    const struct tm_pickle_options options = {.path = p->path, .offset = object->at};
    return tm_pickle_read(tm_buf_view(&p->bytes), &options, &p->pickle, p->err);
}

static tm_status zip_storage(struct tm_pth *p, struct tm_view key, struct tm_pth_storage *out)
{
    const struct tm_zip_entry *e = entry(p, "data/", key);
    if (e == NULL || e->method != 0) {
        return TM_E_NOT_FOUND;
    }
    size_t index = (size_t)(e - p->zip.entries);
    if (e->crc != 0 && p->checks[index] == 0) {
        tm_status status =
            tm_sources_add_check(p->sources, e->at, e->bytes, e->crc, &p->checks[index]);
        TM_TRY(tm_sources_fail(status, p->path, p->err));
    }
    *out = (struct tm_pth_storage){.at = e->at, .bytes = e->bytes, .check = p->checks[index]};
    return TM_OK;
}

/* ---- legacy ---- */

static uint32_t element_bytes(const struct tm_global *type)
{
    switch (type->elements) {
    case TM_TORCH_PLAIN:
        return tm_dtype_block_bytes(type->dtype);
    case TM_TORCH_BYTES:
        return 1;
    case TM_TORCH_UNKNOWN:
        return type->element_bytes;
    case TM_TORCH_NONE:
        break;
    }
    return 0;
}

/* What the object says of a storage. */
struct named {
    struct tm_view key;
    uint32_t element_bytes;
};

static int by_named_key(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    return compare_keys(x->key, y->key);
}

/* The storages that the object names, by key; one that is named twice is there twice. */
static tm_status list_named(struct tm_pth *p, struct named **out, size_t *count)
{
    const struct tm_pickle *pickle = &p->pickle;
    struct named *list = tm_calloc(pickle->persistent_count, sizeof *list);
    *out = list;
    *count = 0;
    if (list == NULL) {
        return tm_pth_no_memory(p);
    }
    for (uint32_t i = 0; i < pickle->persistent_count; i++) {
        struct tm_value node = {.kind = TM_PICKLE_PERSISTENT, .at = pickle->persistents[i]};
        struct tm_value id = tm_pickle_item(pickle, node, 0);
        const struct tm_global *type = NULL;
        if (id.kind == TM_PICKLE_TUPLE && tm_pickle_count(pickle, id) >= 3) {
            type = tm_pickle_global(pickle, tm_pickle_item(pickle, id, 1));
        }
        if (type != NULL) {
            list[(*count)++] =
                (struct named){.key = tm_pickle_str(pickle, tm_pickle_item(pickle, id, 2)),
                               .element_bytes = element_bytes(type)};
        }
    }
    if (*count > 0) {
        qsort(list, *count, sizeof *list, by_named_key);
    }
    return TM_OK;
}

/* i64 elements, then as many of them: what tm_file holds at `at`. */
static tm_status read_counted(struct tm_pth *p, uint64_t at, uint64_t end, uint32_t size,
                              struct tm_pth_storage *out)
{
    uint8_t count[8];
    if (end - at < sizeof count) {
        return tm_pth_bad(p, "it is truncated before a storage");
    }
    TM_TRY(tm_file_read_at(p->file, at, count, sizeof count, p->err));
    uint64_t elements = tm_get_u64(count), bytes = 0;
    if (!tm_mul_u64(elements, size, &bytes) || bytes > end - at - sizeof count) {
        return tm_pth_bad(p, "a storage is longer than the file: it is truncated");
    }
    out->at = at + sizeof count;
    out->bytes = bytes;
    return TM_OK;
}

/* The keys, in the order of the storages that follow them. */
static tm_status read_keyed(struct tm_pth *p, const struct tm_pickle *keys, uint64_t at,
                            const struct named *list, size_t list_count)
{
    uint64_t end = tm_file_bytes(p->file);
    for (uint32_t i = 0; i < tm_pickle_count(keys, keys->root); i++) {
        struct tm_pth_storage *s = &p->storages[p->storage_count];
        s->key = tm_pickle_str(keys, tm_pickle_item(keys, keys->root, i));
        const struct named wanted = {.key = s->key};
        const struct named *found =
            list_count == 0 ? NULL
                            : bsearch(&wanted, list, list_count, sizeof wanted, by_named_key);
        if (found == NULL || found->element_bytes == 0) {
            return tm_pth_bad(p, "a storage that no tensor names, of unknown type");
        }
        TM_TRY(read_counted(p, at, end, found->element_bytes, s));
        at = s->at + s->bytes;
        p->storage_count++;
    }
    return sort_storages(p);
}

static tm_status read_storages(struct tm_pth *p, const struct tm_pickle *keys, uint64_t at)
{
    uint32_t count = tm_pickle_count(keys, keys->root);
    struct named *list = NULL;
    size_t list_count = 0;
    if (keys->root.kind != TM_PICKLE_LIST || count > TM_PTH_STORAGES_MAX) {
        return tm_pth_bad(p, "no list of storages behind the object");
    }
    p->storages = tm_calloc(count, sizeof *p->storages);
    tm_status status =
        p->storages == NULL ? tm_pth_no_memory(p) : list_named(p, &list, &list_count);
    if (status == TM_OK) {
        status = read_keyed(p, keys, at, list, list_count);
    }
    tm_free(list);
    return status;
}

static tm_status read_system(struct tm_pth *p, const struct tm_pickle *system)
{
    struct tm_value little;
    if (tm_pickle_get(system, system->root, "little_endian", &little) &&
        little.kind == TM_PICKLE_BOOL) {
        p->swapped = little.at == 0;
    }
    return p->swapped ? tm_err_set(p->err, TM_E_INCOMPATIBLE, p->path, what_failed,
                                   "save it again on a little-endian machine",
                                   "it is in the old form and big-endian")
                      : TM_OK;
}

/* Bytes of the first pickle when a file that starts with `head` is of the legacy form, or else 0.
 */
static uint64_t legacy_start(struct tm_view head)
{
    size_t at = PROTO_BYTES;
    if (head.bytes < at || head.data[0] != PROTO) {
        return 0;
    }
    if (head.data[1] >= 4 && head.bytes > at && head.data[at] == FRAME) {
        at += FRAME_BYTES;
    }
    bool found = head.bytes >= at + sizeof legacy_magic &&
                 memcmp(head.data + at, legacy_magic, sizeof legacy_magic) == 0;
    return found ? at + sizeof legacy_magic : 0;
}

static tm_status load_legacy(struct tm_pth *p, uint64_t at)
{
    uint64_t end = tm_file_bytes(p->file);
    struct tm_pickle small = {.used = 0};
    for (int i = 0; i < 2; i++) { /* protocol, system */
        tm_status status = read_pickle(p, at, end, &p->keys, &small);
        at += small.used;
        if (status == TM_OK && i == 1) {
            status = read_system(p, &small);
        }
        tm_pickle_deinit(&small);
        TM_TRY(status);
    }
    TM_TRY(read_pickle(p, at, end, &p->bytes, &p->pickle));
    at += p->pickle.used;
    tm_status status = read_pickle(p, at, end, &p->keys, &small);
    if (status == TM_OK) {
        status = read_storages(p, &small, at + small.used);
    }
    tm_pickle_deinit(&small);
    return status;
}

/* ---- tar ---- */

/* A walk over a member: a count, then a pickle of three and what belongs to it for each. */
struct member {
    uint64_t at, end;
    uint64_t count;
};

/* A member that must be there. */
static tm_status find_member(struct tm_pth *p, const char *name, struct tm_tar_member *out)
{
    tm_status status = tm_tar_find(p->file, name, out, p->err);
    return status == TM_E_NOT_FOUND
               ? tm_pth_bad(p, "it is a tar archive without pickle and storages: no checkpoint")
               : status;
}

static tm_status open_member(struct tm_pth *p, const char *name, struct member *out)
{
    struct tm_tar_member member;
    struct tm_pickle count = {.used = 0};
    struct tm_buf bytes;
    TM_TRY(find_member(p, name, &member));
    tm_buf_init(&bytes, TM_PICKLE_BYTES_MAX);
    *out = (struct member){.at = member.at, .end = member.at + member.bytes};
    tm_status status = read_pickle(p, out->at, out->end, &bytes, &count);
    out->at += count.used;
    if (status == TM_OK &&
        (!tm_pickle_u64(&count, count.root, &out->count) || out->count > TM_PTH_STORAGES_MAX ||
         out->count > (out->end - out->at) / TAR_ITEM_BYTES)) {
        status = tm_pth_bad(p, "a count of storages or tensors that the file cannot hold");
    }
    tm_pickle_deinit(&count);
    tm_buf_deinit(&bytes);
    return status;
}

/* A text or a number, copied behind the other keys. The keys stay where they are: p->keys has all
 * its room from the start. */
static tm_status keep_key(struct tm_pth *p, const struct tm_pickle *from, struct tm_value value,
                          struct tm_view *out)
{
    char number[24];
    int64_t n = 0;
    struct tm_view text = tm_pickle_str(from, value);
    if (tm_pickle_int(from, value, &n)) {
        snprintf(number, sizeof number, "%lld", (long long)n);
        text = tm_view_str(number);
    }
    size_t at = p->keys.bytes;
    if (text.bytes > p->keys.capacity - at) {
        return tm_pth_bad(p, "keys of storages that are too long");
    }
    if (tm_buf_put(&p->keys, text.data, text.bytes) != TM_OK) {
        return tm_pth_no_memory(p);
    }
    *out = tm_view_of(p->keys.data + at, text.bytes);
    return TM_OK;
}

/* (key, place, storage type) and the elements. */
static tm_status read_tar_storage(struct tm_pth *p, struct member *m, const struct tm_pickle *args,
                                  struct tm_pth_storage *out)
{
    const struct tm_global *type = NULL;
    if (tm_pickle_count(args, args->root) == 3) {
        type = tm_pickle_global(args, tm_pickle_item(args, args->root, 2));
    }
    if (type == NULL || element_bytes(type) == 0) {
        return tm_pth_bad(p, "a storage without a key, a place and a type");
    }
    TM_TRY(keep_key(p, args, tm_pickle_item(args, args->root, 0), &out->key));
    out->element_bytes = element_bytes(type);
    TM_TRY(read_counted(p, m->at, m->end, out->element_bytes, out));
    m->at = out->at + out->bytes;
    return TM_OK;
}

/* (key, storage key, tensor type), then i32 dimensions, 4 bytes, i64 sizes, strides and offset. */
static tm_status read_tar_tensor(struct tm_pth *p, struct member *m, const struct tm_pickle *args,
                                 struct tm_pth_tensor *out)
{
    uint8_t numbers[8 * (2 * TM_RANK_MAX + 1)], rank[8];
    out->type = NULL;
    if (tm_pickle_count(args, args->root) == 3) {
        out->type = tm_pickle_global(args, tm_pickle_item(args, args->root, 2));
    }
    if (out->type == NULL || m->end - m->at < sizeof rank) {
        return tm_pth_bad(p, "a tensor without a key, a storage and a type");
    }
    TM_TRY(keep_key(p, args, tm_pickle_item(args, args->root, 0), &out->key));
    TM_TRY(keep_key(p, args, tm_pickle_item(args, args->root, 1), &out->storage));
    TM_TRY(tm_file_read_at(p->file, m->at, rank, sizeof rank, p->err));
    m->at += sizeof rank;
    out->shape.rank = tm_get_u32(rank);
    size_t bytes = 8 * (2 * (size_t)out->shape.rank + 1);
    if (out->shape.rank > TM_RANK_MAX || m->end - m->at < bytes) {
        return tm_pth_bad(p, "a tensor with more than 8 dimensions, or cut off");
    }
    TM_TRY(tm_file_read_at(p->file, m->at, numbers, bytes, p->err));
    m->at += bytes;
    for (uint32_t i = 0; i < out->shape.rank; i++) {
        out->shape.dim[i] = tm_get_u64(numbers + 8 * (size_t)i);
        out->stride[i] = tm_get_u64(numbers + 8 * (size_t)(out->shape.rank + i));
    }
    out->offset = tm_get_u64(numbers + 16 * (size_t)out->shape.rank);
    return TM_OK;
}

/* One of `count` things of a member: its pickle of three, then what follows. */
static tm_status read_next(struct tm_pth *p, struct member *m, bool tensors, struct tm_buf *bytes)
{
    struct tm_pickle args = {.used = 0};
    tm_status status = read_pickle(p, m->at, m->end, bytes, &args);
    m->at += args.used;
    if (status == TM_OK) {
        status = tensors ? read_tar_tensor(p, m, &args, &p->tensors[p->tensor_count])
                         : read_tar_storage(p, m, &args, &p->storages[p->storage_count]);
    }
    p->tensor_count += status == TM_OK && tensors;
    p->storage_count += status == TM_OK && !tensors;
    tm_pickle_deinit(&args);
    return status;
}

/* (key, key of another storage, first element, elements): a storage that is a part of another. The
 * others are sorted; their count stays while parts are added. */
static tm_status read_part(struct tm_pth *p, const struct tm_pickle *list, struct tm_value part,
                           size_t others)
{
    struct tm_pth_storage wanted = {.at = 0}, *out = &p->storages[p->storage_count];
    uint64_t first = 0, count = 0;
    if (tm_pickle_count(list, part) != 4 ||
        !tm_pickle_u64(list, tm_pickle_item(list, part, 2), &first) ||
        !tm_pickle_u64(list, tm_pickle_item(list, part, 3), &count)) {
        return tm_pth_bad(p, "a part of a storage that is not described");
    }
    *out = wanted; /* the room for parts comes from a reallocation: it holds anything */
    TM_TRY(keep_key(p, list, tm_pickle_item(list, part, 0), &out->key));
    TM_TRY(keep_key(p, list, tm_pickle_item(list, part, 1), &wanted.key));
    const struct tm_pth_storage *whole =
        others == 0 ? NULL : bsearch(&wanted, p->storages, others, sizeof wanted, by_key);
    if (whole == NULL) {
        return tm_pth_bad(p, "a part of a storage that is not in the file");
    }
    uint64_t held = whole->bytes / whole->element_bytes;
    if (first > held || count > held - first) {
        return tm_pth_bad(p, "a part of a storage that leaves it");
    }
    out->element_bytes = whole->element_bytes;
    out->at = whole->at + first * whole->element_bytes;
    out->bytes = count * whole->element_bytes;
    p->storage_count++;
    return TM_OK;
}

/* The list of parts behind the storages; not every writer has it. */
static tm_status read_parts(struct tm_pth *p, const struct member *m, struct tm_buf *bytes)
{
    struct tm_pickle list = {.used = 0};
    size_t others = p->storage_count;
    if (m->at == m->end) {
        return TM_OK;
    }
    tm_status status = read_pickle(p, m->at, m->end, bytes, &list);
    uint32_t count = tm_pickle_count(&list, list.root);
    if (status == TM_OK && count > 0) {
        struct tm_pth_storage *grown =
            tm_realloc_array(p->storages, others + count, sizeof *p->storages);
        p->storages = grown != NULL ? grown : p->storages;
        status = grown != NULL ? TM_OK : tm_pth_no_memory(p);
    }
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        status = read_part(p, &list, tm_pickle_item(&list, list.root, i), others);
    }
    tm_pickle_deinit(&list);
    return status == TM_OK ? sort_storages(p) : status;
}

static int by_tensor_key(const void *a, const void *b)
{
    const struct tm_pth_tensor *x = a, *y = b;
    return compare_keys(x->key, y->key);
}

static tm_status sort_tensors(struct tm_pth *p)
{
    if (p->tensor_count > 0) {
        qsort(p->tensors, p->tensor_count, sizeof *p->tensors, by_tensor_key);
    }
    for (size_t i = 1; i < p->tensor_count; i++) {
        if (by_tensor_key(&p->tensors[i - 1], &p->tensors[i]) == 0) {
            return tm_pth_bad(p, "two tensors have the same key");
        }
    }
    return TM_OK;
}

static tm_status read_member(struct tm_pth *p, const char *name, bool tensors)
{
    struct member m;
    struct tm_buf bytes;
    TM_TRY(open_member(p, name, &m));
    if (tensors) {
        p->tensors = tm_calloc((size_t)m.count, sizeof *p->tensors);
    } else {
        p->storages = tm_calloc((size_t)m.count, sizeof *p->storages);
    }
    if ((tensors && p->tensors == NULL) || (!tensors && p->storages == NULL)) {
        return tm_pth_no_memory(p);
    }
    tm_buf_init(&bytes, TM_PICKLE_BYTES_MAX);
    tm_status status = TM_OK;
    for (uint64_t i = 0; i < m.count && status == TM_OK; i++) {
        status = read_next(p, &m, tensors, &bytes);
    }
    if (status == TM_OK) {
        status = tensors ? sort_tensors(p) : sort_storages(p);
    }
    if (status == TM_OK && !tensors) {
        status = read_parts(p, &m, &bytes);
    }
    tm_buf_deinit(&bytes);
    return status;
}

static tm_status load_tar(struct tm_pth *p)
{
    struct tm_tar_member object;
    TM_TRY(find_member(p, "pickle", &object));
    TM_TRY(read_pickle(p, object.at, object.at + object.bytes, &p->bytes, &p->pickle));
    if (tm_buf_reserve(&p->keys, KEYS_MAX) != TM_OK) {
        return tm_pth_no_memory(p);
    }
    TM_TRY(read_member(p, "storages", false));
    struct tm_err none;
    struct tm_tar_member tensors;
    tm_status status = tm_tar_find(p->file, "tensors", &tensors, &none);
    return status == TM_E_NOT_FOUND ? TM_OK : read_member(p, "tensors", true);
}

/* ---- all ---- */

tm_status tm_pth_storage(struct tm_pth *p, struct tm_view key, struct tm_pth_storage *out)
{
    const struct tm_pth_storage wanted = {.key = key};
    if (p->zip.entries != NULL) {
        return zip_storage(p, key, out);
    }
    const struct tm_pth_storage *found =
        p->storage_count == 0
            ? NULL
            : bsearch(&wanted, p->storages, p->storage_count, sizeof wanted, by_key);
    if (found == NULL) {
        return TM_E_NOT_FOUND;
    }
    *out = *found;
    return TM_OK;
}

bool tm_pth_tensor(struct tm_pth *p, struct tm_view key, const struct tm_pth_tensor **out)
{
    const struct tm_pth_tensor wanted = {.key = key};
    *out = p->tensor_count == 0
               ? NULL
               : bsearch(&wanted, p->tensors, p->tensor_count, sizeof wanted, by_tensor_key);
    return *out != NULL;
}

tm_status tm_pth_load(struct tm_pth *p)
{
    uint8_t head[TM_TAR_BLOCK];
    uint64_t bytes = tm_file_bytes(p->file);
    size_t take = bytes < sizeof head ? (size_t)bytes : sizeof head;
    TM_TRY(tm_file_read_at(p->file, 0, head, take, p->err));
    uint64_t first = legacy_start(tm_view_of(head, take));
    if (first > 0) {
        return load_legacy(p, first);
    }
    if (take >= 2 && head[0] == 'P' && head[1] == 'K') {
        return load_zip(p);
    }
    if (tm_tar_is(tm_view_of(head, take))) {
        return load_tar(p);
    }
    /* A pickle alone has no storages; it is read for what it asks for. */
    return read_pickle(p, 0, bytes, &p->bytes, &p->pickle);
}

void tm_pth_unload(struct tm_pth *p)
{
    tm_pickle_deinit(&p->pickle);
    tm_zip_deinit(&p->zip);
    tm_buf_deinit(&p->bytes);
    tm_buf_deinit(&p->keys);
    tm_free(p->checks);
    tm_free(p->storages);
    tm_free(p->tensors);
}
