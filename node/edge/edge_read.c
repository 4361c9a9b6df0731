/* SPDX-License-Identifier: Apache-2.0
 * Commands of tmill-edge that only read the store: list, show, verify, export, run. */
#include "node/edge/edge_commands.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "node/common/envelope.h"
#include "node/common/export_command.h"
#include "node/common/run_command.h"
#include "node/edge/trust.h"
#include "package/install.h"

static tm_status open_device(const struct tm_command *command, const struct tm_parsed *parsed,
                             char *store, struct tm_device **out, struct tm_err *err)
{
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    return tm_device_open(store, false, out, err);
}

/* Path of the package in use of the model named by the first argument. */
static tm_status current_path(const struct tm_command *command, const struct tm_parsed *parsed,
                              struct tm_installed *model, char *path, struct tm_err *err)
{
    char store[TM_PATH_MAX];
    struct tm_device *device = NULL;
    TM_TRY(open_device(command, parsed, store, &device, err));
    tm_status status = tm_device_find(device, parsed->arguments[0], model, err);
    if (status == TM_OK) {
        status = tm_device_path(device, model->name, model->current, path);
    }
    tm_device_close(&device);
    return status;
}

static void json_model(struct tm_jw *jw, const char *store, const struct tm_installed *m)
{
    char remote[TM_PATH_MAX];
    tm_jw_str(jw, "name", m->name);
    tm_jw_u64(jw, "release", m->current);
    tm_jw_u64(jw, "previous", m->previous);
    tm_jw_u64(jw, "floor", m->floor);
    if (tm_remote_read(store, m->name, remote, NULL) == TM_OK) {
        tm_jw_str(jw, "remote", remote);
    }
}

static tm_status run_list(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    char store[TM_PATH_MAX];
    struct tm_device *device = NULL;
    struct tm_installed *list = NULL;
    size_t count = 0;
    TM_TRY(open_device(command, parsed, store, &device, err));
    tm_status status = tm_device_list(device, &list, &count, err);
    tm_device_close(&device);
    TM_TRY(status);
    if (parsed->json) {
        struct tm_envelope out;
        tm_envelope_begin_list(&out, "tmill.edge.list/1");
        for (size_t i = 0; i < count; i++) {
            tm_jw_object(&out.jw, NULL);
            json_model(&out.jw, store, &list[i]);
            tm_jw_object_end(&out.jw);
        }
        status = tm_envelope_end(&out, NULL, 0, err);
    }
    for (size_t i = 0; i < count && !parsed->json; i++) {
        printf("%-24s release %llu%s\n", list[i].name, (unsigned long long)list[i].current,
               list[i].previous != 0 ? ", can roll back" : "");
    }
    if (count == 0 && !parsed->json) {
        printf("no models\n");
    }
    tm_free(list);
    return status;
}

static tm_status show_json(const char *store, const struct tm_installed *model, const char *path,
                           const struct tm_package *package, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    char hex[TM_DIGEST_TEXT], key[TM_PUBLIC_KEY_TEXT];
    struct tm_envelope out;
    tm_envelope_begin(&out, "tmill.edge.show/1");
    json_model(&out.jw, store, model);
    tm_jw_str(&out.jw, "package", path);
    tm_jw_str(&out.jw, "package_id", tm_digest_hex(tm_package_id(package), hex));
    tm_jw_str(&out.jw, "owner", tm_public_key_text(tm_package_owner(package), key));
    tm_jw_str(&out.jw, "model", meta->model_name);
    tm_jw_u64(&out.jw, "bytes", tm_package_bytes(package));
    tm_jw_u64(&out.jw, "tensors", meta->tensor_count);
    return tm_envelope_end(&out, NULL, 0, err);
}

static void show_text(const struct tm_installed *model, const char *path,
                      const struct tm_package *package)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    char hex[TM_DIGEST_TEXT], key[TM_PUBLIC_KEY_TEXT], bytes[TM_NUM_TEXT], text[512];
    printf("name     %s, release %llu (highest seen %llu)\n", model->name,
           (unsigned long long)model->current, (unsigned long long)model->floor);
    printf("model    %s, %u tensors, %s\n",
           tm_escape(meta->model_name, strlen(meta->model_name), text, sizeof text),
           meta->tensor_count, tm_format_bytes(tm_package_bytes(package), bytes));
    printf("package  %s\nowner    %s\n", tm_digest_hex(tm_package_id(package), hex),
           tm_public_key_text(tm_package_owner(package), key));
    printf("file     %s\n", tm_escape(path, strlen(path), text, sizeof text));
}

static tm_status run_show(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    struct tm_installed model;
    struct tm_package *package = NULL;
    char path[TM_PATH_MAX], store[TM_PATH_MAX];
    tm_status status = TM_OK;
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(current_path(command, parsed, &model, path, err));
    TM_TRY(tm_package_open(path, &package, err));
    if (parsed->json) {
        status = show_json(store, &model, path, package, err);
    } else {
        show_text(&model, path, package);
    }
    tm_package_close(&package);
    return status;
}

