/* SPDX-License-Identifier: Apache-2.0
 * tmill-edge: the program of devices. Links no socket library, no scheduler and no encoder. */
#include "node/common/program.h"
#include "node/edge/edge_commands.h"

static const struct tm_command *const commands[] = {
    &tm_edge_trust_add,
    &tm_edge_trust_list,
    &tm_edge_trust_remove,
    &tm_edge_pull,
    &tm_edge_update,
    &tm_edge_list,
    &tm_edge_show,
    &tm_edge_verify,
    &tm_edge_export,
    &tm_edge_run,
    &tm_edge_rollback,
    &tm_edge_remove,
    NULL,
};
static const struct tm_program program = {
    "tmill-edge",
    "installs, updates, runs and exports signed model packages on a device",
    commands,
    "edge.toml",
};

int main(int argc, char **argv)
{
    return tm_program_main(&program, argc, argv);
}
