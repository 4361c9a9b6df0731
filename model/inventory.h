/* SPDX-License-Identifier: Apache-2.0
 * The list of tensors of a checkpoint, and where their bytes lie. Plain data: nothing of the weights
 * is loaded. The only header of model/ (with tensor.h) that scheduler/ may include. */
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
};

enum tm_format { TM_FORMAT_SAFETENSORS, TM_FORMAT_GGUF };

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
    /* Of the tokenizer, 0 when there is none: counts only (tokens include added ones). */
    uint64_t token_count, merge_count;
};

void tm_inventory_deinit(struct tm_inventory *inventory);
/* Index of a tensor by name, or tensor_count. */
size_t tm_inventory_find(const struct tm_inventory *inventory, const char *name,
                         size_t name_bytes);

#endif
