/* SPDX-License-Identifier: Apache-2.0
 * A node that cheats, for tests and the demo; no option of the product. Ends with the code that a
 * banned node has (6).
 *
 *   adversary --join ENDPOINT --server-key KEY --mode garbage|wrong|zero|sometimes
 *             [--every N] [--name NAME] [--threads N] */
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "base/num.h"
#include "tests/support/cheat.h"

struct arguments {
    const char *join, *server_key, *mode, *name, *every, *threads;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
    const struct {
        const char *flag;
        const char **value;
    } table[] = {{"--join", &out->join},   {"--server-key", &out->server_key},
                 {"--mode", &out->mode},   {"--name", &out->name},
                 {"--every", &out->every}, {"--threads", &out->threads}};
    for (int i = 1; i + 1 < argc; i += 2) {
        bool known = false;
        for (size_t t = 0; t < sizeof table / sizeof table[0]; t++) {
            if (strcmp(argv[i], table[t].flag) == 0) {
                *table[t].value = argv[i + 1];
                known = true;
            }
        }
        if (!known) {
            return false;
        }
    }
    return argc % 2 == 1 && out->join != NULL && out->server_key != NULL;
}

static bool parse_mode(const char *text, enum cheat_mode *out)
{
    static const char *const names[] = {"garbage", "wrong", "zero", "sometimes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum cheat_mode)i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *text, unsigned *out)
{
    uint64_t value = 0;
    if (tm_parse_u64(tm_view_str(text), &value) != TM_OK || value == 0 || value > 1000000) {
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static tm_status work(const struct arguments *arguments, struct cheat *cheat, unsigned threads,
                      struct tm_err *err)
{
    struct tm_public_key server;
    struct tm_identity *identity = NULL;
    struct tm_sink sink = tm_sink_stream(stderr, TM_LEVEL_INFO);
    TM_TRY(tm_crypto_init(err));
    TM_TRY(tm_public_key_parse(tm_view_str(arguments->server_key), &server, err));
    TM_TRY(tm_identity_generate(&identity, err));
    struct tm_worker_run_options options = {
        .endpoint = arguments->join,
        .server_key = &server,
        .identity = identity,
        .name = arguments->name,
        .threads = threads,
        .exit_when_done = true,
        .hooks = {.encode = cheat_encode, .context = cheat},
        .sink = &sink,
    };
    tm_status status = tm_worker_run(&options, err);
    tm_identity_destroy(&identity);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .mode = "wrong", .name = "adversary", .every = "4", .threads = "1"};
    struct cheat cheat = {0};
    struct tm_err err = {0};
    unsigned threads = 1;
    char line[1600];
    if (!parse(argc, argv, &arguments) || !parse_mode(arguments.mode, &cheat.mode) ||
        !parse_number(arguments.every, &cheat.every) ||
        !parse_number(arguments.threads, &threads)) {
        fprintf(stderr, "usage: adversary --join ENDPOINT --server-key KEY --mode "
                        "garbage|wrong|zero|sometimes [--every N] [--name NAME] [--threads N]\n");
        return 2;
    }
    tm_status status = work(&arguments, &cheat, threads, &err);
    if (status != TM_OK) {
        fprintf(stderr, "adversary: %s\n", tm_err_line(&err, line, sizeof line));
    }
    return tm_status_exit_code(status);
}
