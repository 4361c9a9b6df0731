/* SPDX-License-Identifier: Apache-2.0
 * export: a package as GGUF or safetensors. */
#include "node/cli/cli.h"

#include "node/common/export_command.h"

static tm_status run_export(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    return tm_export_run(command, parsed, parsed->arguments[0], err);
}

static const struct tm_option options[] = {TM_EXPORT_COMMAND_OPTIONS, {0}};
const struct tm_command tm_cmd_export = {
    "export",
    "PKG",
    1,
    1,
    "writes a package as GGUF (llama.cpp, Ollama) or safetensors (Python)",
    "With --type keep, int8 and int4 leave as Q8_0 and Q4_0 without loss, and tensors that were "
    "kept\n"
    "leave in their own type.",
    "  tmill export model.tmpk --format gguf -o model.gguf\n"
    "  tmill export model.tmpk --format safetensors --type bf16 -o model.safetensors",
    options,
    run_export,
};
