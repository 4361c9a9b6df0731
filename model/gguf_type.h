/* SPDX-License-Identifier: Apache-2.0
 * The tensor types of GGUF: numbers of ggml's enum ggml_type, and the dtypes that can be read. */
#ifndef TM_MODEL_GGUF_TYPE_H
#define TM_MODEL_GGUF_TYPE_H

#include "model/tensor.h"

/* The dtype of a type number; false when it cannot be read. */
bool tm_gguf_type_dtype(uint32_t type, enum tm_dtype *out);
/* The type number of a dtype; false when GGUF has none. */
bool tm_gguf_type_of(enum tm_dtype dtype, uint32_t *out);
/* "IQ1_S"; NULL for numbers that never were a type. */
const char *tm_gguf_tensor_type_name(uint32_t type);

#endif
