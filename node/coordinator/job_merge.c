/* SPDX-License-Identifier: Apache-2.0
 * From the journal's results and the finished chunks to a signed package: see job.h. */
#include "node/coordinator/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/leftover.h"
#include "base/mem.h"
#include "base/progress.h"
#include "node/coordinator/job_private.h"
#include "stages/pipeline_encode.h"

tm_status tm_job_results(struct tm_job *job, struct tm_journal_result **out, size_t *count,
                         struct tm_err *err)
{
    struct tm_buf chunk;
    size_t kept = 0, all = 0;
    struct tm_journal_result *results = NULL;
    TM_TRY(tm_journal_results(job->journal, &results, &all, err));
    tm_buf_init(&chunk, TM_BLOCK_BYTES_MAX);
    tm_status status = TM_OK;
    for (size_t i = 0; i < all && status == TM_OK; i++) {
        tm_buf_clear(&chunk);
        status = tm_store_get(job->chunks, &results[i].leaf, &chunk, err);
        if (status == TM_OK && chunk.bytes == results[i].bytes &&
            results[i].unit < job->split.unit_count) {
            results[kept++] = results[i];
        }
        /* A chunk that a power cut took, or that rotted, is simply made again. One that cannot be
         * read for now is there: it stays acknowledged. */
        status = status == TM_E_IO || status == TM_E_NOMEM ? status : TM_OK;
    }
    tm_buf_deinit(&chunk);
    if (status != TM_OK) {
        tm_free(results);
        return status;
    }
    *out = results;
    *count = kept;
    return TM_OK;
}

static char *base_name(const char *path)
{
    char *name = tm_strdup(tm_path_base(path));
    if (name != NULL) {
        char *dot = strrchr(name, '.');
        if (dot != NULL && dot != name &&
            (strcmp(dot, ".gguf") == 0 || strcmp(dot, ".safetensors") == 0)) {
            *dot = '\0';
        }
    }
    return name;
}

static tm_status fill_tensors(const struct tm_job *job, struct tm_pkg_meta *meta)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    meta->tensors = tm_calloc(inv->tensor_count, sizeof meta->tensors[0]);
    if (meta->tensors == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < inv->tensor_count; i++) {
        const struct tm_tensor *from = &inv->tensors[i];
        struct tm_pkg_tensor *to = &meta->tensors[i];
        to->name = tm_strndup(from->name, from->name_bytes);
        if (to->name == NULL) {
            return TM_E_NOMEM;
        }
        meta->tensor_count++;
        to->name_bytes = from->name_bytes;
        to->dtype = (uint32_t)from->dtype;
        to->pipeline = job->plan.tensors[i].pipeline;
        to->rank = from->shape.rank;
        memcpy(to->dim, from->shape.dim, sizeof from->shape.dim[0] * from->shape.rank);
        to->first_chunk = job->split.first[i];
        to->chunk_count = job->split.first[i + 1] - job->split.first[i];
        to->source_bytes = from->bytes;
        to->source = job->tensor_source[i];
    }
    return TM_OK;
}

static uint32_t keep_pipeline(const struct tm_job *job)
{
    for (uint32_t i = 0; i < job->plan.pipeline_count; i++) {
        if (strcmp(job->plan.pipelines[i], TM_CODEC_KEEP) == 0) {
            return i;
        }
    }
    return 0;
}

static tm_status fill_attachments(const struct tm_job *job, struct tm_pkg_meta *meta)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    meta->attachments = tm_calloc(inv->attachment_count, sizeof meta->attachments[0]);
    if (meta->attachments == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < inv->attachment_count; i++) {
        size_t owner = inv->tensor_count + i;
        struct tm_pkg_attachment *to = &meta->attachments[i];
        to->name = tm_strdup(inv->attachments[i].name);
        if (to->name == NULL) {
            return TM_E_NOMEM;
        }
        meta->attachment_count++;
        to->first_chunk = job->split.first[owner];
        to->chunk_count = job->split.first[owner + 1] - job->split.first[owner];
        to->pipeline =
            to->chunk_count > 0 ? job->split.units[to->first_chunk].pipeline : keep_pipeline(job);
        to->bytes = inv->attachments[i].bytes;
        to->source = job->tensor_source[owner];
    }
    return TM_OK;
}

