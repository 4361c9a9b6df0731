/* SPDX-License-Identifier: Apache-2.0
 * The device's folder: opening, listing, look-ups, rollback, removal, floors of indexes. The
 * install itself is in install_apply.c, look-up of chunks in install_chunks.c; all share
 * install_state.h. */
#include "package/install.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/os.h"
#include "package/install_state.h"
#include "package/release.h"

/* ---- paths ---- */

tm_status tm_device_join(char *out, const char *dir, const char *name, struct tm_err *err)
{
    if (tm_path_join(out, dir, name) != TM_OK) {
        return tm_err_set(err, TM_E_LIMIT, dir, "cannot use the device's folder", NULL,
                          "a path in it is longer than %d bytes", TM_PATH_MAX);
    }
    return TM_OK;
}

tm_status tm_device_model_path(const struct tm_device *device, const char *name, const char *entry,
                               char *out, struct tm_err *err)
{
    char models[TM_PATH_MAX], model[TM_PATH_MAX];
    if (!tm_release_name_ok(name)) {
        return tm_err_set(err, TM_E_USAGE, "model name", "cannot use the device's folder",
                          "use letters, digits, '.', '_' and '-', not starting with '.'",
                          "'%.140s' is no model name", name);
    }
    TM_TRY(tm_device_join(models, device->dir, "models", err));
    if (entry == NULL) {
        return tm_device_join(out, models, name, err);
    }
    TM_TRY(tm_device_join(model, models, name, err));
    return tm_device_join(out, model, entry, err);
}

tm_status tm_device_path(struct tm_device *device, const char *name, uint64_t counter, char *out)
{
    char entry[64];
    snprintf(entry, sizeof entry, "%" PRIu64 "/model.tmpk", counter);
    return tm_device_model_path(device, name, entry, out, NULL);
}

tm_status tm_device_package(struct tm_device *device, const char *name, uint64_t counter,
                            struct tm_package **out, struct tm_err *err)
{
    char path[TM_PATH_MAX], entry[64];
    *out = NULL;
    snprintf(entry, sizeof entry, "%" PRIu64 "/model.tmpk", counter);
    TM_TRY(tm_device_model_path(device, name, entry, path, err));
    return tm_package_open_in(device->root, path, out, err);
}

/* ---- small files that hold one number ---- */

tm_status tm_device_read_number(const struct tm_device *device, const char *path, uint64_t *out,
                                struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, 64);
    tm_status status = tm_file_read_in(device->root, path, &text, err);
    if (status == TM_OK &&
        (text.bytes < 2 || text.data[text.bytes - 1] != '\n' ||
         tm_parse_u64(tm_view_of(text.data, text.bytes - 1), out) != TM_OK || *out == 0)) {
        status = tm_err_set(err, TM_E_MALFORMED, path, "cannot read the device's state",
                            "install the model again", "it holds no number from 1");
    } else if (status == TM_E_LIMIT) {
        status = tm_err_set(err, TM_E_MALFORMED, path, "cannot read the device's state",
                            "install the model again", "it is longer than a number");
    }
    tm_buf_deinit(&text);
    return status;
}

tm_status tm_device_write_number(const struct tm_device *device, const char *path, uint64_t value,
                                 struct tm_err *err)
{
    char text[32];
    int bytes = snprintf(text, sizeof text, "%" PRIu64 "\n", value);
    return tm_file_write_atomic_in(device->root, path, 0644, tm_view_of(text, (size_t)bytes), err);
}

/* A number, or 0 when its file is absent. */
static tm_status read_optional(const struct tm_device *device, const char *path, uint64_t *out,
                               struct tm_err *err)
{
    *out = 0;
    tm_status status = tm_device_read_number(device, path, out, err);
    return status == TM_E_NOT_FOUND ? TM_OK : status;
}

tm_status tm_device_raise_floor(struct tm_device *device, const char *name, uint64_t counter,
                                struct tm_err *err)
{
    char path[TM_PATH_MAX];
    uint64_t floor;
    TM_TRY(tm_device_model_path(device, name, "floor", path, err));
    TM_TRY(read_optional(device, path, &floor, err));
    return counter > floor ? tm_device_write_number(device, path, counter, err) : TM_OK;
}

/* ---- open and close ---- */

