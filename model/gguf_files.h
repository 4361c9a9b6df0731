/* SPDX-License-Identifier: Apache-2.0
 * Reads GGUF files, also a model in several parts: NAME-00001-of-00003.gguf with the keys split.no
 * (from 0), split.count and split.tensors.count, as llama.cpp's gguf-split makes them. Private to
 * model/. */
#ifndef TM_MODEL_GGUF_FILES_H
#define TM_MODEL_GGUF_FILES_H

#include "model/sources.h"

/* The numbers of "NAME-00002-of-00003.gguf", counted from 1, and the length of "NAME". */
struct tm_split_name {
    size_t prefix_bytes;
    uint32_t part, count;
};
bool tm_split_name_parse(const char *base, struct tm_split_name *out);

/* Reads an open file, or when it is a part of a split model all parts, the first one first.
 * Attaches "gguf-metadata" and fills arch and the token counts from the first part. Not sealed. */
tm_status tm_gguf_open(struct tm_sources *sources, uint32_t file, struct tm_err *err) TM_MUST_USE;

#endif
