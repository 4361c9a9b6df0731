/* SPDX-License-Identifier: Apache-2.0
 * Writes a checkpoint: safetensors (one file) or GGUF v3. Tensors are declared first, then their
 * bytes are appended in the declared order, any piece size; nothing is held in memory but the
 * header. The file appears whole at finish (base/file.h). */
#ifndef TM_MODEL_WRITER_H
#define TM_MODEL_WRITER_H

#include "base/file.h"
#include "model/inventory.h"

struct tm_writer_options {
    enum tm_format format;
    const char *path;
    const char *arch;                 /* GGUF general.architecture when there is no metadata; or "" */
    struct tm_view gguf_metadata;     /* attachment "gguf-metadata"; GGUF: written byte for byte but
                                       * for split.*, general.file_type, general.alignment;
                                       * safetensors: kept as __metadata__["tmill.gguf_metadata"] */
    const char *const *metadata;      /* pairs key, value for safetensors __metadata__ or as GGUF
                                       * strings; NULL-terminated; may be NULL */
};

struct tm_tensor_spec {
    const char *name;
    size_t name_bytes;
    enum tm_dtype dtype; /* GGUF: F32 F16 BF16 F64 I8..I64 Q8_0 Q4_0 and other Q types as raw bytes */
    struct tm_shape shape;
};

struct tm_writer;
/* TM_E_INCOMPATIBLE: a dtype or rank the format cannot hold, a GGUF name over 63 bytes. */
tm_status tm_writer_begin(const struct tm_writer_options *options,
                          const struct tm_tensor_spec *specs, size_t count,
                          struct tm_writer **out, struct tm_err *err) TM_MUST_USE;
tm_status tm_writer_append(struct tm_writer *writer, const void *data, size_t bytes,
                           struct tm_err *err) TM_MUST_USE;
/* All declared bytes must have come; commits the file; frees in every case. */
tm_status tm_writer_finish(struct tm_writer **writer, struct tm_err *err) TM_MUST_USE;
void tm_writer_abort(struct tm_writer **writer);

#endif
