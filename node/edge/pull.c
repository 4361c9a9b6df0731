/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/pull.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/progress.h"
#include "package/digest_map.h"
#include "package/release.h"

#define INDEX_BYTES_MAX (16u << 20)
#define RUN_BYTES_MAX (64u << 20) /* chunks that lie side by side are asked for together */

struct pull {
    const struct tm_pull_options *options;
    struct tm_pull_report *report;
    struct tm_source *source;
    struct tm_release release;
    struct tm_public_key owner; /* of the package; one of the trusted keys */
    struct tm_buf front, back;
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    struct tm_progress *progress;
    uint64_t arrived; /* bytes of the chunks that came */
};

static tm_status read_index(struct pull *p, struct tm_err *err)
{
    const struct tm_pull_options *o = p->options;
    struct tm_buf text;
    struct tm_index index;
    struct tm_public_key signer;
    uint64_t floor = 0;
    tm_status status;
    tm_buf_init(&text, INDEX_BYTES_MAX);
    tm_index_init(&index);
    TM_TRY_GOTO(tm_source_file(p->source, "index.json", INDEX_BYTES_MAX, &text, err), done);
    TM_TRY_GOTO(tm_index_read(tm_buf_view(&text), "index.json", o->trusted, o->trusted_count,
                              &index, &signer, err),
                done);
    TM_TRY_GOTO(tm_device_index_floor(o->device, &signer, &floor, err), done);
    if (index.version < floor) {
        status =
            tm_err_set(err, TM_E_VERIFY, o->location, "the index is older than one seen before",
                       "somebody may be serving an old copy; ask the publisher",
                       "index version %llu, this device has seen %llu",
                       (unsigned long long)index.version, (unsigned long long)floor);
        goto done;
    }
    TM_TRY_GOTO(tm_device_raise_index_floor(o->device, &signer, index.version, err), done);
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
    struct tm_err why;
    memset(&have, 0, sizeof have);
    tm_status status = tm_device_find(p->options->device, p->options->name, &have, &why);
    if (status == TM_E_NOT_FOUND) {
        return TM_OK;
    }
    if (status != TM_OK) {
        *err = why;
        return status;
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

/* The index vouches for the content by its id; the ledger is outside the id, so its signer must be
 * one of ours too. */
static tm_status find_owner(struct pull *p, struct tm_err *err)
{
    const struct tm_pull_options *o = p->options;
    char id[TM_NODE_ID_TEXT];
    if (!tm_pkg_back_owner(tm_buf_view(&p->back), &p->owner)) {
        return tm_err_set(err, TM_E_MALFORMED, p->release.path, "cannot use the package", NULL,
                          "it has no tail");
    }
    for (size_t i = 0; i < o->trusted_count; i++) {
        if (tm_public_key_eq(&o->trusted[i], &p->owner)) {
            return TM_OK;
        }
    }
    struct tm_node_id node = tm_node_id_of(&p->owner);
    return tm_err_set(err, TM_E_VERIFY, p->release.path, "the package's owner is not trusted",
                      "if you trust it, run `tmill-edge trust add KEY` with that key",
                      "signed by the unknown key %s", tm_node_id_hex(&node, id));
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
    TM_TRY(find_owner(p, err));
    return tm_pkg_parse_parts(tm_buf_view(&p->front), tm_buf_view(&p->back), path,
                              &p->release.package_id, &p->owner, &p->meta, &p->ledger, err);
}

/* Whether chunk c must come: it is not on the device, and not a repetition of one that will. */
static tm_status is_missing(struct pull *p, uint32_t c, struct tm_digest_map *coming,
                            struct tm_buf *chunk, bool *missing)
{
    const struct tm_digest *leaf = &p->meta.chunks[c].leaf;
    uint64_t first;
    *missing = false;
    if (tm_digest_map_get(coming, leaf, &first)) {
        return TM_OK;
    }
    tm_buf_clear(chunk);
    tm_status status = tm_device_find_chunk(p->options->device, leaf, chunk, NULL);
    if (status == TM_OK || status == TM_E_NOMEM) {
        return status;
    }
    *missing = true;
    return tm_digest_map_put(coming, leaf, c);
}

static tm_status find_missing(struct pull *p, bool *missing, uint64_t *bytes)
{
    struct tm_digest_map coming;
    struct tm_buf chunk;
    tm_status status = TM_OK;
    tm_digest_map_init(&coming);
    tm_buf_init(&chunk, TM_PACKAGE_CHUNK_MAX);
    *bytes = 0;
    for (uint32_t c = 0; c < p->meta.chunk_count && status == TM_OK; c++) {
        status = is_missing(p, c, &coming, &chunk, &missing[c]);
        *bytes += missing[c] ? p->meta.chunks[c].bytes : 0;
    }
    tm_buf_deinit(&chunk);
    tm_digest_map_deinit(&coming);
    return status;
}

/* The chunks are kept until the package is put together from them. */
static tm_status check_space(const struct pull *p, uint64_t missing_bytes, struct tm_err *err)
{
    char path[TM_PATH_MAX], need[TM_NUM_TEXT], have[TM_NUM_TEXT];
    uint64_t free_bytes = 0, needed = missing_bytes + p->release.bytes;
    TM_TRY(tm_device_path(p->options->device, p->options->name, p->release.counter, path));
    TM_TRY(tm_path_free_bytes(path, &free_bytes, err));
    if (needed > free_bytes) {
        return tm_err_set(err, TM_E_REFUSED, p->options->name, "no room on the device",
                          "free some space, or remove a model with tmill-edge rm",
                          "%s are needed, %s are free", tm_format_bytes(needed, need),
                          tm_format_bytes(free_bytes, have));
    }
    return TM_OK;
}

/* Chunks as they come over one range of the package. */
struct arrival {
    struct pull *p;
    const bool *missing;
    uint32_t chunk, end;
    uint64_t at;         /* place in the file of the next byte */
    struct tm_buf bytes; /* of the chunk so far */
};

static tm_status store_chunk(struct arrival *a, struct tm_err *err)
{
    struct pull *p = a->p;
    const struct tm_pkg_chunk *chunk = &p->meta.chunks[a->chunk];
    struct tm_digest leaf = tm_merkle_leaf(tm_buf_view(&a->bytes));
    if (!tm_digest_eq(&leaf, &chunk->leaf)) {
        return tm_err_set(err, TM_E_VERIFY, p->release.path, "a chunk does not verify",
                          "try again later, or from another place",
                          "chunk %u at byte %llu is not the one that was signed", a->chunk,
                          (unsigned long long)chunk->offset);
    }
    TM_TRY(tm_store_put(tm_device_chunks(p->options->device), &chunk->leaf, tm_buf_view(&a->bytes),
                        err));
    tm_buf_clear(&a->bytes);
    p->report->chunks_fetched++;
    p->arrived += chunk->bytes;
    tm_progress_update(p->progress, p->arrived, NULL);
    return TM_OK;
}

static tm_status arrive(void *context, const uint8_t *data, size_t bytes, struct tm_err *err)
{
    struct arrival *a = context;
    while (bytes > 0 && a->chunk < a->end) {
        const struct tm_pkg_chunk *c = &a->p->meta.chunks[a->chunk];
        bool padding = a->at < c->offset;
        uint64_t until = padding ? c->offset : c->offset + c->bytes;
        size_t n = until - a->at < bytes ? (size_t)(until - a->at) : bytes;
        if (!padding && a->missing[a->chunk]) {
            TM_TRY(tm_buf_put(&a->bytes, data, n));
        }
        data += n;
        bytes -= n;
        a->at += n;
        if (!padding && a->at == until) {
            if (a->missing[a->chunk]) {
                TM_TRY(store_chunk(a, err));
            }
            a->chunk++;
        }
    }
    return TM_OK;
}

/* Where a range that starts with the missing chunk `first` ends: what is missing side by side, up
 * to a size; all the rest when the server sends whole files anyway. */
static uint32_t run_end(const struct pull *p, const bool *missing, uint32_t first)
{
    const struct tm_pkg_chunk *chunks = p->meta.chunks;
    uint32_t end = first + 1;
    bool all = tm_source_ignores_range(p->source);
    for (uint32_t c = end; c < p->meta.chunk_count; c++) {
        uint64_t bytes = chunks[c].offset + chunks[c].bytes - chunks[first].offset;
        if (!all && (!missing[c] || bytes > RUN_BYTES_MAX)) {
            break;
        }
        end = missing[c] ? c + 1 : end;
    }
    return end;
}

static tm_status fetch_chunks(struct pull *p, const bool *missing, uint64_t total,
                              struct tm_err *err)
{
    const struct tm_pkg_chunk *chunks = p->meta.chunks;
    struct arrival a = {.p = p, .missing = missing};
    tm_status status = TM_OK;
    tm_buf_init(&a.bytes, TM_PACKAGE_CHUNK_MAX);
    p->progress = tm_progress_new(&(struct tm_progress_options){
        .label = "pull", .total = total, .unit = TM_PROGRESS_BYTES, .quiet = p->options->quiet});
    for (uint32_t c = 0; c < p->meta.chunk_count && status == TM_OK; c++) {
        if (missing[c]) {
            uint32_t end = run_end(p, missing, c);
            uint64_t start = chunks[c].offset;
            uint64_t stop = chunks[end - 1].offset + chunks[end - 1].bytes;
            a.chunk = c;
            a.end = end;
            a.at = start;
            status =
                tm_source_stream(p->source, p->release.path, start, stop - start, arrive, &a, err);
            c = end - 1;
        }
    }
    tm_progress_finish(&p->progress);
    tm_buf_deinit(&a.bytes);
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
        status = check_space(p, bytes, err);
    }
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
        .owner = &p->owner,
    };
    return tm_device_install(o->device, &request, err);
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
