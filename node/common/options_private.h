/* SPDX-License-Identifier: Apache-2.0
 * What options.c and program.c share. */
#ifndef TM_NODE_OPTIONS_PRIVATE_H
#define TM_NODE_OPTIONS_PRIVATE_H

#include "base/file.h"
#include "node/common/program.h"

struct tm_toml;

struct tm_config {
    char path[TM_PATH_MAX];
    struct tm_toml *root; /* NULL: no configuration file */
};

/* Reads $TMILL_CONFIG or the program's own file; every key must be an option of the program. On
 * failure too config is to be unloaded. */
tm_status tm_config_load(const struct tm_program *program, struct tm_config *config,
                         struct tm_err *err) TM_MUST_USE;
void tm_config_unload(struct tm_config *config);

/* Words after the command's name into parsed. */
tm_status tm_parse_arguments(const struct tm_command *command, int argc, char **argv,
                             struct tm_parsed *parsed, struct tm_err *err) TM_MUST_USE;
/* Options that were not given: environment, configuration, default. config may be NULL. */
tm_status tm_fill_options(const struct tm_command *command, const struct tm_config *config,
                          struct tm_parsed *parsed, struct tm_err *err) TM_MUST_USE;

#endif