static tm_status verify_one(struct tm_device *device, const struct tm_installed *model,
                            uint32_t *signatures, struct tm_err *err)
{
    struct tm_package *package = NULL;
    TM_TRY(tm_device_package(device, model->name, model->current, &package, err));
    tm_status status = tm_package_check(package, err);
    if (status == TM_OK) {
        status = tm_package_check_ledger(package, signatures, err);
    }
    tm_package_close(&package);
    return status;
}

static void report_verified(const struct tm_parsed *parsed, struct tm_jw *jw,
                            const struct tm_installed *model, uint32_t signatures)
{
    if (parsed->json) {
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "name", model->name);
        tm_jw_u64(jw, "release", model->current);
        tm_jw_u64(jw, "signatures", signatures);
        tm_jw_object_end(jw);
    } else {
        printf("%s  release %llu ok: owner, every chunk and %u unit signatures\n", model->name,
               (unsigned long long)model->current, signatures);
    }
}

/* One damaged model does not keep the others from being checked; the first failure is told. */
static tm_status verify_list(struct tm_device *device, const struct tm_parsed *parsed,
                             struct tm_jw *jw, struct tm_err *err)
{
    struct tm_installed *list = NULL;
    size_t count = 0, seen = 0;
    const char *only = parsed->argument_count > 0 ? parsed->arguments[0] : NULL;
    TM_TRY(tm_device_list(device, &list, &count, err));
    tm_status first = TM_OK;
    for (size_t i = 0; i < count; i++) {
        uint32_t signatures = 0;
        if (only != NULL && strcmp(only, list[i].name) != 0) {
            continue;
        }
        seen++;
        tm_status status = verify_one(device, &list[i], &signatures, first == TM_OK ? err : NULL);
        if (status == TM_OK) {
            report_verified(parsed, jw, &list[i], signatures);
        }
        first = first == TM_OK ? status : first;
    }
    tm_free(list);
    if (seen == 0) {
        return tm_err_set(err, TM_E_NOT_FOUND, only != NULL ? only : "verify", "nothing to verify",
                          "tmill-edge list shows what is installed", "no such model is installed");
    }
    return first;
}

static tm_status run_verify(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    char store[TM_PATH_MAX];
    struct tm_device *device = NULL;
    struct tm_envelope out;
    TM_TRY(open_device(command, parsed, store, &device, err));
    tm_envelope_begin_list(&out, "tmill.edge.verify/1");
    tm_status status = verify_list(device, parsed, &out.jw, err);
    tm_device_close(&device);
    if (status == TM_OK && parsed->json) {
        return tm_envelope_end(&out, NULL, 0, err);
    }
    tm_envelope_drop(&out);
    return status;
}

static tm_status run_export(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    struct tm_installed model;
    char path[TM_PATH_MAX];
    TM_TRY(current_path(command, parsed, &model, path, err));
    return tm_export_run(command, parsed, path, err);
}

static tm_status run_run(const struct tm_command *command, const struct tm_parsed *parsed,
                         struct tm_err *err)
{
    struct tm_installed model;
    char path[TM_PATH_MAX];
    TM_TRY(current_path(command, parsed, &model, path, err));
    return tm_run_run(command, parsed, path, NULL, err);
}

static const struct tm_option store_options[] = {TM_EDGE_STORE_OPTION, {0}};
static const struct tm_option export_options[] = {
    TM_EDGE_STORE_OPTION, TM_EXPORT_COMMAND_OPTIONS, {0}};
static const struct tm_option run_options[] = {TM_EDGE_STORE_OPTION, TM_RUN_COMMAND_OPTIONS, {0}};
const struct tm_command tm_edge_list = {
    "list",        "",       0, 0, "lists the installed models", NULL, "  tmill-edge list --json",
    store_options, run_list,
};
const struct tm_command tm_edge_show = {
    "show",        "NAME",   1, 1, "shows an installed model", NULL, "  tmill-edge show smol",
    store_options, run_show,
};
const struct tm_command tm_edge_verify = {
    "verify",
    "[NAME]",
    0,
    1,
    "checks every byte of what is installed",
    NULL,
    "  tmill-edge verify",
    store_options,
    run_verify,
};
const struct tm_command tm_edge_export = {
    "export",
    "NAME",
    1,
    1,
    "writes an installed model as GGUF or safetensors",
    NULL,
    "  tmill-edge export smol --format gguf -o smol.gguf",
    export_options,
    run_export,
};
const struct tm_command tm_edge_run = {
    "run",
    "NAME",
    1,
    1,
    "goes on with a text, as the installed model would",
    TM_RUN_COMMAND_DETAILS,
    "  tmill-edge run smol -p 'Once upon a time'\n"
    "  tmill-edge run smol --chat",
    run_options,
    run_run,
};
