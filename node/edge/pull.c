/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/pull.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/progress.h"
#include "package/release.h"

#define INDEX_BYTES_MAX (16u << 20)
#define RUN_BYTES_MAX (4u << 20) /* chunks that lie side by side are asked for together */

struct pull {
    const struct tm_pull_options *options;
    struct tm_pull_report *report;
    struct tm_source *source;
    struct tm_release release;
    struct tm_public_key signer;
    uint64_t index_version;
    struct tm_buf front, back;
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    struct tm_progress *progress;
};

static tm_status read_index(struct pull *p, struct tm_err *err)
{
    const struct tm_pull_options *o = p->options;
    struct tm_buf text;
    struct tm_index index;
    uint64_t floor = 0;
    tm_status status;
    tm_buf_init(&text, INDEX_BYTES_MAX);
    tm_index_init(&index);
    TM_TRY_GOTO(tm_source_file(p->source, "index.json", INDEX_BYTES_MAX, &text, err), done);
    TM_TRY_GOTO(tm_index_read(tm_buf_view(&text), "index.json", o->trusted, o->trusted_count,
                              &index, &p->signer, err),
                done);
    TM_TRY_GOTO(tm_device_index_floor(o->device, &p->signer, &floor, err), done);
    if (index.version < floor) {
        status =
            tm_err_set(err, TM_E_VERIFY, o->location, "the index is older than one seen before",
                       "somebody may be serving an old copy; ask the publisher",
                       "index version %llu, this device has seen %llu",
                       (unsigned long long)index.version, (unsigned long long)floor);
        goto done;
    }
    p->index_version = index.version;
    const struct tm_release *latest = tm_index_latest(&index, o->name);
    if (latest == NULL) {
        status = tm_err_set(err, TM_E_NOT_FOUND, o->name, "no such model there", "check the name",
                            "the index of %s does not list it", o->location);
        goto done;
    }
    p->release = *latest;
done:
    tm_index_deinit(&index);
    tm_buf_deinit(&text);
    return status;
}

static tm_status compare_installed(struct pull *p, struct tm_err *err)
{
    struct tm_installed have;
    memset(&have, 0, sizeof have);
    tm_status status = tm_device_find(p->options->device, p->options->name, &have, NULL);
    if (status == TM_E_NOT_FOUND) {
        return TM_OK;
    }
    if (status != TM_OK) {
        return tm_device_find(p->options->device, p->options->name, &have, err);
    }
    p->report->previous = have.current;
    if (p->release.counter < have.floor) {
        return tm_err_set(err, TM_E_VERIFY, p->options->name, "the release is older",
                          "tmill-edge rollback goes back to the one before",
                          "release %llu is offered, this device has had %llu",
                          (unsigned long long)p->release.counter, (unsigned long long)have.floor);
    }
    if (p->release.counter == have.current) {
        return tm_err_set(err, TM_E_NOTHING, p->options->name, "up to date", NULL,
                          "release %llu is the newest", (unsigned long long)have.current);
    }
    return TM_OK;
}

/* Header and tables first, then ledger and tail; both verified before they are parsed. */
static tm_status fetch_parts(struct pull *p, struct tm_err *err)
{
    const char *path = p->release.path;
    TM_TRY(tm_source_range(p->source, path, 0, TM_PACKAGE_HEADER_BYTES, &p->front, err));
    TM_TRY(tm_pkg_layout_parse(tm_buf_view(&p->front), &p->layout, err));
    if (p->layout.file_bytes != p->release.bytes) {
        return tm_err_set(err, TM_E_VERIFY, path, "not the package of the index",
                          "try again later, or ask the publisher",
                          "its header says %llu bytes, the signed index %llu",
                          (unsigned long long)p->layout.file_bytes,
                          (unsigned long long)p->release.bytes);
    }
    TM_TRY(tm_source_range(p->source, path, TM_PACKAGE_HEADER_BYTES,
                           p->layout.front_bytes - TM_PACKAGE_HEADER_BYTES, &p->front, err));
    TM_TRY(tm_source_range(p->source, path, p->layout.back_offset,
                           p->layout.file_bytes - p->layout.back_offset, &p->back, err));
    return tm_pkg_parse_parts(tm_buf_view(&p->front), tm_buf_view(&p->back), path,
                              &p->release.package_id, NULL, &p->meta, &p->ledger, err);
}

/* Which chunks must come; duplicates within the package come once. */
static tm_status find_missing(struct pull *p, bool *missing, uint64_t *bytes)
{
    struct tm_buf chunk;
    tm_buf_init(&chunk, (size_t)256 << 20);
    *bytes = 0;
    for (uint32_t c = 0; c < p->meta.chunk_count; c++) {
        tm_buf_clear(&chunk);
        tm_status status =
            tm_device_find_chunk(p->options->device, &p->meta.chunks[c].leaf, &chunk, NULL);
        missing[c] = status != TM_OK;
        *bytes += missing[c] ? p->meta.chunks[c].bytes : 0;
        if (status == TM_E_NOMEM) {
            tm_buf_deinit(&chunk);
            return status;
        }
    }
    tm_buf_deinit(&chunk);
    return TM_OK;
}