static tm_status take_lock(struct tm_device *d, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    struct tm_root_at at;
    TM_TRY(tm_device_join(path, d->dir, "lock", err));
    int code = tm_root_at(d->root, path, &at);
    if (code == 0) {
        /* O_NONBLOCK: a named pipe under this name must not make us wait. */
        int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
        d->lock = tm_os_openat(at.fd, at.name, flags, 0644);
        code = d->lock < 0 ? errno : 0;
        tm_root_at_close(&at);
    }
    if (code != 0) {
        return tm_err_set_os(err, code, path, "cannot lock the device's folder");
    }
    if (tm_os_flock(d->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return tm_err_set_os(err, errno, path, "cannot lock the device's folder");
        }
        return tm_err_set(err, TM_E_REFUSED, d->dir, "cannot change the device's folder",
                          "wait for the other process to end", "another process is changing it");
    }
    return TM_OK;
}

/* DIR/models, and both names durable: an install syncs only what is below. */
static tm_status make_models(const struct tm_device *d, const char *dir, struct tm_err *err)
{
    char models[TM_PATH_MAX], parent[TM_PATH_MAX];
    TM_TRY(tm_device_join(models, dir, "models", err));
    if (tm_path_is_dir_in(d->root, models)) {
        return TM_OK;
    }
    TM_TRY(tm_dir_make_in(d->root, models, 0755, err));
    TM_TRY(tm_dir_sync_in(d->root, dir, err));
    TM_TRY(tm_path_dir(parent, dir));
    if (access(parent, R_OK) != 0 && errno == EACCES) {
        return TM_OK; /* a parent that we may not read is not ours to sync */
    }
    return tm_dir_sync(parent, err);
}

static tm_status open_all(struct tm_device *d, const char *dir, struct tm_err *err)
{
    d->dir = tm_strdup(dir);
    if (d->dir == NULL) {
        return tm_err_set(err, TM_E_NOMEM, dir, "cannot open the device's folder", NULL,
                          "out of memory");
    }
    TM_TRY(tm_dir_make(dir, 0755, err));
    TM_TRY(tm_root_open(dir, &d->root, err));
    TM_TRY(make_models(d, dir, err));
    if (d->writer) {
        TM_TRY(take_lock(d, err));
        TM_TRY(tm_device_clean(d, err));
    }
    struct tm_store_options options = {.dir = dir, .kind = TM_STORE_LEAF};
    TM_TRY(tm_store_open(&options, &d->chunks, err));
    return d->writer ? tm_device_drop_known_objects(d, err) : TM_OK;
}

tm_status tm_device_open(const char *dir, bool writer, struct tm_device **out, struct tm_err *err)
{
    *out = NULL;
    struct tm_device *d = tm_calloc(1, sizeof *d);
    if (d == NULL) {
        return tm_err_set(err, TM_E_NOMEM, dir, "cannot open the device's folder", NULL,
                          "out of memory");
    }
    d->writer = writer;
    d->lock = -1;
    tm_digest_map_init(&d->leaves);
    tm_status status = open_all(d, dir, err);
    if (status != TM_OK) {
        tm_device_close(&d);
        return status;
    }
    *out = d;
    return TM_OK;
}

void tm_device_close(struct tm_device **device)
{
    struct tm_device *d = *device;
    if (d == NULL) {
        return;
    }
    tm_device_forget_packages(d);
    tm_store_close(&d->chunks);
    if (d->lock >= 0) {
        close(d->lock); /* gives the lock back */
    }
    tm_root_close(&d->root);
    tm_free(d->dir);
    tm_free(d);
    *device = NULL;
}

struct tm_store *tm_device_chunks(struct tm_device *device)
{
    return device->chunks;
}

tm_status tm_device_need_writer(const struct tm_device *device, struct tm_err *err)
{
    return device->writer
               ? TM_OK
               : tm_err_set(err, TM_E_REFUSED, device->dir, "cannot change the device's folder",
                            NULL, "it was opened for reading");
}

/* ---- generations ---- */

static int number_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

tm_status tm_device_generations(struct tm_device *device, const char *name, uint64_t **out,
                                size_t *count, struct tm_err *err)
{
    char model[TM_PATH_MAX];
    struct tm_dir_list list;
    *out = NULL;
    *count = 0;
    TM_TRY(tm_device_model_path(device, name, NULL, model, err));
    TM_TRY(tm_dir_list_in(device->root, model, &list, err));
    uint64_t *numbers = tm_calloc(list.count, sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < list.count; i++) {
        if (tm_parse_u64(tm_view_str(list.names[i]), &numbers[*count]) == TM_OK &&
            numbers[*count] > 0) {
            (*count)++;
        }
    }
    tm_dir_list_free(&list);
    if (numbers == NULL) {
        return tm_err_set(err, TM_E_NOMEM, model, "cannot list a folder", NULL, "out of memory");
    }
    qsort(numbers, *count, sizeof *numbers, number_order);
    *out = numbers;
    return TM_OK;
}

