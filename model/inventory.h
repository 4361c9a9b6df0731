/* SPDX-License-Identifier: Apache-2.0
 * The list of tensors of a checkpoint, and where their bytes lie. Plain data: nothing of the
 * weights is loaded. The only header of model/ (with tensor.h) that scheduler/ may include. */
#ifndef TM_MODEL_INVENTORY_H
#define TM_MODEL_INVENTORY_H

#include "model/tensor.h"

struct tm_tensor {
    char *name; /* bytes as in the file, UTF-8 checked, NUL-terminated; unique */
    size_t name_bytes;
    enum tm_dtype dtype;
    struct tm_shape shape;
    uint32_t file;   /* index into files */
    uint64_t offset; /* absolute byte offset in that file */
    uint64_t bytes;
    uint32_t layout; /* 0: row-major and little-endian at offset; else the reader's business */
};

enum tm_format { TM_FORMAT_SAFETENSORS, TM_FORMAT_GGUF, TM_FORMAT_LLAMA2C, TM_FORMAT_PYTORCH };

/* "GGUF", "safetensors", "llama2.c" */
const char *tm_format_name(enum tm_format format);

/* Something carried along byte for byte: config.json, tokenizer.json, the metadata of a GGUF. */
struct tm_attachment {
    char *name; /* "config.json", "tokenizer.json", "gguf-metadata" */
    uint32_t file;
    uint64_t offset;
    uint64_t bytes;
    bool in_memory; /* its bytes are data[bytes], not a range of a file */
    uint8_t *data;
};

struct tm_inventory {
    enum tm_format format;
    char *arch; /* "llama", config.json model_type or general.architecture; "" when unknown */
    struct tm_tensor *tensors; /* in execution order: file order for GGUF, natural order of names
                                * (layers by number, embeddings first, head last) otherwise */
    size_t tensor_count;
    char **files; /* paths */
    size_t file_count;
    struct tm_attachment *attachments;
    size_t attachment_count;
    char **warnings; /* for the user: repeated tokens, unknown files */
    size_t warning_count;
    uint64_t total_bytes, total_elements; /* of the tensors */
    /* Tensor indices in bytewise order of names, made by tm_inventory_seal; NULL before. */
    size_t *by_name;
    /* Of the tokenizer, 0 when there is none: counts only (tokens include added ones). */
    uint64_t token_count, merge_count;
};

/* A zeroed inventory is empty and valid. */
void tm_inventory_deinit(struct tm_inventory *inventory);
/* Index of a tensor by name, or tensor_count. Binary search once sealed. */
size_t tm_inventory_find(const struct tm_inventory *inventory, const char *name, size_t name_bytes);

/* ---- building ---- */

#define TM_INVENTORY_TENSORS_MAX (1u << 19)
#define TM_INVENTORY_FILES_MAX 1000
#define TM_INVENTORY_WARNINGS_MAX 100 /* later ones are dropped */

/* All copy what they are given. TM_E_LIMIT past a maximum. */
tm_status tm_inventory_add_file(struct tm_inventory *inventory, const char *path,
                                uint32_t *out) TM_MUST_USE;
tm_status tm_inventory_add_tensor(struct tm_inventory *inventory,
                                  const struct tm_tensor *tensor) TM_MUST_USE;
/* data is copied when in_memory. */
tm_status tm_inventory_add_attachment(struct tm_inventory *inventory,
                                      const struct tm_attachment *attachment) TM_MUST_USE;
tm_status tm_inventory_set_arch(struct tm_inventory *inventory, struct tm_view arch) TM_MUST_USE;
tm_status tm_inventory_warn(struct tm_inventory *inventory, const char *fmt, ...) TM_MUST_USE
    TM_PRINTF(2, 3);
/* Index of an attachment by name, or attachment_count. */
size_t tm_inventory_attachment(const struct tm_inventory *inventory, const char *name);
/* Execution order guessed from names: embeddings, layers by number, the rest, the head; equal ones
 * by name, runs of digits as numbers. A total order: the same for every order of adding. */
tm_status tm_inventory_sort_natural(struct tm_inventory *inventory) TM_MUST_USE;
/* Builds by_name and the totals. TM_E_MALFORMED "duplicate" when a name is there twice. */
tm_status tm_inventory_seal(struct tm_inventory *inventory, struct tm_err *err) TM_MUST_USE;

#endif
