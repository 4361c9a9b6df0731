/* SPDX-License-Identifier: Apache-2.0
 * The install (install.h): check, put together, verify whole, commit by one rename, then tidy up.
 * Whatever is interrupted leaves the old generation current and whole; the next writer cleans. */
#include "package/install.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "package/install_state.h"

/* Left free on the file system beside the package itself. */
#define RESERVE_BYTES (16u * 1024 * 1024)

struct install {
    struct tm_device *device;
    const struct tm_install_request *request;
    struct tm_installed before;
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    char path[TM_PATH_MAX]; /* of the new package */
    struct tm_err *err;
};

/* ---- before anything is written ---- */

static tm_status check_request(struct install *in)
{
    const struct tm_install_request *r = in->request;
    TM_TRY(tm_device_need_writer(in->device, in->err));
    TM_TRY(tm_device_state(in->device, r->name, &in->before, in->err));
    if (r->counter == 0) {
        return tm_err_set(in->err, TM_E_VERIFY, r->name, "cannot install", NULL,
                          "release counters start at 1");
    }
    if (r->counter < in->before.floor) {
        return tm_err_set(in->err, TM_E_VERIFY, r->name, "cannot install",
                          "a device never goes back by an update; `rollback` does",
                          "release %" PRIu64 " is older than %" PRIu64
                          ", which was installed before",
                          r->counter, in->before.floor);
    }
    TM_TRY(tm_pkg_layout_parse(r->front, &in->layout, in->err));
    return tm_pkg_parse_parts(r->front, r->back, r->name, r->package_id, r->owner, &in->meta,
                              &in->ledger, in->err);
}

static tm_status check_space(struct install *in)
{
    uint64_t free_bytes;
    TM_TRY(tm_path_free_bytes(in->device->dir, &free_bytes, in->err));
    if (free_bytes < RESERVE_BYTES || free_bytes - RESERVE_BYTES < in->layout.file_bytes) {
        return tm_err_set(in->err, TM_E_REFUSED, in->device->dir, "cannot install",
                          "free some space or remove a model",
                          "%s needs %" PRIu64 " bytes and %u in reserve, %" PRIu64 " are free",
                          in->request->name, in->layout.file_bytes, RESERVE_BYTES, free_bytes);
    }
    return TM_OK;
}

/* Whether the package at in->path is there, whole, and the requested one. One that is whole but
 * another is TM_E_VERIFY: a counter names one package for ever. */
static tm_status is_there(struct install *in, bool *there)
{
    struct tm_package *package;
    *there = false;
    if (tm_package_open_in(in->device->root, in->path, &package, NULL) != TM_OK) {
        return TM_OK;
    }
    struct tm_digest id = *tm_package_id(package);
    *there = tm_package_check(package, NULL) == TM_OK;
    tm_package_close(&package);
    const struct tm_digest *wanted = in->request->package_id;
    if (*there && wanted != NULL && !tm_digest_eq(&id, wanted)) {
        char have[TM_DIGEST_TEXT], want[TM_DIGEST_TEXT];
        return tm_err_set(in->err, TM_E_VERIFY, in->request->name, "cannot install",
                          "the publisher gave one number to two packages",
                          "release %" PRIu64 " is here as %s, not %s", in->request->counter,
                          tm_digest_hex(&id, have), tm_digest_hex(wanted, want));
    }
    return TM_OK;
}

/* ---- writing ---- */

static tm_status make_folder(const struct tm_device *device, const char *path, struct tm_err *err)
{
    char parent[TM_PATH_MAX];
    TM_TRY(tm_dir_make_in(device->root, path, 0755, err));
    TM_TRY(tm_path_dir(parent, path));
    return tm_dir_sync_in(device->root, parent, err);
}

static tm_status pad_to(struct tm_file_out *file, uint64_t offset, struct tm_err *err)
{
    static const uint8_t zeros[TM_PACKAGE_ALIGN];
    uint64_t at = tm_file_out_at(file);
    TM_ASSERT(at <= offset && offset - at < sizeof zeros);
    return tm_file_out_write(file, zeros, (size_t)(offset - at), err);
}

static tm_status write_parts(struct install *in, struct tm_file_out *file, struct tm_buf *chunk)
{
    const struct tm_install_request *r = in->request;
    TM_TRY(tm_file_out_write(file, r->front.data, r->front.bytes, in->err));
    for (uint32_t i = 0; i < in->meta.chunk_count; i++) {
        const struct tm_pkg_chunk *c = &in->meta.chunks[i];
        tm_buf_clear(chunk);
        TM_TRY(tm_device_find_chunk(in->device, &c->leaf, chunk, in->err));
        if (chunk->bytes != c->bytes) {
            return tm_err_set(in->err, TM_E_VERIFY, r->name, "cannot install", NULL,
                              "chunk %" PRIu32 " has %zu bytes, the table says %" PRIu32, i,
                              chunk->bytes, c->bytes);
        }
        TM_TRY(pad_to(file, c->offset, in->err));
        TM_TRY(tm_file_out_write(file, chunk->data, chunk->bytes, in->err));
    }
    TM_TRY(pad_to(file, in->layout.back_offset, in->err));
    return tm_file_out_write(file, r->back.data, r->back.bytes, in->err);
}

