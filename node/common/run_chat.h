/* SPDX-License-Identifier: Apache-2.0
 * A conversation with a model, by its own template. Every turn the whole of it is rendered anew and
 * only what the cache does not have is read. */
#ifndef TM_NODE_RUN_CHAT_H
#define TM_NODE_RUN_CHAT_H

#include "node/common/speaker.h"

struct tm_run_chat {
    const char *system; /* the system message, or NULL */
    const char *prompt; /* the only turn; NULL: each line of standard input is one */
    uint64_t most;      /* tokens of an answer */
    bool json, quiet;
};

/* Answers go to standard output as they come, or with json all together at the end. On a terminal
 * Ctrl-C ends an answer and Ctrl-D the conversation; elsewhere a signal gives TM_E_STOPPED.
 * TM_E_NOT_FOUND: the model has no template; TM_E_INCOMPATIBLE: chat.h does not know it.
 * TM_E_USAGE: the conversation, or the answer that was begun, does not fit into the context. */
tm_status tm_run_chat(struct tm_speaker *speaker, const struct tm_run_chat *options,
                      struct tm_err *err) TM_MUST_USE;

#endif
