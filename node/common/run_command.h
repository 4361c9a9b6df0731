/* SPDX-License-Identifier: Apache-2.0
 * The options of `tmill run` and `tmill-edge run`, which are the same but for what they name. */
#ifndef TM_NODE_RUN_COMMAND_H
#define TM_NODE_RUN_COMMAND_H

#include "node/common/options.h"

#define TM_RUN_COMMAND_OPTIONS                                                                     \
    {"prompt", 'p', TM_OPT_TEXT, "TEXT", NULL, NULL, "the text to go on with [standard input]"},   \
        {"tokens",                                                                                 \
         'n',                                                                                      \
         TM_OPT_U64,                                                                               \
         "N",                                                                                      \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "write at most N tokens [128; with --chat as many as fit]"},                              \
        {"chat", 0, TM_OPT_FLAG, NULL, NULL, NULL, "a conversation, by the model's template"},     \
        {"system",                                                                                 \
         0,                                                                                        \
         TM_OPT_TEXT,                                                                              \
         "TEXT",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "what the model is told before the conversation"},                                        \
        {"temperature",                                                                            \
         0,                                                                                        \
         TM_OPT_TEXT,                                                                              \
         "X",                                                                                      \
         NULL,                                                                                     \
         "0",                                                                                      \
         "how freely to choose; 0: always the likeliest token"},                                   \
        {"top-k", 0, TM_OPT_U64, "N", NULL, "40", "choose among the N likeliest; 0: all"},         \
        {"top-p", 0, TM_OPT_TEXT, "X", NULL, "0.95", "choose among the likeliest that make up X"}, \
        {"seed", 0, TM_OPT_U64, "N", NULL, "1", "of the choices: the same seed, the same text"},   \
        {"context", 'c', TM_OPT_U64, "N", NULL, "0", "tokens that are kept in mind; 0: 2048"},     \
    {                                                                                              \
        "threads", 0, TM_OPT_U64, "N", NULL, "0", "threads; 0: one for each core"                  \
    }

#define TM_RUN_COMMAND_DETAILS                                                                     \
    "Writes what the model makes of the prompt to standard output as it comes, without the\n"      \
    "prompt. The same model, prompt and seed give the same text on every machine and for every\n"  \
    "number of threads.\n\n"                                                                       \
    "With --chat a prompt is a turn of a conversation: --prompt the only one, otherwise each "     \
    "line\n"                                                                                       \
    "of standard input is one and the answer comes before the next. On a terminal Ctrl-C ends "    \
    "an\n"                                                                                         \
    "answer (twice: the program) and Ctrl-D the conversation."

/* Reads these options of a command and runs the model or package at `path`. `under`: see
 * tm_checkpoint_open_under, or NULL. */
tm_status tm_run_run(const struct tm_command *command, const struct tm_parsed *parsed,
                     const char *path, const char *under, struct tm_err *err) TM_MUST_USE;

#endif