/* The newest whole generation below the current one. */
static tm_status find_previous(struct tm_device *d, struct tm_installed *m, struct tm_err *err)
{
    uint64_t *numbers;
    size_t count;
    char path[TM_PATH_MAX];
    bool whole;
    tm_status status = TM_OK;
    m->previous = 0;
    TM_TRY(tm_device_generations(d, m->name, &numbers, &count, err));
    for (size_t i = 0; i < count && numbers[i] < m->current; i++) {
        TM_TRY_GOTO(tm_device_path(d, m->name, numbers[i], path), done);
        TM_TRY_GOTO(tm_path_find_in(d->root, path, &whole, err), done);
        m->previous = whole ? numbers[i] : m->previous;
    }
done:
    tm_free(numbers);
    return status;
}

tm_status tm_device_state(struct tm_device *device, const char *name, struct tm_installed *out,
                          struct tm_err *err)
{
    char path[TM_PATH_MAX];
    *out = (struct tm_installed){0};
    TM_TRY(tm_device_model_path(device, name, "current", path, err));
    snprintf(out->name, sizeof out->name, "%s", name);
    TM_TRY(read_optional(device, path, &out->current, err));
    TM_TRY(tm_device_model_path(device, name, "floor", path, err));
    TM_TRY(read_optional(device, path, &out->floor, err));
    if (out->floor < out->current) {
        out->floor = out->current; /* a crash between the commit and the floor */
    }
    return out->current > 0 ? find_previous(device, out, err) : TM_OK;
}

tm_status tm_device_find(struct tm_device *device, const char *name, struct tm_installed *out,
                         struct tm_err *err)
{
    TM_TRY(tm_device_state(device, name, out, err));
    if (out->current == 0) {
        return tm_err_set(err, TM_E_NOT_FOUND, name, "cannot find the model",
                          "`list` shows what is installed", "it is not installed");
    }
    return TM_OK;
}

tm_status tm_device_list(struct tm_device *device, struct tm_installed **out, size_t *count,
                         struct tm_err *err)
{
    char models[TM_PATH_MAX];
    struct tm_dir_list names;
    *out = NULL;
    *count = 0;
    TM_TRY(tm_device_join(models, device->dir, "models", err));
    TM_TRY(tm_dir_list_in(device->root, models, &names, err));
    struct tm_installed *list = tm_calloc(names.count, sizeof *list);
    tm_status status = TM_OK;
    if (list == NULL) {
        status =
            tm_err_set(err, TM_E_NOMEM, models, "cannot list the models", NULL, "out of memory");
    }
    for (size_t i = 0; list != NULL && i < names.count && status == TM_OK; i++) {
        if (tm_release_name_ok(names.names[i])) {
            status = tm_device_state(device, names.names[i], &list[*count], err);
            *count += status == TM_OK && list[*count].current > 0 ? 1 : 0;
        }
    }
    tm_dir_list_free(&names);
    if (status != TM_OK) {
        tm_free(list);
        *count = 0;
        return status;
    }
    *out = list;
    return TM_OK;
}

/* ---- cleaning after a crash ---- */

/* Removes a generation folder, its package first named away so that a half-removed one is never
 * taken for a whole one. */
tm_status tm_device_drop_generation(struct tm_device *device, const char *name, uint64_t counter,
                                    struct tm_err *err)
{
    char entry[32], folder[TM_PATH_MAX], file[TM_PATH_MAX];
    snprintf(entry, sizeof entry, "%" PRIu64, counter);
    TM_TRY(tm_device_model_path(device, name, entry, folder, err));
    TM_TRY(tm_device_join(file, folder, "model.tmpk", err));
    TM_TRY(tm_file_remove_in(device->root, file, err));
    return tm_dir_remove_tree_in(device->root, folder, err);
}

