/* SPDX-License-Identifier: Apache-2.0
 * The options of `tmill export` and `tmill-edge export`, which are the same but for what they name.
 */
#ifndef TM_NODE_EXPORT_COMMAND_H
#define TM_NODE_EXPORT_COMMAND_H

#include "node/common/export.h"
#include "node/common/options.h"

#define TM_EXPORT_COMMAND_OPTIONS                                                                  \
    {"format", 0, TM_OPT_CHOICE, "F", "gguf|safetensors", NULL, "what to write"},                  \
        {"type",                                                                                   \
         0,                                                                                        \
         TM_OPT_CHOICE,                                                                            \
         "T",                                                                                      \
         "keep|f32|f16|bf16",                                                                      \
         "keep",                                                                                   \
         "element type of float tensors"},                                                         \
    {                                                                                              \
        "output", 'o', TM_OPT_TEXT, "FILE", NULL, NULL, "the file to write"                        \
    }

/* Reads these options of a command and exports the package at path; prints one line (or JSON). */
tm_status tm_export_run(const struct tm_command *command, const struct tm_parsed *parsed,
                        const char *package_path, struct tm_err *err) TM_MUST_USE;

#endif
