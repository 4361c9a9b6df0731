/* SPDX-License-Identifier: Apache-2.0
 * From package chunks back to tensors. Shared by both programs; links no encoder. Memory: one chunk
 * encoded and decoded. */
#ifndef TM_NODE_DECODE_H
#define TM_NODE_DECODE_H

#include "package/package.h"
#include "stages/pipeline.h"

struct tm_decoder;
/* Parses every pipeline of the package: TM_E_INCOMPATIBLE names one, or a dtype, that this build
 * lacks. Holds dtypes, shapes and chunks against each other: TM_E_MALFORMED names the tensor. The
 * package outlives the decoder. */
tm_status tm_decoder_new(struct tm_package *package, struct tm_decoder **out,
                         struct tm_err *err) TM_MUST_USE;
void tm_decoder_destroy(struct tm_decoder **decoder);
const struct tm_pipeline *tm_decoder_pipeline(const struct tm_decoder *decoder, uint32_t index);
struct tm_shape tm_decoder_shape(const struct tm_decoder *decoder, uint32_t tensor);
/* Whether a tensor's pipeline keeps the source bytes. */
bool tm_decoder_is_lossless(const struct tm_decoder *decoder, uint32_t tensor);
/* dtype that a tensor can leave as without loss: the source dtype when lossless, Q8_0 / Q4_0 for
 * int tensors with whole groups, else F32. */
enum tm_dtype tm_decoder_keep_dtype(const struct tm_decoder *decoder, uint32_t tensor);

/* Calls emit with the tensor's bytes as dtype, in order, a piece at a time. Any source may become
 * F32, F16 or BF16 when it is a float type; lossless tensors also leave as their own dtype, int
 * ones as tm_decoder_keep_dtype; TM_E_INCOMPATIBLE otherwise. TM_E_REFUSED: a number too large for
 * F16. */
typedef tm_status (*tm_emit)(void *context, const void *data, size_t bytes, struct tm_err *err);
tm_status tm_decoder_tensor(struct tm_decoder *decoder, uint32_t tensor, enum tm_dtype dtype,
                            tm_emit emit, void *context, struct tm_err *err) TM_MUST_USE;
/* A whole attachment, checked against its digest. Appends. */
tm_status tm_decoder_attachment(struct tm_decoder *decoder, uint32_t attachment, struct tm_buf *out,
                                struct tm_err *err) TM_MUST_USE;

#endif
