/* SPDX-License-Identifier: Apache-2.0
 * Look-up of chunks on the device (install.h): in objects/, then in the installed packages by a
 * hash index from leaf to place, built once. */
#include "package/install.h"

#include <inttypes.h>

#include "base/mem.h"
#include "package/install_state.h"

void tm_device_forget_packages(struct tm_device *device)
{
    for (size_t i = 0; i < device->package_count; i++) {
        tm_package_close(&device->packages[i]);
    }
    tm_free(device->packages);
    device->packages = NULL;
    device->package_count = device->package_capacity = 0;
    tm_digest_map_deinit(&device->leaves);
    device->indexed = false;
}

static tm_status keep_package(struct tm_device *d, struct tm_package *package)
{
    if (d->package_count == d->package_capacity) {
        size_t capacity = d->package_capacity == 0 ? 8 : d->package_capacity * 2;
        struct tm_package **more =
            tm_realloc_array(d->packages, capacity, sizeof(struct tm_package *));
        if (more == NULL) {
            tm_package_close(&package);
            return TM_E_NOMEM;
        }
        d->packages = more;
        d->package_capacity = capacity;
    }
    d->packages[d->package_count++] = package;
    const struct tm_pkg_meta *m = tm_package_meta(package);
    for (uint32_t i = 0; i < m->chunk_count; i++) {
        uint64_t place = (uint64_t)(d->package_count - 1) << 32 | i;
        TM_TRY(tm_digest_map_put(&d->leaves, &m->chunks[i].leaf, place));
    }
    return TM_OK;
}

/* A package that cannot be read is no source of chunks, and no reason to stop. */
static tm_status add_generation(struct tm_device *d, const char *name, uint64_t counter)
{
    char path[TM_PATH_MAX];
    struct tm_package *package;
    TM_TRY(tm_device_path(d, name, counter, path));
    tm_status status = tm_package_open_in(d->root, path, &package, NULL);
    if (status == TM_OK) {
        return keep_package(d, package);
    }
    return status == TM_E_NOMEM ? status : TM_OK;
}

static tm_status add_model(struct tm_device *d, const char *name, struct tm_err *err)
{
    uint64_t *numbers;
    size_t count;
    TM_TRY(tm_device_generations(d, name, &numbers, &count, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        status = add_generation(d, name, numbers[i]);
    }
    tm_free(numbers);
    return status;
}

static tm_status ensure_index(struct tm_device *d, struct tm_err *err)
{
    struct tm_installed *list;
    size_t count;
    if (d->indexed) {
        return TM_OK;
    }
    TM_TRY(tm_device_list(d, &list, &count, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        status = add_model(d, list[i].name, err);
    }
    tm_free(list);
    if (status != TM_OK) {
        tm_device_forget_packages(d);
        return status == TM_E_NOMEM ? tm_err_set(err, status, d->dir, "cannot index the packages",
                                                 NULL, "out of memory")
                                    : status;
    }
    d->indexed = true;
    return TM_OK;
}

static tm_status drop_known(struct tm_device *d, const struct tm_package *package,
                            struct tm_err *err)
{
    const struct tm_pkg_meta *m = tm_package_meta(package);
    for (uint32_t i = 0; i < m->chunk_count; i++) {
        if (tm_store_has(d->chunks, &m->chunks[i].leaf)) {
            TM_TRY(tm_store_remove(d->chunks, &m->chunks[i].leaf, err));
        }
    }
    return TM_OK;
}

tm_status tm_device_drop_known_objects(struct tm_device *device, struct tm_err *err)
{
    if (tm_store_count(device->chunks) == 0) {
        return TM_OK;
    }
    TM_TRY(ensure_index(device, err));
    for (size_t i = 0; i < device->package_count; i++) {
        TM_TRY(drop_known(device, device->packages[i], err));
    }
    return TM_OK;
}

static tm_status not_here(const struct tm_device *d, const struct tm_digest *leaf,
                          struct tm_err *err)
{
    char hex[TM_DIGEST_TEXT];
    return tm_err_set(err, TM_E_NOT_FOUND, d->dir, "cannot find a chunk", NULL,
                      "%s is not on the device", tm_digest_hex(leaf, hex));
}

tm_status tm_device_find_chunk(struct tm_device *device, const struct tm_digest *leaf,
                               struct tm_buf *out, struct tm_err *err)
{
    uint64_t place;
    struct tm_buf chunk;
    tm_status status = tm_store_get(device->chunks, leaf, out, err);
    if (status != TM_E_NOT_FOUND && status != TM_E_VERIFY) {
        return status;
    }
    TM_TRY(ensure_index(device, err));
    if (!tm_digest_map_get(&device->leaves, leaf, &place)) {
        return not_here(device, leaf, err);
    }
    tm_buf_init(&chunk, TM_PACKAGE_CHUNK_MAX);
    status = tm_package_chunk(device->packages[place >> 32], (uint32_t)place, &chunk, err);
    if (status == TM_OK) {
        status = tm_buf_put(out, chunk.data, chunk.bytes);
        if (status != TM_OK) {
            tm_err_set(err, status, device->dir, "cannot read a chunk", NULL,
                       "out of memory: no room for %zu bytes", chunk.bytes);
        }
    } else if (status == TM_E_VERIFY || status == TM_E_MALFORMED) {
        /* Rotten there: to be fetched like one that was never here. */
        tm_digest_map_remove(&device->leaves, leaf);
        status = not_here(device, leaf, err);
    }
    tm_buf_deinit(&chunk);
    return status;
}
