/* SPDX-License-Identifier: Apache-2.0
 * `export`: a package to GGUF or safetensors, streaming, atomic. */
#ifndef TM_NODE_EXPORT_H
#define TM_NODE_EXPORT_H

#include "base/status.h"
#include "model/inventory.h"

enum tm_export_type { TM_EXPORT_KEEP, TM_EXPORT_F32, TM_EXPORT_F16, TM_EXPORT_BF16 };

struct tm_export_options {
    const char *package_path;
    const char *out_path;
    enum tm_format format;
    enum tm_export_type type; /* KEEP: int8 and int4 leave as Q8_0 and Q4_0 in a GGUF; what cannot
                               * be kept (ternary, rows that are no multiple of 32, safetensors)
                               * leaves as F16 when it is exact there, else F32 */
    bool quiet;
    const volatile int *stop; /* not 0: TM_E_STOPPED; may be NULL */
};

/* out_path appears whole or not at all. F16 and BF16 are for float tensors; in a GGUF those of one
 * dimension leave as F32. When out_path is DIR/model.safetensors, config.json and the like that the
 * package carries are written beside it, never over what is there. TM_E_USAGE: the output is the
 * package. TM_E_INCOMPATIBLE: what the format cannot hold, with the tensor. */
tm_status tm_export(const struct tm_export_options *options, struct tm_err *err) TM_MUST_USE;

#endif
