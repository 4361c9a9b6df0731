/* SPDX-License-Identifier: Apache-2.0
 * What writer.c needs of a format: the bytes before the first tensor, and how tensors are aligned.
 * Private to model/writer*.c and their tests. */
#ifndef TM_MODEL_WRITER_FORMAT_H
#define TM_MODEL_WRITER_FORMAT_H

#include "model/writer.h"

struct tm_writer_head {
    struct tm_buf bytes; /* from the start of the file up to the first tensor's first byte */
    uint64_t alignment;  /* a tensor starts at a multiple of it, zeros lie between */
};

#define TM_GGUF_NAME_MAX 63 /* bytes; GGML_MAX_NAME less the zero byte */

/* Fill head, whose buffer the caller initialised with the limit of the format and owns. Names are
 * valid UTF-8 and unique, sizes do not overflow. err is filled for what the format cannot hold, not
 * for TM_E_LIMIT and TM_E_NOMEM of the buffer. */
tm_status tm_writer_head_safetensors(const struct tm_writer_options *options,
                                     const struct tm_tensor_spec *specs, size_t count,
                                     struct tm_writer_head *head, struct tm_err *err) TM_MUST_USE;
tm_status tm_writer_head_gguf(const struct tm_writer_options *options,
                              const struct tm_tensor_spec *specs, size_t count,
                              struct tm_writer_head *head, struct tm_err *err) TM_MUST_USE;

/* TM_E_INCOMPATIBLE at "PATH: tensor 'NAME'", with the reason. */
tm_status tm_writer_refuse(const struct tm_writer_options *options,
                           const struct tm_tensor_spec *spec, struct tm_err *err, const char *hint,
                           const char *why);
/* Bytes of a declared tensor whose shape was checked. */
uint64_t tm_writer_spec_bytes(const struct tm_tensor_spec *spec);

#endif
