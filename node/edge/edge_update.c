/* SPDX-License-Identifier: Apache-2.0
 * Commands of tmill-edge that change the store: trust, pull, update, rollback, rm. */
#include "node/edge/edge_commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "node/common/envelope.h"
#include "node/common/program.h"
#include "node/edge/pull.h"
#include "node/edge/trust.h"
#include "package/release.h"

tm_status tm_edge_store_path(const struct tm_command *command, const struct tm_parsed *parsed,
                             char *out, struct tm_err *err)
{
    const char *given = tm_opt_text(command, parsed, "store");
    char data[TM_PATH_MAX];
    if (given != NULL) {
        if (given[0] == '\0' || strlen(given) >= TM_PATH_MAX) {
            return tm_err_set(err, TM_E_USAGE, "--store", "bad value", NULL,
                              "a path of 1 to %d bytes is wanted", TM_PATH_MAX - 1);
        }
        snprintf(out, TM_PATH_MAX, "%s", given);
        return TM_OK;
    }
    TM_TRY(tm_xdg_dir(TM_XDG_DATA, data, err));
    return tm_path_join(out, data, "edge");
}

/* ---- trust ---- */

/* One line of words, or with --json the same as members of data. */
static tm_status say(const struct tm_parsed *parsed, const char *schema, const char *words,
                     const char *key, const char *value, struct tm_err *err)
{
    if (!parsed->json) {
        printf("%s  %s\n", words, value);
        return TM_OK;
    }
    struct tm_envelope out;
    tm_envelope_begin(&out, schema);
    tm_jw_str(&out.jw, key, value);
    return tm_envelope_end(&out, NULL, 0, err);
}

static tm_status run_trust_add(const struct tm_command *command, const struct tm_parsed *parsed,
                               struct tm_err *err)
{
    char store[TM_PATH_MAX], id[TM_NODE_ID_TEXT];
    struct tm_public_key key;
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(tm_public_key_parse(tm_view_str(parsed->arguments[0]), &key, err));
    TM_TRY(tm_trust_add(store, &key, err));
    struct tm_node_id node = tm_node_id_of(&key);
    return say(parsed, "tmill.edge.trust.add/1", "trusted", "id", tm_node_id_hex(&node, id), err);
}

static tm_status print_trust_json(const struct tm_trust *trust, struct tm_err *err)
{
    struct tm_envelope out;
    char text[TM_PUBLIC_KEY_TEXT];
    tm_envelope_begin_list(&out, "tmill.edge.trust/1");
    for (size_t i = 0; i < trust->count; i++) {
        struct tm_node_id node = tm_node_id_of(&trust->keys[i]);
        tm_jw_object(&out.jw, NULL);
        tm_jw_str(&out.jw, "id", tm_node_id_hex(&node, text));
        tm_jw_str(&out.jw, "key", tm_public_key_text(&trust->keys[i], text));
        tm_jw_object_end(&out.jw);
    }
    return tm_envelope_end(&out, NULL, 0, err);
}

