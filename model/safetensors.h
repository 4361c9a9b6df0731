/* SPDX-License-Identifier: Apache-2.0
 * Reader of one safetensors file: u64 header length, JSON header {name: {dtype, shape,
 * data_offsets}}, data. Stricter than the reference reader: no name twice, no unknown key. Format:
 * huggingface/safetensors README. Private to model/. */
#ifndef TM_MODEL_SAFETENSORS_H
#define TM_MODEL_SAFETENSORS_H

#include "model/sources.h"

#define TM_SAFETENSORS_HEADER_MAX 100000000u /* bytes, as the reference reader */
/* The __metadata__ key under which a GGUF metadata blob travels, in base64. */
#define TM_SAFETENSORS_GGUF_KEY "tmill.gguf_metadata"

struct tm_safetensors_options {
    const char *path; /* for errors */
    uint32_t file;    /* index for the tensors */
    uint64_t file_bytes;
};

/* What __metadata__ held. */
struct tm_safetensors_meta {
    uint64_t offset, bytes; /* where the JSON object lies in the file; 0 bytes when there is none
                             * or it is empty */
    size_t entries;
    struct tm_buf gguf;  /* the decoded and checked GGUF metadata; empty when there is none */
    struct tm_buf other; /* with gguf: JSON of the other entries */
};

void tm_safetensors_meta_init(struct tm_safetensors_meta *meta);
void tm_safetensors_meta_deinit(struct tm_safetensors_meta *meta);

/* header is the JSON text, which lies at byte 8. Adds the tensors to the inventory (unsorted, not
 * sealed) after checking that they cover the rest of the file without overlap or hole. On failure
 * some tensors may have been added. */
tm_status tm_safetensors_parse(struct tm_view header, const struct tm_safetensors_options *options,
                               struct tm_inventory *inventory, struct tm_safetensors_meta *meta,
                               struct tm_err *err) TM_MUST_USE;
/* Reads the header of an open file and parses it. Attaches "gguf-metadata" and
 * "safetensors-metadata" unless an earlier file did; other metadata then is a warning. */
tm_status tm_safetensors_open(struct tm_sources *sources, uint32_t file,
                              struct tm_err *err) TM_MUST_USE;

#endif
