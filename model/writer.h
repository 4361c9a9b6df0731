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
    /* GGUF general.architecture when the metadata has none; "" or NULL: not written. */
    const char *arch;
    /* The attachment "gguf-metadata" (model/gguf_meta.h), or empty. GGUF: its pairs are written
     * byte for byte but for split.* (dropped), general.file_type (the value of the dtype with the
     * most elements) and an invalid general.alignment (dropped); general.quantization_version 2 is
     * added when a Q type is written and it is missing. safetensors: base64 in
     * __metadata__["tmill.gguf_metadata"]. */
    struct tm_view gguf_metadata;
    /* Pairs key, value, NULL-terminated, or NULL; UTF-8, keys unique. safetensors: __metadata__.
     * GGUF: strings, in place of equal keys of gguf_metadata; keys that describe the file itself
     * (split.*, general.file_type, .alignment, .quantization_version) are left out. */
    const char *const *metadata;
};

struct tm_tensor_spec {
    const char *name;
    size_t name_bytes;
    enum tm_dtype dtype; /* safetensors: all but Q types; GGUF: F32 F16 BF16 F64 I8..I64 and Q */
    struct tm_shape shape;
};

struct tm_writer;
/* TM_E_INCOMPATIBLE: what the format cannot hold (a dtype, a rank, a GGUF name over 63 bytes, a
 * name given twice), with the tensor; TM_E_LIMIT: a header over 100 MB; TM_E_MALFORMED:
 * the metadata. *out is NULL and no file is left on failure. Everything in options and specs is
 * borrowed for the call only. */
tm_status tm_writer_begin(const struct tm_writer_options *options,
                          const struct tm_tensor_spec *specs, size_t count, struct tm_writer **out,
                          struct tm_err *err) TM_MUST_USE;
/* Bytes of one tensor after the other. TM_E_USAGE for more than was declared. */
tm_status tm_writer_append(struct tm_writer *writer, const void *data, size_t bytes,
                           struct tm_err *err) TM_MUST_USE;
/* Commits the file; TM_E_USAGE when declared bytes did not come. Frees in every case. */
tm_status tm_writer_finish(struct tm_writer **writer, struct tm_err *err) TM_MUST_USE;
void tm_writer_abort(struct tm_writer **writer);

#endif
