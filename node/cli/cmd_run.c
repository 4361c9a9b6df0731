/* SPDX-License-Identifier: Apache-2.0
 * run: a model or a package goes on with a text. */
#include "node/cli/cli.h"

#include "node/common/run_command.h"

static tm_status run_run(const struct tm_command *command, const struct tm_parsed *parsed,
                         struct tm_err *err)
{
    return tm_run_run(command, parsed, parsed->arguments[0],
                      tm_opt_text(command, parsed, "tensors-under"), err);
}

static const struct tm_option options[] = {TM_RUN_COMMAND_OPTIONS, TM_CLI_TENSORS_UNDER, {0}};
const struct tm_command tm_cmd_run = {
    "run",
    "MODEL|PKG",
    1,
    1,
    "goes on with a text, as the model or package would",
    TM_RUN_COMMAND_DETAILS,
    "  tmill run model.tmpk -p 'Once upon a time'\n"
    "  tmill run model.gguf -p 'The capital of France is' -n 20 --temperature 0.7 --seed 3\n"
    "  tmill run model.tmpk --chat --system 'Answer briefly.'",
    options,
    run_run,
};
