/* SPDX-License-Identifier: Apache-2.0
 * The main() that both programs share. */
#ifndef TM_NODE_PROGRAM_H
#define TM_NODE_PROGRAM_H

#include "node/common/options.h"

struct tm_program {
    const char *name; /* "tmill" */
    const char *summary;
    const struct tm_command *const
        *commands;      /* NULL-terminated; a name may have two words: "key gen" */
    const char *config; /* its file in $XDG_CONFIG_HOME/tmill: "config.toml" */
};

/* The whole main(): standard streams and signals, kernel and crypto set-up, parse, run, error line
 * (or JSON with --json anywhere before `--`:
 * {"schema": "tmill.error/1", "code": 4, "status": "malformed", "where", "what", "why", "hint"}) on
 * stderr; returns the exit code. Output that cannot be written is an error. */
int tm_program_main(const struct tm_program *program, int argc, char **argv);
/* Set by SIGINT/SIGTERM (installed by tm_program_main); the signal number, or 0. The second signal
 * removes temporary files and ends the process. */
extern volatile int tm_stop_signal;

#endif
