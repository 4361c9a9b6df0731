/* SPDX-License-Identifier: Apache-2.0
 * The commands of tmill-edge: those that change the store are in edge_update.c, those that only
 * read it in edge_read.c. With --json each prints one envelope (node/common/envelope.h). */
#ifndef TM_NODE_EDGE_COMMANDS_H
#define TM_NODE_EDGE_COMMANDS_H

#include "node/common/options.h"

extern const struct tm_command tm_edge_trust_add, tm_edge_trust_list, tm_edge_trust_remove;
extern const struct tm_command tm_edge_pull, tm_edge_update, tm_edge_rollback, tm_edge_remove;
extern const struct tm_command tm_edge_list, tm_edge_show, tm_edge_verify, tm_edge_export;
extern const struct tm_command tm_edge_run;

#define TM_EDGE_STORE_OPTION                                                                       \
    {                                                                                              \
        "store", 0, TM_OPT_TEXT, "DIR", NULL, NULL,                                                \
            "the device's store ($XDG_DATA_HOME/tmill/edge)"                                       \
    }

/* The --store option's value, or the default, into out[TM_PATH_MAX]. */
tm_status tm_edge_store_path(const struct tm_command *command, const struct tm_parsed *parsed,
                             char *out, struct tm_err *err) TM_MUST_USE;

#endif