static tm_status store_run(struct pull *p, uint32_t first, uint32_t end, const struct tm_buf *run,
                           struct tm_err *err)
{
    struct tm_store *store = tm_device_chunks(p->options->device);
    for (uint32_t c = first; c < end; c++) {
        const struct tm_pkg_chunk *chunk = &p->meta.chunks[c];
        struct tm_view view = {run->data + (chunk->offset - p->meta.chunks[first].offset),
                               chunk->bytes};
        struct tm_digest leaf = tm_merkle_leaf(view);
        if (!tm_digest_eq(&leaf, &chunk->leaf)) {
            return tm_err_set(err, TM_E_VERIFY, p->release.path, "a chunk does not verify",
                              "try again later, or from another place",
                              "chunk %u at byte %llu is not the one that was signed", c,
                              (unsigned long long)chunk->offset);
        }
        TM_TRY(tm_store_put(store, &chunk->leaf, view, err));
        p->report->chunks_fetched++;
    }
    return TM_OK;
}

static tm_status fetch_chunks(struct pull *p, const bool *missing, uint64_t total,
                              struct tm_err *err)
{
    struct tm_buf run;
    tm_status status = TM_OK;
    uint64_t done = 0;
    tm_buf_init(&run, (size_t)256 << 20);
    p->progress = tm_progress_new(&(struct tm_progress_options){
        .label = "pull", .total = total, .unit = TM_PROGRESS_BYTES, .quiet = p->options->quiet});
    for (uint32_t c = 0; c < p->meta.chunk_count && status == TM_OK;) {
        if (!missing[c]) {
            c++;
            continue;
        }
        uint32_t end = c + 1;
        uint64_t start = p->meta.chunks[c].offset;
        uint64_t stop = start + p->meta.chunks[c].bytes;
        while (end < p->meta.chunk_count && missing[end] &&
               p->meta.chunks[end].offset + p->meta.chunks[end].bytes - start <= RUN_BYTES_MAX) {
            stop = p->meta.chunks[end].offset + p->meta.chunks[end].bytes;
            end++;
        }
        tm_buf_clear(&run);
        status = tm_source_range(p->source, p->release.path, start, stop - start, &run, err);
        if (status == TM_OK) {
            status = store_run(p, c, end, &run, err);
        }
        done += stop - start;
        tm_progress_update(p->progress, done, NULL);
        c = end;
    }
    tm_progress_finish(&p->progress);
    tm_buf_deinit(&run);
    return status;
}

static tm_status fetch_missing(struct pull *p, struct tm_err *err)
{
    uint64_t bytes = 0;
    bool *missing = tm_calloc(p->meta.chunk_count, sizeof missing[0]);
    if (missing == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = find_missing(p, missing, &bytes);
    if (status == TM_OK) {
        status = fetch_chunks(p, missing, bytes, err);
    }
    tm_free(missing);
    return status;
}

static tm_status run_pull(struct pull *p, struct tm_err *err)
{
    const struct tm_pull_options *o = p->options;
    TM_TRY(tm_source_open(o->location, o->stop, &p->source, err));
    TM_TRY(read_index(p, err));
    p->report->release = p->release.counter;
    p->report->package_bytes = p->release.bytes;
    TM_TRY(compare_installed(p, err));
    TM_TRY(fetch_parts(p, err));
    p->report->chunks = p->meta.chunk_count;
    TM_TRY(fetch_missing(p, err));
    struct tm_install_request request = {
        .name = o->name,
        .counter = p->release.counter,
        .front = tm_buf_view(&p->front),
        .back = tm_buf_view(&p->back),
        .package_id = &p->release.package_id,
        .owner = NULL, /* the signed index names the package by id */
    };
    TM_TRY(tm_device_install(o->device, &request, err));
    return tm_device_raise_index_floor(o->device, &p->signer, p->index_version, err);
}

tm_status tm_pull(const struct tm_pull_options *options, struct tm_pull_report *report,
                  struct tm_err *err)
{
    struct pull p = {.options = options, .report = report};
    memset(report, 0, sizeof *report);
    tm_buf_init(&p.front, (size_t)TM_PACKAGE_TABLES_MAX + TM_PACKAGE_HEADER_BYTES);
    tm_buf_init(&p.back, (size_t)512 << 20);
    tm_status status = run_pull(&p, err);
    if (p.source != NULL) {
        report->fetched_bytes = tm_source_received(p.source);
    }
    tm_pkg_meta_deinit(&p.meta);
    tm_pkg_ledger_deinit(&p.ledger);
    tm_buf_deinit(&p.front);
    tm_buf_deinit(&p.back);
    tm_source_close(&p.source);
    return status;
}
