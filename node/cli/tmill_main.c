/* SPDX-License-Identifier: Apache-2.0
 * tmill: the program of model owners and volunteers. */
#include <string.h>

#include "node/cli/cli.h"
#include "node/transport/gate_serve.h"

static const struct tm_command *const commands[] = {
    &tm_cmd_compress,
    &tm_cmd_submit,
    &tm_cmd_resume,
    &tm_cmd_inspect,
    &tm_cmd_run,
    &tm_cmd_eval,
    &tm_cmd_report,
    &tm_cmd_calibrate,
    &tm_cmd_tokenize,
    &tm_cmd_verify,
    &tm_cmd_export,
    &tm_cmd_publish,
    &tm_cmd_jobs,
    &tm_cmd_show,
    &tm_cmd_watch,
    &tm_cmd_cancel,
    &tm_cmd_node_run,
    &tm_cmd_selftest,
    &tm_cmd_key_gen,
    &tm_cmd_key_show,
    &tm_cmd_key_export,
    NULL,
};
static const struct tm_program program = {
    "tmill",
    "compresses language models on a mesh of untrusted computers, provably",
    commands,
    "config.toml",
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], TM_GATE_COMMAND) == 0) {
        return tm_gate_serve(TM_GATE_FD); /* no command for people: submit and resume start it */
    }
    return tm_program_main(&program, argc, argv);
}