/* The package under its name, synced; not yet current. */
static tm_status write_package(struct install *in)
{
    struct tm_file_out *file;
    struct tm_buf chunk;
    TM_TRY(tm_file_out_begin_in(in->device->root, in->path, 0644, &file, in->err));
    tm_buf_init(&chunk, TM_PACKAGE_CHUNK_MAX);
    tm_status status = write_parts(in, file, &chunk);
    tm_buf_deinit(&chunk);
    if (status != TM_OK) {
        tm_file_out_abort(&file);
        return status;
    }
    return tm_file_out_commit(&file, in->err);
}

/* Reads everything back from the file under its final name. */
static tm_status verify_written(struct install *in)
{
    struct tm_package *package;
    TM_TRY(tm_package_open_in(in->device->root, in->path, &package, in->err));
    tm_status status = tm_package_check(package, in->err);
    tm_package_close(&package);
    return status;
}

/* Makes a generation folder with a verified package in it. */
static tm_status build_generation(struct install *in)
{
    const char *name = in->request->name;
    char entry[32], model[TM_PATH_MAX], folder[TM_PATH_MAX];
    snprintf(entry, sizeof entry, "%" PRIu64, in->request->counter);
    TM_TRY(tm_device_model_path(in->device, name, NULL, model, in->err));
    TM_TRY(tm_device_model_path(in->device, name, entry, folder, in->err));
    TM_TRY(check_space(in));
    TM_TRY(make_folder(in->device, model, in->err));
    TM_TRY(make_folder(in->device, folder, in->err));
    tm_status status = write_package(in);
    if (status == TM_OK) {
        status = verify_written(in);
    }
    if (status != TM_OK && in->request->counter != in->before.current) {
        struct tm_err ignored;
        if (tm_device_drop_generation(in->device, name, in->request->counter, &ignored) != TM_OK) {
            return status; /* the next writer cleans */
        }
    }
    return status;
}

/* ---- after the commit ---- */

static tm_status drop_old_generations(struct install *in)
{
    uint64_t *numbers;
    size_t count;
    const char *name = in->request->name;
    TM_TRY(tm_device_generations(in->device, name, &numbers, &count, in->err));
    struct tm_installed now;
    tm_status status = tm_device_state(in->device, name, &now, in->err);
    /* The one that was current before is what a rollback goes back to. */
    uint64_t keep = in->before.current != 0 && in->before.current != now.current
                        ? in->before.current
                        : now.previous;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        if (numbers[i] != now.current && numbers[i] != keep) {
            status = tm_device_drop_generation(in->device, name, numbers[i], in->err);
        }
    }
    tm_free(numbers);
    return status;
}

static tm_status drop_used_objects(struct install *in)
{
    for (uint32_t i = 0; i < in->meta.chunk_count; i++) {
        if (tm_store_has(in->device->chunks, &in->meta.chunks[i].leaf)) {
            TM_TRY(tm_store_remove(in->device->chunks, &in->meta.chunks[i].leaf, in->err));
        }
    }
    return TM_OK;
}

static tm_status install(struct install *in)
{
    char current[TM_PATH_MAX];
    const struct tm_install_request *r = in->request;
    bool there;
    TM_TRY(check_request(in));
    TM_TRY(tm_device_path(in->device, r->name, r->counter, in->path));
    TM_TRY(is_there(in, &there));
    if (!there) {
        TM_TRY(build_generation(in));
    }
    TM_TRY(tm_device_model_path(in->device, r->name, "current", current, in->err));
    if (in->before.current != r->counter) {
        TM_TRY(tm_device_write_number(in->device, current, r->counter, in->err)); /* the commit */
    }
    tm_device_forget_packages(in->device);
    TM_TRY(tm_device_raise_floor(in->device, r->name, r->counter, in->err));
    TM_TRY(drop_old_generations(in));
    return drop_used_objects(in);
}

tm_status tm_device_install(struct tm_device *device, const struct tm_install_request *request,
                            struct tm_err *err)
{
    struct install in = {.device = device, .request = request, .err = err};
    tm_status status = install(&in);
    tm_pkg_meta_deinit(&in.meta);
    tm_pkg_ledger_deinit(&in.ledger);
    return status;
}