static tm_status run_trust_list(const struct tm_command *command, const struct tm_parsed *parsed,
                                struct tm_err *err)
{
    static struct tm_trust trust;
    char store[TM_PATH_MAX], id[TM_NODE_ID_TEXT], key[TM_PUBLIC_KEY_TEXT];
    TM_TRY(tm_edge_store_path(command, parsed, store, err));
    TM_TRY(tm_trust_load(store, &trust, err));
    if (parsed->json) {
        return print_trust_json(&trust, err);
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
    return say(parsed, "tmill.edge.trust.rm/1", "no longer trusted", "id", parsed->arguments[0],
               err);
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

static void report_json(struct tm_jw *jw, const char *name, const struct tm_pull_report *r)
{
    tm_jw_object(jw, NULL);
    tm_jw_str(jw, "name", name);
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
    struct tm_envelope json;
};

static tm_status puller_open(struct puller *p, const struct tm_command *command,
                             const struct tm_parsed *parsed, struct tm_err *err)
{
    p->parsed = parsed;
    tm_envelope_begin_list(&p->json, "tmill.edge.pull/1");
    TM_TRY(tm_edge_store_path(command, parsed, p->store, err));
    TM_TRY(tm_trust_load(p->store, &p->trust, err));
    return tm_device_open(p->store, true, &p->device, err);
}

static tm_status puller_close(struct puller *p, tm_status status, struct tm_err *err)
{
    if (status == TM_OK && p->parsed->json) {
        status = tm_envelope_end(&p->json, NULL, 0, err);
    }
    tm_envelope_drop(&p->json);
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
        report_json(&p->json.jw, name, &report);
    } else {
        report_text(name, &report);
    }
    return TM_OK;
}

/* Where update will look: a folder by its full path, for update may run elsewhere. */
static tm_status full_location(const char *location, char full[TM_PATH_MAX], struct tm_err *err)
{
    if (!tm_source_is_url(location)) {
        return realpath(location, full) != NULL
                   ? TM_OK
                   : tm_err_set_os(err, errno, location, "cannot fetch from there");
    }
    if (strlen(location) >= TM_PATH_MAX) {
        return tm_err_set(err, TM_E_USAGE, "URL", "cannot fetch from there", NULL,
                          "it is longer than %d bytes", TM_PATH_MAX - 1);
    }
    snprintf(full, TM_PATH_MAX, "%s", location);
    return TM_OK;
}

static tm_status run_pull(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    const char *name = parsed->arguments[1];
    char location[TM_PATH_MAX];
    if (!tm_release_name_ok(name)) {
        return tm_err_set(err, TM_E_USAGE, name, "bad model name",
                          "use letters, digits, '.', '-' and '_'", "no release has such a name");
    }
    TM_TRY(full_location(parsed->arguments[0], location, err));
    struct puller *p = tm_calloc(1, sizeof *p);
    if (p == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = puller_open(p, command, parsed, err);
    if (status == TM_OK) {
        status = pull_one(p, location, name, err);
    }
    if (status == TM_OK || status == TM_E_NOTHING) { /* from here on updates come from there */
        tm_status recorded = tm_remote_write(p->store, name, location, err);
        status = recorded == TM_OK ? status : recorded;
    }
    return puller_close(p, status, err);
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

static tm_status update_one(struct puller *p, const char *name, struct tm_err *err)
{
    char location[TM_PATH_MAX];
    TM_TRY(tm_remote_read(p->store, name, location, err));
    return pull_one(p, location, name, err);
}

/* One model that cannot be updated does not keep the others from it: the first failure is the
 * command's, a later one gets a line here. */
static tm_status update_all(struct puller *p, struct tm_err *err)
{
    struct tm_installed *list = NULL;
    size_t count = 0, changed = 0, wanted = 0;
    TM_TRY(check_names(p, err));
    TM_TRY(tm_device_list(p->device, &list, &count, err));
    tm_status first = TM_OK;
    for (size_t i = 0; i < count && tm_stop_signal == 0; i++) {
        struct tm_err here = {.status = TM_OK};
        char line[1600];
        if (!is_wanted(p->parsed, list[i].name)) {
            continue;
        }
        wanted++;
        tm_status status = update_one(p, list[i].name, &here);
        changed += status == TM_OK;
        if (status == TM_OK || status == TM_E_NOTHING) {
            continue;
        }
        if (first == TM_OK) {
            first = status;
            *err = here;
        } else {
            fprintf(stderr, "%s: %s\n", list[i].name, tm_err_line(&here, line, sizeof line));
        }
    }
    tm_free(list);
    if (first == TM_OK && tm_stop_signal != 0) {
        return tm_err_set(err, TM_E_STOPPED, "update", "stopped", "run the command again",
                          "asked to stop");
    }
    if (first == TM_OK && changed == 0) {
        return tm_err_set(err, TM_E_NOTHING, "update", "nothing to do",
                          wanted == 0 ? "tmill-edge pull installs a model" : NULL, "%s",
                          wanted == 0 ? "no model is installed" : "everything is up to date");
    }
    return first;
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
    return puller_close(p, status, err);
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
    return say(parsed, "tmill.edge.rollback/1", "back at its previous release", "name",
               parsed->arguments[0], err);
}

static tm_status run_remove(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    TM_TRY(change(command, parsed, tm_device_remove, err));
    return say(parsed, "tmill.edge.rm/1", "removed", "name", parsed->arguments[0], err);
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
