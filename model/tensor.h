/* SPDX-License-Identifier: Apache-2.0
 * Element types and shapes. A shape is row-major, outermost dimension first (GGUF's ne reversed).
 */
#ifndef TM_MODEL_TENSOR_H
#define TM_MODEL_TENSOR_H

#include "base/buf.h"

#define TM_RANK_MAX 8
#define TM_TENSOR_NAME_MAX 65535 /* bytes */

/* X(enum, name, elements per block, bytes per block). Values are written to packages and to the
 * wire: never renumber. Layouts of those with blocks: ggml-common.h of llama.cpp. */
#define TM_DTYPE_LIST(X)                                                                           \
    X(TM_F32, 0, "F32", 1, 4)                                                                      \
    X(TM_F16, 1, "F16", 1, 2)                                                                      \
    X(TM_BF16, 2, "BF16", 1, 2)                                                                    \
    X(TM_F64, 3, "F64", 1, 8)                                                                      \
    X(TM_I8, 4, "I8", 1, 1)                                                                        \
    X(TM_I16, 5, "I16", 1, 2)                                                                      \
    X(TM_I32, 6, "I32", 1, 4)                                                                      \
    X(TM_I64, 7, "I64", 1, 8)                                                                      \
    X(TM_U8, 8, "U8", 1, 1)                                                                        \
    X(TM_U16, 9, "U16", 1, 2)                                                                      \
    X(TM_U32, 10, "U32", 1, 4)                                                                     \
    X(TM_U64, 11, "U64", 1, 8)                                                                     \
    X(TM_BOOL, 12, "BOOL", 1, 1)                                                                   \
    X(TM_F8_E4M3, 13, "F8_E4M3", 1, 1)                                                             \
    X(TM_F8_E5M2, 14, "F8_E5M2", 1, 1)                                                             \
    X(TM_Q4_0, 32, "Q4_0", 32, 18)                                                                 \
    X(TM_Q4_1, 33, "Q4_1", 32, 20)                                                                 \
    X(TM_Q5_0, 34, "Q5_0", 32, 22)                                                                 \
    X(TM_Q5_1, 35, "Q5_1", 32, 24)                                                                 \
    X(TM_Q8_0, 36, "Q8_0", 32, 34)                                                                 \
    X(TM_Q4_K, 37, "Q4_K", 256, 144)                                                               \
    X(TM_Q5_K, 38, "Q5_K", 256, 176)                                                               \
    X(TM_Q6_K, 39, "Q6_K", 256, 210)                                                               \
    X(TM_Q2_K, 40, "Q2_K", 256, 84)                                                                \
    X(TM_Q3_K, 41, "Q3_K", 256, 110)                                                               \
    X(TM_IQ4_NL, 42, "IQ4_NL", 32, 18)                                                             \
    X(TM_IQ4_XS, 43, "IQ4_XS", 256, 136)                                                           \
    X(TM_TQ1_0, 44, "TQ1_0", 256, 54)                                                              \
    X(TM_TQ2_0, 45, "TQ2_0", 256, 66)                                                              \
    X(TM_MXFP4, 46, "MXFP4", 32, 17)

#define TM_DTYPE_ENUM(code, value, text, elements, bytes) code = (value),
enum tm_dtype { TM_DTYPE_LIST(TM_DTYPE_ENUM) };
#undef TM_DTYPE_ENUM

struct tm_shape {
    uint32_t rank; /* 0: a scalar, one element */
    uint64_t dim[TM_RANK_MAX];
};

bool tm_dtype_known(uint32_t value);
const char *tm_dtype_name(enum tm_dtype dtype);
/* By name as in safetensors and GGUF ("BF16", "Q4_K"); false when unknown. */
bool tm_dtype_parse(struct tm_view name, enum tm_dtype *out);
uint32_t tm_dtype_block_elements(enum tm_dtype dtype);
uint32_t tm_dtype_block_bytes(enum tm_dtype dtype);
/* Whether tm_convert_to_f32 can read it as numbers to compress (floats and Q types; not integers).
 */
bool tm_dtype_is_float(enum tm_dtype dtype);

/* false on overflow. */
bool tm_shape_elements(const struct tm_shape *shape, uint64_t *out);
/* Bytes of a tensor; false on overflow or when the last dimension is no multiple of the block. */
bool tm_shape_bytes(const struct tm_shape *shape, enum tm_dtype dtype, uint64_t *out);
bool tm_shape_eq(const struct tm_shape *a, const struct tm_shape *b);
/* Rows shorter than this are joined, see tm_shape_matrix. */
#define TM_SHAPE_COLS_MIN 32
/* The tensor as a matrix for the encoders, rows * cols = elements. cols is the last dimension; when
 * that is shorter than 32 it is all dimensions but the first (a 16x3x14x14 filter is 16 x 588);
 * when that too is shorter than 32 there is one row. Rank 0 and 1 give one row. Zero elements (or
 * more than 2^64) give rows = cols = 0. */
void tm_shape_matrix(const struct tm_shape *shape, uint64_t *rows, uint64_t *cols);
/* "[576, 1536]" */
const char *tm_shape_text(const struct tm_shape *shape, char *out, size_t out_bytes);

#endif
