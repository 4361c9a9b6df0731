/* SPDX-License-Identifier: Apache-2.0
 * Commands of tmill-edge that change the store: trust, pull, update, rollback, rm. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "node/edge/edge_commands.h"
#include "node/edge/pull.h"
#include "node/edge/trust.h"
#include "package/release.h"

tm_status tm_edge_store_path(const struct tm_command *command, const struct tm_parsed *parsed,
                             char *out, struct tm_err *err)
{
    const char *given = tm_opt_text(command, parsed, "store");
    char data[TM_PATH_MAX];
    if (given != NULL) {
        snprintf(out, TM_PATH_MAX, "%s", given);
        return strlen(given) < TM_PATH_MAX ? TM_OK : TM_E_LIMIT;
    }
    TM_TRY(tm_xdg_dir(TM_XDG_DATA, data, err));
    return tm_path_join(out, data, "edge");
}

/* ---- trust ---- */

static tm_status run_trust_add(const struct tm_command *command, const struct tm_parsed *parsed,
                               struct tm_err *err)
{
    char store[TM_PATH_MAX], id[TM_NODE_ID_TEXT];
    struct tm_public_key key;
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(tm_public_key_parse(tm_view_str(parsed->arguments[0]), &key, err));
    TM_TRY(tm_trust_add(store, &key, err));
    struct tm_node_id node = tm_node_id_of(&key);
    printf("trusted  %s\n", tm_node_id_hex(&node, id));
    return TM_OK;
}

static tm_status print_trust_json(const struct tm_trust *trust)
{
    struct tm_buf out;
    struct tm_jw jw;
    char text[TM_PUBLIC_KEY_TEXT];
    tm_buf_init(&out, 1 << 20);
    tm_jw_begin(&jw, &out, true);
    tm_jw_object(&jw, NULL);
    tm_jw_str(&jw, "schema", "tmill.edge.trust/1");
    tm_jw_array(&jw, "data");
    for (size_t i = 0; i < trust->count; i++) {
        struct tm_node_id node = tm_node_id_of(&trust->keys[i]);
        tm_jw_object(&jw, NULL);
        tm_jw_str(&jw, "id", tm_node_id_hex(&node, text));
        tm_jw_str(&jw, "key", tm_public_key_text(&trust->keys[i], text));
        tm_jw_object_end(&jw);
    }
    tm_jw_array_end(&jw);
    tm_jw_object_end(&jw);
    tm_status status = tm_jw_end(&jw);
    if (status == TM_OK) {
        printf("%.*s\n", (int)out.bytes, (const char *)out.data);
    }
    tm_buf_deinit(&out);
    return status;
}

static tm_status run_trust_list(const struct tm_command *command, const struct tm_parsed *parsed,
                                struct tm_err *err)
{
    static struct tm_trust trust;
    char store[TM_PATH_MAX], id[TM_NODE_ID_TEXT], key[TM_PUBLIC_KEY_TEXT];
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(tm_trust_load(store, &trust, err));
    if (parsed->json) {
        return print_trust_json(&trust);
    }
    for (size_t i = 0; i < trust.count; i++) {
        struct tm_node_id node = tm_node_id_of(&trust.keys[i]);
        printf("%s  %s\n", tm_node_id_hex(&node, id), tm_public_key_text(&trust.keys[i], key));
    }
    if (trust.count == 0) {
        printf("no trusted keys\n");
    }
    return TM_OK;
}

static tm_status run_trust_remove(const struct tm_command *command, const struct tm_parsed *parsed,
                                  struct tm_err *err)
{
    char store[TM_PATH_MAX];
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(tm_trust_remove(store, parsed->arguments[0], err));
    printf("no longer trusted  %s\n", parsed->arguments[0]);
    return TM_OK;
}

/* ---- pull and update ---- */

static void report_text(const char *name, const struct tm_pull_report *r)
{
    char fetched[TM_NUM_TEXT], whole[TM_NUM_TEXT];
    unsigned percent = (unsigned)(100.0 * (double)r->fetched_bytes /
                                      (double)(r->package_bytes > 0 ? r->package_bytes : 1) +
                                  0.5);
    if (r->previous != 0) {
        printf("%s  release %llu -> %llu", name, (unsigned long long)r->previous,
               (unsigned long long)r->release);
    } else {
        printf("%s  release %llu", name, (unsigned long long)r->release);
    }
    printf("  fetched %s of %s (%u %%), %u of %u chunks, all verified\n",
           tm_format_bytes(r->fetched_bytes, fetched), tm_format_bytes(r->package_bytes, whole),
           percent, r->chunks_fetched, r->chunks);
}

