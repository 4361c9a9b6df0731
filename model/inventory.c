/* SPDX-License-Identifier: Apache-2.0 */
#include "model/inventory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/where.h"

const char *tm_format_name(enum tm_format format)
{
    switch (format) {
    case TM_FORMAT_SAFETENSORS:
        return "safetensors";
    case TM_FORMAT_GGUF:
        return "GGUF";
    case TM_FORMAT_LLAMA2C:
        return "llama2.c";
    case TM_FORMAT_PYTORCH:
        break;
    }
    return "PyTorch";
}

void tm_inventory_deinit(struct tm_inventory *inventory)
{
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        tm_free(inventory->tensors[i].name);
    }
    for (size_t i = 0; i < inventory->file_count; i++) {
        tm_free(inventory->files[i]);
    }
    for (size_t i = 0; i < inventory->attachment_count; i++) {
        tm_free(inventory->attachments[i].name);
        tm_free(inventory->attachments[i].data);
    }
    for (size_t i = 0; i < inventory->warning_count; i++) {
        tm_free(inventory->warnings[i]);
    }
    tm_free(inventory->tensors);
    tm_free(inventory->files);
    tm_free(inventory->attachments);
    tm_free(inventory->warnings);
    tm_free(inventory->by_name);
    tm_free(inventory->arch);
    memset(inventory, 0, sizeof *inventory);
}

