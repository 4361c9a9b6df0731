/* SPDX-License-Identifier: Apache-2.0
 * What a file is, by its first bytes and never by its name; and clear words for what is no model.
 */
#ifndef TM_MODEL_SNIFF_H
#define TM_MODEL_SNIFF_H

#include "base/buf.h"

#define TM_SNIFF_BYTES 512 /* of the start of the file; fewer only when the file is shorter */

enum tm_file_kind {
    TM_FILE_SAFETENSORS,
    TM_FILE_GGUF,
    TM_FILE_LLAMA2C,
    TM_FILE_PYTORCH,
    TM_FILE_JSON
};

/* `head` is the start of a file of file_bytes bytes. TM_E_MALFORMED for Git LFS pointers, web
 * pages, archives, arrays, empty files and what nobody knows; TM_E_INCOMPATIBLE for model formats
 * that cannot be read (ONNX, HDF5, old GGML...). A file that only looks like one of the kinds may
 * still be malformed. */
tm_status tm_sniff(struct tm_view head, uint64_t file_bytes, const char *path,
                   enum tm_file_kind *out, struct tm_err *err) TM_MUST_USE;
/* TM_E_MALFORMED when the file is a Git LFS pointer instead of its content. */
tm_status tm_sniff_lfs(struct tm_view head, const char *path, struct tm_err *err) TM_MUST_USE;

#endif
