/* SPDX-License-Identifier: Apache-2.0
 * What the commands of tmill share: the list of them, the owner's identity, tables on stdout. */
#ifndef TM_NODE_CLI_H
#define TM_NODE_CLI_H

#include "base/event.h"
#include "crypto/sign.h"
#include "node/common/envelope.h"
#include "node/common/program.h"
#include "node/journal/journal.h"

extern const struct tm_command tm_cmd_compress, tm_cmd_submit, tm_cmd_resume;
extern const struct tm_command tm_cmd_inspect, tm_cmd_verify, tm_cmd_export, tm_cmd_publish;
extern const struct tm_command tm_cmd_eval, tm_cmd_report, tm_cmd_run, tm_cmd_tokenize;
extern const struct tm_command tm_cmd_calibrate;
extern const struct tm_command tm_cmd_jobs, tm_cmd_show, tm_cmd_watch, tm_cmd_cancel;
extern const struct tm_command tm_cmd_node_run, tm_cmd_selftest;
extern const struct tm_command tm_cmd_key_gen, tm_cmd_key_show, tm_cmd_key_export;

/* The option of every command that reads a MODEL: which dictionary of a PyTorch checkpoint. */
#define TM_CLI_TENSORS_UNDER                                                                       \
    {                                                                                              \
        "tensors-under", 0, TM_OPT_TEXT, "KEY", NULL, NULL,                                        \
            "the model's dictionary in a PyTorch checkpoint"                                       \
    }

/* Path of the key: the --key option's value, or $XDG_CONFIG_HOME/tmill/<name>.key. */
tm_status tm_cli_key_path(const char *given, const char *name, char *out /* TM_PATH_MAX */,
                          struct tm_err *err) TM_MUST_USE;
/* Loads the key of name "owner" or "node"; makes it on first use. An owner's key whose path the
 * user gave must be there. */
tm_status tm_cli_identity(const char *given, const char *name, struct tm_identity **out,
                          struct tm_err *err) TM_MUST_USE;

/* "tmill: warning: ..." on stderr, control characters escaped, unless quiet. */
void tm_cli_warnings(char *const *warnings, size_t count, bool quiet);
/* Events on stderr: warnings and worse, or everything when verbose; none when quiet. */
struct tm_sink tm_cli_sink(const struct tm_parsed *parsed);
/* Whether a process works on the job of this journal: it holds the lock beside it. */
bool tm_cli_job_runs(const char *journal_path);
/* The job's state in one word; one that no process works on is not running, whatever it says. */
const char *tm_cli_job_state(const struct tm_journal_job *job, bool runs);
/* What a .tmcal holds, layer by layer, on stdout. */
tm_status tm_cli_show_calibration(const char *path, bool json, struct tm_err *err) TM_MUST_USE;
/* tm_format_short, for the tables of commands; out[32]. */
const char *tm_cli_number(double value, char *out);

#endif