static void report_json(struct tm_jw *jw, const char *name, const struct tm_pull_report *r,
                        bool changed)
{
    tm_jw_object(jw, NULL);
    tm_jw_str(jw, "name", name);
    tm_jw_bool(jw, "changed", changed);
    tm_jw_u64(jw, "release", r->release);
    tm_jw_u64(jw, "previous", r->previous);
    tm_jw_u64(jw, "package_bytes", r->package_bytes);
    tm_jw_u64(jw, "fetched_bytes", r->fetched_bytes);
    tm_jw_u64(jw, "chunks", r->chunks);
    tm_jw_u64(jw, "chunks_fetched", r->chunks_fetched);
    tm_jw_object_end(jw);
}

struct puller {
    const struct tm_parsed *parsed;
    char store[TM_PATH_MAX];
    struct tm_device *device;
    struct tm_trust trust;
    struct tm_buf json;
    struct tm_jw jw;
};

static tm_status puller_open(struct puller *p, const struct tm_command *command,
                             const struct tm_parsed *parsed, struct tm_err *err)
{
    p->parsed = parsed;
    tm_buf_init(&p->json, 1 << 20);
    TM_TRY(tm_edge_store_path(command, parsed, p->store, err));
    TM_TRY(tm_trust_load(p->store, &p->trust, err));
    tm_jw_begin(&p->jw, &p->json, true);
    tm_jw_object(&p->jw, NULL);
    tm_jw_str(&p->jw, "schema", "tmill.edge.pull/1");
    tm_jw_array(&p->jw, "data");
    return tm_device_open(p->store, true, &p->device, err);
}

static tm_status puller_close(struct puller *p, tm_status status)
{
    tm_jw_array_end(&p->jw);
    tm_jw_object_end(&p->jw);
    if (status == TM_OK && p->parsed->json) {
        status = tm_jw_end(&p->jw);
        printf("%.*s\n", (int)p->json.bytes, (const char *)p->json.data);
    }
    tm_buf_deinit(&p->json);
    tm_device_close(&p->device);
    tm_free(p);
    return status;
}

static tm_status pull_one(struct puller *p, const char *location, const char *name,
                          struct tm_err *err)
{
    struct tm_pull_report report;
    struct tm_pull_options options = {
        .device = p->device,
        .location = location,
        .name = name,
        .trusted = p->trust.keys,
        .trusted_count = p->trust.count,
        .quiet = p->parsed->quiet,
        .stop = &tm_stop_signal,
    };
    TM_TRY(tm_pull(&options, &report, err));
    if (p->parsed->json) {
        report_json(&p->jw, name, &report, true);
    } else {
        report_text(name, &report);
    }
    return tm_remote_write(p->store, name, location, err);
}