static tm_status fill_chunks(const struct tm_job *job, const struct tm_journal_result *results,
                             struct tm_pkg_meta *meta)
{
    meta->chunks = tm_calloc(job->split.unit_count, sizeof meta->chunks[0]);
    if (meta->chunks == NULL) {
        return TM_E_NOMEM;
    }
    meta->chunk_count = job->split.unit_count;
    for (uint32_t u = 0; u < job->split.unit_count; u++) {
        struct tm_pkg_chunk *chunk = &meta->chunks[u];
        chunk->bytes = results[u].bytes;
        chunk->rows = job->split.units[u].rows;
        chunk->cols = job->split.units[u].cols;
        chunk->leaf = results[u].leaf;
        chunk->source = job->unit_source[u];
    }
    return TM_OK;
}

static tm_status fill_meta(const struct tm_job *job, const struct tm_journal_result *results,
                           struct tm_pkg_meta *meta)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    meta->model_name = base_name(job->model_path);
    meta->arch = tm_strdup(inv->arch != NULL ? inv->arch : "");
    meta->plan = tm_strdup(job->plan_text);
    meta->pipelines = tm_calloc(job->plan.pipeline_count, sizeof meta->pipelines[0]);
    if (meta->model_name == NULL || meta->arch == NULL || meta->plan == NULL ||
        meta->pipelines == NULL) {
        return TM_E_NOMEM;
    }
    meta->plan_digest = job->plan_digest;
    meta->encoders = tm_encoders_digest();
    for (uint32_t i = 0; i < job->plan.pipeline_count; i++) {
        meta->pipelines[i] = tm_strdup(job->plan.pipelines[i]);
        if (meta->pipelines[i] == NULL) {
            return TM_E_NOMEM;
        }
        meta->pipeline_count++;
    }
    TM_TRY(fill_tensors(job, meta));
    TM_TRY(fill_attachments(job, meta));
    return fill_chunks(job, results, meta);
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, TM_PUBLIC_KEY_BYTES);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, TM_NODE_ID_BYTES);
}

static tm_status fill_nodes(const struct tm_journal_result *results, uint32_t count,
                            struct tm_pkg_ledger *ledger)
{
    ledger->nodes = tm_calloc(count, sizeof ledger->nodes[0]);
    if (ledger->nodes == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        ledger->nodes[i] = results[i].node;
    }
    if (count > 0) {
        qsort(ledger->nodes, count, sizeof ledger->nodes[0], by_key);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 ||
            !tm_public_key_eq(&ledger->nodes[i], &ledger->nodes[ledger->node_count - 1])) {
            ledger->nodes[ledger->node_count++] = ledger->nodes[i];
        }
    }
    return TM_OK;
}

static tm_status fill_ledger(struct tm_job *job, const struct tm_journal_result *results,
                             struct tm_pkg_ledger *ledger, struct tm_err *err)
{
    uint32_t count = job->split.unit_count;
    struct tm_journal_ban *bans = NULL;
    size_t ban_count = 0;
    TM_TRY(fill_nodes(results, count, ledger));
    ledger->entries = tm_calloc(count, sizeof ledger->entries[0]);
    if (ledger->entries == NULL) {
        return TM_E_NOMEM;
    }
    ledger->entry_count = count;
    for (uint32_t u = 0; u < count; u++) {
        struct tm_pkg_ledger_entry *entry = &ledger->entries[u];
        const struct tm_public_key *node =
            bsearch(&results[u].node, ledger->nodes, ledger->node_count, sizeof *node, by_key);
        entry->chunk = u;
        entry->checks = results[u].checks;
        entry->squared_error_bits = results[u].squared_error_bits;
        entry->squared_norm_bits = results[u].squared_norm_bits;
        entry->node = (uint32_t)(node - ledger->nodes);
        entry->sig = results[u].sig;
    }
    TM_TRY(tm_journal_bans(job->journal, &bans, &ban_count, err));
    ledger->banned = tm_calloc(ban_count, sizeof ledger->banned[0]);
    if (ledger->banned != NULL) {
        for (size_t i = 0; i < ban_count; i++) {
            ledger->banned[i] = bans[i].node;
        }
        ledger->banned_count = (uint32_t)ban_count;
        if (ban_count > 0) {
            qsort(ledger->banned, ban_count, sizeof ledger->banned[0], by_id);
        }
    }
    tm_free(bans);
    return ledger->banned != NULL ? TM_OK : TM_E_NOMEM;
}

