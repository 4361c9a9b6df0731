/* SPDX-License-Identifier: Apache-2.0
 * key gen, show, export: Ed25519 identities. */
#include "node/cli/cli.h"

#include <stdio.h>

#include "base/file.h"

static tm_status print_key(const struct tm_identity *identity, const char *path, bool json,
                           struct tm_err *err)
{
    char key[TM_PUBLIC_KEY_TEXT], id[TM_NODE_ID_TEXT];
    struct tm_node_id node = tm_identity_node_id(identity);
    tm_public_key_text(tm_identity_public(identity), key);
    tm_node_id_hex(&node, id);
    if (json) {
        struct tm_envelope out;
        tm_envelope_begin(&out, "tmill.key/1");
        tm_jw_str(&out.jw, "path", path);
        tm_jw_str(&out.jw, "key", key);
        tm_jw_str(&out.jw, "id", id);
        return tm_envelope_end(&out, NULL, 0, err);
    }
    printf("key   %s\nid    %s\nfile  %s\n", key, id, path);
    return TM_OK;
}

static tm_status key_path(const struct tm_command *command, const struct tm_parsed *parsed,
                          char *path, struct tm_err *err)
{
    return tm_cli_key_path(tm_opt_text(command, parsed, "key"),
                           tm_opt_text(command, parsed, "name"), path, err);
}

static tm_status run_gen(const struct tm_command *command, const struct tm_parsed *parsed,
                         struct tm_err *err)
{
    char path[TM_PATH_MAX], dir[TM_PATH_MAX];
    struct tm_identity *identity = NULL;
    TM_TRY(key_path(command, parsed, path, err));
    TM_TRY(tm_path_dir(dir, path));
    TM_TRY(tm_dir_make(dir, 0700, err));
    TM_TRY(tm_identity_generate(&identity, err));
    tm_status status = tm_identity_save(identity, path, tm_opt_text(command, parsed, "name"), err);
    if (status == TM_OK) {
        status = print_key(identity, path, parsed->json, err);
    }
    tm_identity_destroy(&identity);
    return status;
}

static tm_status run_show(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    char path[TM_PATH_MAX];
    struct tm_identity *identity = NULL;
    TM_TRY(key_path(command, parsed, path, err));
    TM_TRY(tm_identity_load(path, &identity, err));
    tm_status status = print_key(identity, path, parsed->json, err);
    tm_identity_destroy(&identity);
    return status;
}

static tm_status run_export(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    char path[TM_PATH_MAX], key[TM_PUBLIC_KEY_TEXT];
    struct tm_identity *identity = NULL;
    TM_TRY(key_path(command, parsed, path, err));
    TM_TRY(tm_identity_load(path, &identity, err));
    tm_public_key_text(tm_identity_public(identity), key);
    if (parsed->json) {
        struct tm_envelope out;
        tm_envelope_begin(&out, "tmill.key.export/1");
        tm_jw_str(&out.jw, "key", key);
        tm_identity_destroy(&identity);
        return tm_envelope_end(&out, NULL, 0, err);
    }
    printf("%s\n", key);
    tm_identity_destroy(&identity);
    return TM_OK;
}

static const struct tm_option options[] = {
    {"key", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "the key file, instead of the one of --name"},
    {"name", 0, TM_OPT_TEXT, "NAME", NULL, "owner", "which key: owner, node, or a name of yours"},
    {0},
};
const struct tm_command tm_cmd_key_gen = {
    "key gen",
    "",
    0,
    0,
    "makes a key pair (file mode 0600); never overwrites one",
    NULL,
    "  tmill key gen\n  tmill key gen --name release-2026",
    options,
    run_gen,
};
const struct tm_command tm_cmd_key_show = {
    "key show",         "",      0,        0, "shows public key, id and file of a key", NULL,
    "  tmill key show", options, run_show,
};
const struct tm_command tm_cmd_key_export = {
    "key export",
    "",
    0,
    0,
    "prints the public key alone, for tmill-edge trust add and --allow",
    NULL,
    "  tmill-edge trust add \"$(tmill key export)\"",
    options,
    run_export,
};