static tm_status run_pull(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    const char *location = parsed->arguments[0], *name = parsed->arguments[1];
    char full[TM_PATH_MAX];
    if (!tm_release_name_ok(name)) {
        return tm_err_set(err, TM_E_USAGE, name, "bad model name",
                          "use letters, digits, '.', '-' and '_'", "no release has such a name");
    }
    if (!tm_source_is_url(location) && location[0] != '/') {
        if (realpath(location, full) == NULL) {
            return tm_err_set_os(err, errno, location, "cannot fetch from there");
        }
        location = full; /* update may run elsewhere */
    }
    struct puller *p = tm_calloc(1, sizeof *p);
    if (p == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = puller_open(p, command, parsed, err);
    if (status == TM_OK) {
        status = pull_one(p, location, name, err);
    }
    return puller_close(p, status);
}

/* The models that were named, or all that are installed. */
static bool is_wanted(const struct tm_parsed *parsed, const char *name)
{
    for (unsigned i = 0; i < parsed->argument_count; i++) {
        if (strcmp(parsed->arguments[i], name) == 0) {
            return true;
        }
    }
    return parsed->argument_count == 0;
}

static tm_status check_names(struct puller *p, struct tm_err *err)
{
    for (unsigned i = 0; i < p->parsed->argument_count; i++) {
        struct tm_installed found;
        TM_TRY(tm_device_find(p->device, p->parsed->arguments[i], &found, err));
    }
    return TM_OK;
}

static tm_status update_all(struct puller *p, struct tm_err *err)
{
    struct tm_installed *list = NULL;
    size_t count = 0, changed = 0;
    TM_TRY(check_names(p, err));
    TM_TRY(tm_device_list(p->device, &list, &count, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        char location[TM_PATH_MAX];
        if (!is_wanted(p->parsed, list[i].name)) {
            continue;
        }
        status = tm_remote_read(p->store, list[i].name, location, err);
        if (status == TM_OK) {
            status = pull_one(p, location, list[i].name, err);
        }
        if (status == TM_E_NOTHING) {
            status = TM_OK;
            continue;
        }
        changed += status == TM_OK;
    }
    tm_free(list);
    if (status == TM_OK && changed == 0) {
        return tm_err_set(err, TM_E_NOTHING, "update", "nothing to do", NULL,
                          "%zu models are up to date", count);
    }
    return status;
}

static tm_status run_update(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    struct puller *p = tm_calloc(1, sizeof *p);
    if (p == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = puller_open(p, command, parsed, err);
    if (status == TM_OK) {
        status = update_all(p, err);
    }
    return puller_close(p, status);
}

/* ---- rollback and rm ---- */

static tm_status change(const struct tm_command *command, const struct tm_parsed *parsed,
                        tm_status (*call)(struct tm_device *, const char *, struct tm_err *),
                        struct tm_err *err)
{
    char store[TM_PATH_MAX];
    struct tm_device *device = NULL;
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(tm_device_open(store, true, &device, err));
    tm_status status = call(device, parsed->arguments[0], err);
    tm_device_close(&device);
    return status;
}

static tm_status run_rollback(const struct tm_command *command, const struct tm_parsed *parsed,
                              struct tm_err *err)
{
    TM_TRY(change(command, parsed, tm_device_rollback, err));
    printf("%s is back at its previous release\n", parsed->arguments[0]);
    return TM_OK;
}

static tm_status run_remove(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    TM_TRY(change(command, parsed, tm_device_remove, err));
    printf("%s is removed\n", parsed->arguments[0]);
    return TM_OK;
}

static const struct tm_option store_options[] = {TM_EDGE_STORE_OPTION, {0}};
const struct tm_command tm_edge_trust_add = {
    "trust add",
    "KEY",
    1,
    1,
    "believes a publisher from now on",
    NULL,
    "  tmill-edge trust add tmpub1...",
    store_options,
    run_trust_add,
};
const struct tm_command tm_edge_trust_list = {
    "trust list",
    "",
    0,
    0,
    "lists the publishers that are believed",
    NULL,
    "  tmill-edge trust list --json",
    store_options,
    run_trust_list,
};
const struct tm_command tm_edge_trust_remove = {
    "trust rm",
    "ID",
    1,
    1,
    "stops believing a publisher",
    NULL,
    "  tmill-edge trust rm 3f2a...",
    store_options,
    run_trust_remove,
};
const struct tm_command tm_edge_pull = {
    "pull",
    "URL|DIR NAME",
    2,
    2,
    "installs the newest release of a model",
    "Fetches only the chunks that the device does not have, verifies each on arrival, and "
    "installs\n"
    "with one rename. A pull that was interrupted goes on where it ended.",
    "  tmill-edge pull https://example.org/repo smol\n  tmill-edge pull /media/usb/repo smol",
    store_options,
    run_pull,
};
const struct tm_command tm_edge_update = {
    "update",
    "[NAME...]",
    0,
    TM_ARGUMENTS_MAX,
    "pulls newer releases of what is installed",
    "Exit code 10 when everything is up to date.",
    "  tmill-edge update",
    store_options,
    run_update,
};
const struct tm_command tm_edge_rollback = {
    "rollback",
    "NAME",
    1,
    1,
    "goes back to the previous release",
    NULL,
    "  tmill-edge rollback smol",
    store_options,
    run_rollback,
};
const struct tm_command tm_edge_remove = {
    "rm", "NAME", 1, 1, "removes a model", NULL, "  tmill-edge rm smol", store_options, run_remove,
};
