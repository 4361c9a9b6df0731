/* SPDX-License-Identifier: Apache-2.0
 * The __metadata__ object of a safetensors header: texts by name, carried along so that nothing is
 * lost; one of them may be the metadata of a GGUF file. Private to model/. */
#ifndef TM_MODEL_SAFETENSORS_META_H
#define TM_MODEL_SAFETENSORS_META_H

#include "model/json_pull.h"
#include "model/safetensors.h"

/* The value of __metadata__ at pull->at. TM_E_MALFORMED: a value that is no text, a key twice, or
 * GGUF metadata that is broken. */
tm_status tm_safetensors_meta_read(struct tm_json_pull *pull,
                                   struct tm_safetensors_meta *meta) TM_MUST_USE;
/* Attaches what was read from `file`; the first file wins. */
tm_status tm_safetensors_meta_attach(struct tm_sources *sources, uint32_t file,
                                     const struct tm_safetensors_meta *meta,
                                     struct tm_err *err) TM_MUST_USE;

#endif
