/* SPDX-License-Identifier: Apache-2.0
 * node run: lends this computer to a job; selftest: the golden digests. */
#include "node/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "node/worker/worker_actor.h"
#include "stages/pipeline_encode.h"

static tm_status run_node(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    char host[64] = "node";
    struct tm_identity *identity = NULL;
    struct tm_public_key server;
    struct tm_sink sink = tm_cli_sink(parsed);
    const char *join = tm_opt_text(command, parsed, "join");
    const char *server_key = tm_opt_text(command, parsed, "server-key");
    if (join == NULL || server_key == NULL) {
        return tm_err_set(err, TM_E_USAGE, join == NULL ? "--join" : "--server-key",
                          "missing option", "tmill submit prints both",
                          "a node needs the endpoint and the key of the coordinator");
    }
    TM_TRY(tm_public_key_parse(tm_view_str(server_key), &server, err));
    TM_TRY(tm_cli_identity(tm_opt_text(command, parsed, "key"), "node", &identity, err));
    (void)gethostname(host, sizeof host - 1);
    const char *name = tm_opt_text(command, parsed, "name");
    struct tm_worker_run_options options = {
        .endpoint = join,
        .server_key = &server,
        .identity = identity,
        .name = name != NULL ? name : host,
        .threads = (unsigned)tm_opt_u64(command, parsed, "threads"),
        .cache_bytes = tm_opt_u64(command, parsed, "memory-cache"),
        .exit_when_done = tm_opt_flag(command, parsed, "once"),
        .sink = &sink,
        .stop = &tm_stop_signal,
    };
    tm_status status = tm_worker_run(&options, err);
    tm_identity_destroy(&identity);
    return status;
}

static const struct tm_option node_options[] = {
    {"join", 0, TM_OPT_TEXT, "ENDPOINT", NULL, NULL, "the coordinator, e.g. tcp://host:8471"},
    {"server-key", 0, TM_OPT_TEXT, "KEY", NULL, NULL, "its public key; nobody else is believed"},
    {"key", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "this node's key (made on first use)"},
    {"name", 0, TM_OPT_TEXT, "NAME", NULL, NULL, "what to be called (the host name)"},
    {"threads", 0, TM_OPT_U64, "N", NULL, "0", "units encoded at once; 0: one per CPU"},
    {"memory-cache", 0, TM_OPT_SIZE, "SIZE", NULL, "64MiB", "memory for source chunks"},
    {"once", 0, TM_OPT_FLAG, NULL, NULL, NULL, "end when the job is done"},
    {0},
};
const struct tm_command tm_cmd_node_run = {
    "node run",
    "",
    0,
    0,
    "works for a coordinator until stopped",
    "Runs the golden self-test first and does not join when it fails. Only blocks of weights and\n"
    "their codes travel; nothing of this computer does.",
    "  tmill node run --join tcp://192.168.1.10:8471 --server-key tmpub1...",
    node_options,
    run_node,
};

static tm_status run_selftest(const struct tm_command *command, const struct tm_parsed *parsed,
                              struct tm_err *err)
{
    struct tm_digest golden, encoders = tm_encoders_digest();
    char a[TM_DIGEST_TEXT], b[TM_DIGEST_TEXT];
    (void)command;
    TM_TRY(tm_selftest(&golden, err));
    tm_digest_hex(&golden, a);
    tm_digest_hex(&encoders, b);
    if (parsed->json) {
        struct tm_envelope json;
        tm_envelope_begin(&json, "tmill.selftest/1");
        tm_jw_str(&json.jw, "kernel", tm_kernel_name(tm_kernel_current()));
        tm_jw_str(&json.jw, "golden", a);
        tm_jw_str(&json.jw, "encoders", b);
        return tm_envelope_end(&json, NULL, 0, err);
    }
    printf("kernel    %s\ngolden    %s ok\nencoders  %s\n", tm_kernel_name(tm_kernel_current()), a,
           b);
    return TM_OK;
}

static const struct tm_option no_options[] = {{0}};
const struct tm_command tm_cmd_selftest = {
    "selftest",
    "",
    0,
    0,
    "encodes golden inputs and compares their digests",
    "Nodes run it before they join a mesh. TMILL_KERNEL=ref forces the scalar reference.",
    "  TMILL_KERNEL=ref tmill selftest",
    no_options,
    run_selftest,
};
