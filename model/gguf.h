/* SPDX-License-Identifier: Apache-2.0
 * Parser of the header of one GGUF file, version 2 or 3, little-endian. Format: ggml docs/gguf.md.
 * Private to model/.
 *
 *   file   = "GGUF", u32 version, u64 tensors, u64 keys, keys * pair, tensors * entry, padding,
 * data entry  = string name, u32 dimensions, dimensions * u64 (innermost first), u32 type, u64
 * offset
 *
 * The data starts at the next multiple of general.alignment (default 32); offsets count from there.
 */
#ifndef TM_MODEL_GGUF_H
#define TM_MODEL_GGUF_H

#include "model/gguf_meta.h"
#include "model/inventory.h"

#define TM_GGUF_HEADER_MAX 100000000u /* bytes before the data */
#define TM_GGUF_RANK_MAX 4

struct tm_gguf_options {
    const char *path; /* for errors */
    uint32_t file;    /* index for the tensors */
    uint64_t file_bytes;
};

struct tm_gguf_layout {
    uint64_t tensor_count;
    uint64_t meta_bytes;   /* of the metadata blob at byte 16 */
    uint64_t header_bytes; /* up to the end of the last tensor entry */
};

/* Finds where the parts of a header end. TM_E_LIMIT when `head`, the start of the file, is too
 * short to tell and the file goes on: call again with more. */
tm_status tm_gguf_measure(struct tm_view head, const struct tm_gguf_options *options,
                          struct tm_gguf_layout *out, struct tm_err *err) TM_MUST_USE;
/* Adds the tensors to the inventory in file order (not sealed). head holds the whole header, as
 * measured. On failure some tensors may have been added. */
tm_status tm_gguf_parse(struct tm_view head, const struct tm_gguf_layout *layout,
                        const struct tm_gguf_options *options, struct tm_inventory *inventory,
                        struct tm_err *err) TM_MUST_USE;

#endif
