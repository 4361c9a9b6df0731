/* SPDX-License-Identifier: Apache-2.0
 * Opens a model: a .safetensors file, a folder with model.safetensors(.index.json), a .gguf file or
 * any part of a split GGUF, a llama2.c file, a PyTorch checkpoint or a folder with
 * pytorch_model.bin(.index.json). The kind is found by content, never by the extension. Reads are
 * positioned; memory is bounded by the header. Every range was checked against the file sizes. */
#ifndef TM_MODEL_CHECKPOINT_H
#define TM_MODEL_CHECKPOINT_H

#include "crypto/digest.h"
#include "model/inventory.h"

struct tm_checkpoint;

/* Errors: TM_E_NOT_FOUND, TM_E_MALFORMED, TM_E_INCOMPATIBLE (a type or version we cannot read). */
tm_status tm_checkpoint_open(const char *path, struct tm_checkpoint **out,
                             struct tm_err *err) TM_MUST_USE;
/* The same with the dotted path of the dictionary that is the model in a PyTorch checkpoint (NULL:
 * it is chosen, see model/pth.h). TM_E_USAGE for a model of another format. */
tm_status tm_checkpoint_open_under(const char *path, const char *under, struct tm_checkpoint **out,
                                   struct tm_err *err) TM_MUST_USE;
void tm_checkpoint_close(struct tm_checkpoint **checkpoint);
const struct tm_inventory *tm_checkpoint_inventory(const struct tm_checkpoint *checkpoint);
const char *tm_checkpoint_path(const struct tm_checkpoint *checkpoint);

/* bytes at offset within tensor `index`, in its own dtype. Thread-safe. Where a zip archive has a
 * checksum of what the tensor lies in, it is checked at the first read. */
tm_status tm_checkpoint_read(struct tm_checkpoint *checkpoint, size_t index, uint64_t offset,
                             void *out, size_t bytes, struct tm_err *err) TM_MUST_USE;
/* SHA-256 of the tensor's row-major little-endian bytes. The checksum that a zip archive has of
 * them is checked first (once). */
tm_status tm_checkpoint_hash(struct tm_checkpoint *checkpoint, size_t index, struct tm_digest *out,
                             struct tm_err *err) TM_MUST_USE;
/* bytes at offset of an attachment, appended to out. */
tm_status tm_checkpoint_attachment_range(struct tm_checkpoint *checkpoint, size_t index,
                                         uint64_t offset, size_t bytes, struct tm_buf *out,
                                         struct tm_err *err) TM_MUST_USE;
/* A whole attachment (<= 256 MiB) appended to out. */
tm_status tm_checkpoint_attachment(struct tm_checkpoint *checkpoint, size_t index,
                                   struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* Whether `path` is, or lies inside, one of the inputs (same file, link to it, same folder): an
 * output must never be one. */
bool tm_checkpoint_is_input(const struct tm_checkpoint *checkpoint, const char *path);

#endif