static int compare_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    if (order != 0) {
        return order;
    }
    return (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

size_t tm_inventory_find(const struct tm_inventory *inventory, const char *name, size_t name_bytes)
{
    size_t count = inventory->tensor_count;
    if (inventory->by_name == NULL) {
        for (size_t i = 0; i < count; i++) {
            const struct tm_tensor *t = &inventory->tensors[i];
            if (compare_bytes(t->name, t->name_bytes, name, name_bytes) == 0) {
                return i;
            }
        }
        return count;
    }
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct tm_tensor *t = &inventory->tensors[inventory->by_name[middle]];
        int order = compare_bytes(t->name, t->name_bytes, name, name_bytes);
        if (order == 0) {
            return inventory->by_name[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return count;
}

size_t tm_inventory_attachment(const struct tm_inventory *inventory, const char *name)
{
    size_t i = 0;
    while (i < inventory->attachment_count && strcmp(inventory->attachments[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* Room for one more item. The capacity is the next power of two, so it need not be kept. */
static tm_status grow(void **items, size_t count, size_t item_bytes)
{
    if (count != 0 && (count & (count - 1)) != 0) {
        return TM_OK;
    }
    void *grown = tm_realloc_array(*items, count == 0 ? 1 : 2 * count, item_bytes);
    if (grown == NULL) {
        return TM_E_NOMEM;
    }
    *items = grown;
    return TM_OK;
}

tm_status tm_inventory_add_file(struct tm_inventory *inventory, const char *path, uint32_t *out)
{
    if (inventory->file_count >= TM_INVENTORY_FILES_MAX) {
        return TM_E_LIMIT;
    }
    void *files = inventory->files;
    tm_status status = grow(&files, inventory->file_count, sizeof *inventory->files);
    inventory->files = files;
    TM_TRY(status);
    char *copy = tm_strdup(path);
    if (copy == NULL) {
        return TM_E_NOMEM;
    }
    *out = (uint32_t)inventory->file_count;
    inventory->files[inventory->file_count++] = copy;
    return TM_OK;
}

tm_status tm_inventory_add_tensor(struct tm_inventory *inventory, const struct tm_tensor *tensor)
{
    if (inventory->tensor_count >= TM_INVENTORY_TENSORS_MAX) {
        return TM_E_LIMIT;
    }
    void *tensors = inventory->tensors;
    tm_status status = grow(&tensors, inventory->tensor_count, sizeof *inventory->tensors);
    inventory->tensors = tensors;
    TM_TRY(status);
    char *name = tm_strndup(tensor->name, tensor->name_bytes);
    if (name == NULL) {
        return TM_E_NOMEM;
    }
    struct tm_tensor *added = &inventory->tensors[inventory->tensor_count++];
    *added = *tensor;
    added->name = name;
    return TM_OK;
}

tm_status tm_inventory_add_attachment(struct tm_inventory *inventory,
                                      const struct tm_attachment *attachment)
{
    void *items = inventory->attachments;
    tm_status status = grow(&items, inventory->attachment_count, sizeof *inventory->attachments);
    inventory->attachments = items;
    TM_TRY(status);
    struct tm_attachment copy = *attachment;
    copy.data = NULL;
    copy.name = tm_strdup(attachment->name);
    if (copy.name == NULL) {
        return TM_E_NOMEM;
    }
    if (copy.in_memory) {
        copy.data = tm_memdup(attachment->data, (size_t)attachment->bytes);
        if (copy.data == NULL) {
            tm_free(copy.name);
            return TM_E_NOMEM;
        }
    }
    inventory->attachments[inventory->attachment_count++] = copy;
    return TM_OK;
}

tm_status tm_inventory_set_arch(struct tm_inventory *inventory, struct tm_view arch)
{
    char *copy = tm_strndup((const char *)arch.data, arch.bytes);
    if (copy == NULL) {
        return TM_E_NOMEM;
    }
    tm_free(inventory->arch);
    inventory->arch = copy;
    return TM_OK;
}

tm_status tm_inventory_warn(struct tm_inventory *inventory, const char *fmt, ...)
{
    if (inventory->warning_count >= TM_INVENTORY_WARNINGS_MAX) {
        return TM_OK;
    }
    void *warnings = inventory->warnings;
    tm_status status = grow(&warnings, inventory->warning_count, sizeof *inventory->warnings);
    inventory->warnings = warnings;
    TM_TRY(status);
    char text[512];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (length < 0) {
        return TM_E_INTERNAL;
    }
    char *copy = tm_strdup(text);
    if (copy == NULL) {
        return TM_E_NOMEM;
    }
    inventory->warnings[inventory->warning_count++] = copy;
    return TM_OK;
}

/* ---- natural order ---- */

enum name_class { CLASS_EMBEDDING, CLASS_LAYER, CLASS_OTHER, CLASS_HEAD };

struct order_key {
    uint32_t index; /* of the tensor before sorting */
    uint32_t class;
    uint64_t layer;
};

static bool part_is_one_of(struct tm_view part, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (tm_view_eq_str(part, *words)) {
            return true;
        }
    }
    return false;
}

static bool part_number(struct tm_view part, uint64_t *out)
{
    /* Longer ones are no layer numbers, and 9 digits cannot overflow. */
    if (part.bytes == 0 || part.bytes > 9) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < part.bytes; i++) {
        if (part.data[i] < '0' || part.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(part.data[i] - '0');
    }
    *out = value;
    return true;
}

/* The class from the dotted parts of the name: the first number is the layer's. */
static void classify(const struct tm_tensor *tensor, struct order_key *key)
{
    static const char *const embeddings[] = {
        "embed_tokens",   "wte",         "wpe",        "token_embd",
        "position_embd",  "token_types", "embeddings", "word_embeddings",
        "tok_embeddings", NULL};
    static const char *const heads[] = {"lm_head", "output", "embed_out", "classifier", NULL};
    const char *name = tensor->name;
    size_t bytes = tensor->name_bytes;
    key->class = CLASS_OTHER;
    key->layer = 0;
    for (size_t start = 0; start <= bytes;) {
        const char *dot = memchr(name + start, '.', bytes - start);
        size_t end = dot != NULL ? (size_t)(dot - name) : bytes;
        struct tm_view part = tm_view_of(name + start, end - start);
        if (part_number(part, &key->layer)) {
            key->class = CLASS_LAYER;
            return;
        }
        if (part_is_one_of(part, embeddings)) {
            key->class = CLASS_EMBEDDING;
        } else if (part_is_one_of(part, heads)) {
            key->class = CLASS_HEAD;
        }
        start = end + 1;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytewise but for runs of digits, which compare as numbers of any length. */
static int compare_natural(const struct tm_tensor *a, const struct tm_tensor *b)
{
    size_t i = 0, j = 0;
    while (i < a->name_bytes && j < b->name_bytes) {
        if (!is_digit(a->name[i]) || !is_digit(b->name[j])) {
            unsigned char x = (unsigned char)a->name[i++], y = (unsigned char)b->name[j++];
            if (x != y) {
                return x < y ? -1 : 1;
            }
            continue;
        }
        while (i < a->name_bytes && a->name[i] == '0') {
            i++;
        }
        while (j < b->name_bytes && b->name[j] == '0') {
            j++;
        }
        size_t i_end = i, j_end = j;
        while (i_end < a->name_bytes && is_digit(a->name[i_end])) {
            i_end++;
        }
        while (j_end < b->name_bytes && is_digit(b->name[j_end])) {
            j_end++;
        }
        if (i_end - i != j_end - j) {
            return i_end - i < j_end - j ? -1 : 1;
        }
        int order = memcmp(a->name + i, b->name + j, i_end - i);
        if (order != 0) {
            return order;
        }
        i = i_end;
        j = j_end;
    }
    if (i < a->name_bytes || j < b->name_bytes) {
        return i < a->name_bytes ? 1 : -1;
    }
    return compare_bytes(a->name, a->name_bytes, b->name, b->name_bytes); /* "01" and "1" */
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct tm_tensor *tensors = context;
    const struct order_key *x = a, *y = b;
    if (x->class != y->class) {
        return x->class < y->class ? -1 : 1;
    }
    if (x->layer != y->layer) {
        return x->layer < y->layer ? -1 : 1;
    }
    return compare_natural(&tensors[x->index], &tensors[y->index]);
}

/* Moves tensor keys[i].index to i, cycle by cycle, without a second array. */
static void permute(struct tm_tensor *tensors, struct order_key *keys, size_t count)
{
    for (size_t start = 0; start < count; start++) {
        struct tm_tensor first = tensors[start];
        size_t hole = start;
        while (keys[hole].index != start) {
            size_t from = keys[hole].index;
            tensors[hole] = tensors[from];
            keys[hole].index = (uint32_t)hole;
            hole = from;
        }
        tensors[hole] = first;
        keys[hole].index = (uint32_t)hole;
    }
}

tm_status tm_inventory_sort_natural(struct tm_inventory *inventory)
{
    size_t count = inventory->tensor_count;
    struct order_key *keys = tm_calloc(count, sizeof *keys);
    if (keys == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i].index = (uint32_t)i;
        classify(&inventory->tensors[i], &keys[i]);
    }
    qsort_r(keys, count, sizeof *keys, compare_keys, inventory->tensors);
    permute(inventory->tensors, keys, count);
    tm_free(keys);
    tm_free(inventory->by_name);
    inventory->by_name = NULL;
    return TM_OK;
}

/* ---- sealing ---- */

static int compare_names(const void *a, const void *b, void *context)
{
    const struct tm_tensor *tensors = context;
    const struct tm_tensor *x = &tensors[*(const size_t *)a], *y = &tensors[*(const size_t *)b];
    return compare_bytes(x->name, x->name_bytes, y->name, y->name_bytes);
}

static tm_status refuse_duplicate(const struct tm_inventory *inventory, const struct tm_tensor *a,
                                  const struct tm_tensor *b, struct tm_err *err)
{
    struct tm_where where;
    const char *file = b->file < inventory->file_count ? inventory->files[b->file] : "";
    tm_where(&where, file, tm_view_of(b->name, b->name_bytes));
    if (a->file != b->file && a->file < inventory->file_count) {
        return tm_err_set(err, TM_E_MALFORMED, where.text, "duplicate tensor name", NULL,
                          "the name is also in %s", inventory->files[a->file]);
    }
    return tm_err_set(err, TM_E_MALFORMED, where.text, "duplicate tensor name", NULL,
                      "the name is there twice");
}

tm_status tm_inventory_seal(struct tm_inventory *inventory, struct tm_err *err)
{
    size_t count = inventory->tensor_count;
    size_t *order = tm_calloc(count, sizeof *order);
    if (order == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "cannot list the tensors", NULL, "out of memory");
    }
    uint64_t bytes = 0, elements = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tm_tensor *t = &inventory->tensors[i];
        uint64_t n = 0;
        order[i] = i;
        if (!tm_shape_elements(&t->shape, &n) || !tm_add_u64(elements, n, &elements) ||
            !tm_add_u64(bytes, t->bytes, &bytes)) {
            tm_free(order);
            return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot list the tensors", NULL,
                              "the sizes of the tensors add up to more than 2^64");
        }
    }
    qsort_r(order, count, sizeof *order, compare_names, inventory->tensors);
    for (size_t i = 1; i < count; i++) {
        if (compare_names(&order[i - 1], &order[i], inventory->tensors) == 0) {
            size_t first = order[i - 1] < order[i] ? order[i - 1] : order[i];
            size_t second = order[i - 1] < order[i] ? order[i] : order[i - 1];
            tm_free(order);
            return refuse_duplicate(inventory, &inventory->tensors[first],
                                    &inventory->tensors[second], err);
        }
    }
    tm_free(inventory->by_name);
    inventory->by_name = order;
    inventory->total_bytes = bytes;
    inventory->total_elements = elements;
    return TM_OK;
}