static tm_status write_package(struct tm_job *job, const char *path, struct tm_pkg_meta *meta,
                               const struct tm_pkg_ledger *ledger, const struct tm_identity *owner,
                               bool quiet, struct tm_err *err)
{
    struct tm_package_writer *writer = NULL;
    struct tm_progress *progress =
        tm_progress_new(&(struct tm_progress_options){.label = "write",
                                                      .total = meta->chunk_count,
                                                      .unit = TM_PROGRESS_ITEMS,
                                                      .item_name = "chunks",
                                                      .quiet = quiet});
    struct tm_buf chunk;
    tm_status status;
    tm_buf_init(&chunk, TM_BLOCK_BYTES_MAX);
    TM_TRY_GOTO(tm_package_writer_begin(path, meta, &writer, err), done);
    for (uint32_t u = 0; u < meta->chunk_count; u++) {
        tm_buf_clear(&chunk);
        TM_TRY_GOTO(tm_store_get(job->chunks, &meta->chunks[u].leaf, &chunk, err), done);
        TM_TRY_GOTO(tm_package_writer_chunk(writer, tm_buf_view(&chunk), err), done);
        tm_progress_update(progress, u + 1, NULL);
    }
    status = tm_package_writer_finish(&writer, ledger, owner, err);
done:
    tm_package_writer_abort(&writer);
    tm_progress_finish(&progress);
    tm_buf_deinit(&chunk);
    return status;
}

tm_status tm_job_finish(struct tm_job *job, enum tm_job_state state, struct tm_err *err)
{
    static const char *const files[] = {TM_JOB_CANDIDATE, TM_JOB_GATE};
    char path[TM_PATH_MAX];
    TM_TRY(tm_journal_set_state(job->journal, state, err));
    tm_store_close(&job->chunks);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        TM_TRY(tm_path_join(path, job->dir, files[i]));
        TM_TRY(tm_file_remove_in(NULL, path, err));
    }
    TM_TRY(tm_path_join(path, job->dir, "objects"));
    return tm_dir_remove_tree(path, err); /* TM_OK when it is absent */
}

tm_status tm_job_merge_to(struct tm_job *job, const char *path, const struct tm_identity *owner,
                          bool quiet, struct tm_err *err)
{
    struct tm_journal_result *results = NULL;
    struct tm_pkg_meta meta = {0};
    struct tm_pkg_ledger ledger = {0};
    size_t count = 0;
    tm_status status;
    TM_TRY_GOTO(tm_job_results(job, &results, &count, err), done);
    if (count != job->split.unit_count) {
        status = tm_err_set(err, TM_E_STOPPED, job->id, "the job is not finished",
                            "tmill resume goes on with it", "%zu of %u units are there", count,
                            job->split.unit_count);
        goto done;
    }
    TM_TRY_GOTO(fill_meta(job, results, &meta), done);
    TM_TRY_GOTO(fill_ledger(job, results, &ledger, err), done);
    tm_leftover_remove(path); /* of a merge that was killed */
    status = write_package(job, path, &meta, &ledger, owner, quiet, err);
done:
    tm_pkg_meta_deinit(&meta);
    tm_pkg_ledger_deinit(&ledger);
    tm_free(results);
    return status;
}

tm_status tm_job_merge(struct tm_job *job, const struct tm_identity *owner, bool quiet,
                       struct tm_err *err)
{
    TM_TRY(tm_job_merge_to(job, job->out_path, owner, quiet, err));
    return tm_job_finish(job, TM_JOB_DONE, err);
}