/* Removes temporary files of a writer that died; the lock says that no other one lives. */
static tm_status clean_temporaries(const struct tm_device *d, const char *folder,
                                   struct tm_err *err)
{
    struct tm_dir_list list;
    char path[TM_PATH_MAX];
    TM_TRY(tm_dir_list_in(d->root, folder, &list, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < list.count && status == TM_OK; i++) {
        if (strstr(list.names[i], ".tmp-") != NULL) {
            status = tm_device_join(path, folder, list.names[i], err);
            status = status == TM_OK ? tm_file_remove_in(d->root, path, err) : status;
        }
    }
    tm_dir_list_free(&list);
    return status;
}

static tm_status clean_model(struct tm_device *d, const char *name, struct tm_err *err)
{
    char folder[TM_PATH_MAX], path[TM_PATH_MAX];
    uint64_t *numbers;
    size_t count;
    bool whole;
    TM_TRY(tm_device_model_path(d, name, NULL, folder, err));
    TM_TRY(clean_temporaries(d, folder, err));
    TM_TRY(tm_device_generations(d, name, &numbers, &count, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        TM_TRY_GOTO(tm_device_path(d, name, numbers[i], path), done);
        TM_TRY_GOTO(tm_path_find_in(d->root, path, &whole, err), done);
        if (!whole) {
            status = tm_device_drop_generation(d, name, numbers[i], err);
        } else {
            TM_TRY_GOTO(tm_path_dir(folder, path), done);
            status = clean_temporaries(d, folder, err);
        }
    }
done:
    tm_free(numbers);
    return status;
}

tm_status tm_device_clean(struct tm_device *device, struct tm_err *err)
{
    char models[TM_PATH_MAX];
    struct tm_dir_list names;
    TM_TRY(tm_device_join(models, device->dir, "models", err));
    TM_TRY(tm_dir_list_in(device->root, models, &names, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < names.count && status == TM_OK; i++) {
        if (tm_release_name_ok(names.names[i])) {
            status = clean_model(device, names.names[i], err);
        }
    }
    tm_dir_list_free(&names);
    return status;
}

/* ---- rollback and removal ---- */

tm_status tm_device_rollback(struct tm_device *device, const char *name, struct tm_err *err)
{
    struct tm_installed m;
    char path[TM_PATH_MAX];
    TM_TRY(tm_device_need_writer(device, err));
    TM_TRY(tm_device_find(device, name, &m, err));
    if (m.previous == 0) {
        return tm_err_set(err, TM_E_NOTHING, name, "cannot roll back", NULL,
                          "no generation before %" PRIu64 " is on the device", m.current);
    }
    TM_TRY(tm_device_raise_floor(device, name, m.floor, err)); /* before current goes down */
    TM_TRY(tm_device_model_path(device, name, "current", path, err));
    return tm_device_write_number(device, path, m.previous, err);
}

tm_status tm_device_remove(struct tm_device *device, const char *name, struct tm_err *err)
{
    struct tm_installed m;
    char path[TM_PATH_MAX], folder[TM_PATH_MAX];
    uint64_t *numbers;
    size_t count;
    TM_TRY(tm_device_need_writer(device, err));
    TM_TRY(tm_device_find(device, name, &m, err));
    TM_TRY(
        tm_device_raise_floor(device, name, m.floor, err)); /* stays: no way back to older ones */
    TM_TRY(tm_device_model_path(device, name, "current", path, err));
    TM_TRY(tm_file_remove_in(device->root, path, err));
    TM_TRY(tm_device_model_path(device, name, NULL, folder, err));
    TM_TRY(tm_dir_sync_in(device->root, folder, err));
    tm_device_forget_packages(device);
    TM_TRY(tm_device_generations(device, name, &numbers, &count, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        status = tm_device_drop_generation(device, name, numbers[i], err);
    }
    tm_free(numbers);
    return status;
}

/* ---- floors of indexes ---- */

static tm_status index_floor_path(struct tm_device *d, const struct tm_public_key *signer,
                                  char *folder, char *out, struct tm_err *err)
{
    char hex[TM_NODE_ID_TEXT];
    struct tm_node_id id = tm_node_id_of(signer);
    TM_TRY(tm_device_join(folder, d->dir, "floors", err));
    return tm_device_join(out, folder, tm_node_id_hex(&id, hex), err);
}

tm_status tm_device_index_floor(struct tm_device *device, const struct tm_public_key *signer,
                                uint64_t *out, struct tm_err *err)
{
    char folder[TM_PATH_MAX], path[TM_PATH_MAX];
    TM_TRY(index_floor_path(device, signer, folder, path, err));
    return read_optional(device, path, out, err);
}

tm_status tm_device_raise_index_floor(struct tm_device *device, const struct tm_public_key *signer,
                                      uint64_t version, struct tm_err *err)
{
    char folder[TM_PATH_MAX], path[TM_PATH_MAX];
    uint64_t floor;
    TM_TRY(tm_device_need_writer(device, err));
    TM_TRY(index_floor_path(device, signer, folder, path, err));
    TM_TRY(read_optional(device, path, &floor, err));
    if (version <= floor) {
        return TM_OK;
    }
    if (!tm_path_is_dir_in(device->root, folder)) {
        TM_TRY(tm_dir_make_in(device->root, folder, 0755, err));
        TM_TRY(tm_dir_sync_in(device->root, device->dir, err));
    } else {
        TM_TRY(clean_temporaries(device, folder, err));
    }
    return tm_device_write_number(device, path, version, err);
}
