/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/progress.h"
#include "base/rng.h"
#include "node/common/decode.h"
#include "node/coordinator/check.h"
#include "stages/batch_encode.h"

struct verify {
    const struct tm_verify_options *options;
    struct tm_verify_report *report;
    struct tm_package *package;
    const struct tm_pkg_meta *meta;
    struct tm_checkpoint *checkpoint;
    struct tm_decoder *decoder;
    struct tm_progress *progress;
};

static tm_status fails(const struct verify *v, const char *where, const char *what, const char *why,
                       struct tm_err *err)
{
    char full[512];
    snprintf(full, sizeof full, "%s: %s", v->options->package_path, where);
    return tm_err_set(err, TM_E_VERIFY, full, what,
                      "do not use the package; ask its owner for a new one", "%s", why);
}

static const char *tensor_text(const struct tm_pkg_tensor *t, char out[400])
{
    char name[300];
    snprintf(out, 400, "tensor '%s'", tm_escape(t->name, t->name_bytes, name, sizeof name));
    return out;
}

static tm_status check_package(struct verify *v, struct tm_err *err)
{
    const struct tm_pkg_ledger *ledger = tm_package_ledger(v->package);
    struct tm_verify_report *r = v->report;
    r->package_id = *tm_package_id(v->package);
    r->owner = *tm_package_owner(v->package);
    if (v->options->owner != NULL && !tm_public_key_eq(v->options->owner, &r->owner)) {
        char key[TM_PUBLIC_KEY_TEXT];
        return fails(v, "owner", "signed by another key", tm_public_key_text(&r->owner, key), err);
    }
    TM_TRY(tm_package_check(v->package, err));
    TM_TRY(tm_package_check_ledger(v->package, &r->signatures, err));
    r->chunks = v->meta->chunk_count;
    r->nodes = ledger->node_count;
    r->banned = ledger->banned_count;
    for (uint32_t i = 0; i < ledger->entry_count; i++) {
        r->decoded += (ledger->entries[i].checks & TM_CHECK_DECODED) != 0;
        r->audited += (ledger->entries[i].checks & TM_CHECK_AUDITED) != 0;
        r->owner_made += (ledger->entries[i].checks & TM_CHECK_OWNER) != 0;
    }
    return TM_OK;
}

/* Every tensor of the model is in the package with the same name, type and shape, and the reverse.
 */
static tm_status match_tensors(struct verify *v, struct tm_err *err)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(v->checkpoint);
    char text[400];
    if (inv->tensor_count != v->meta->tensor_count) {
        snprintf(text, sizeof text, "the model has %zu tensors, the package %u", inv->tensor_count,
                 v->meta->tensor_count);
        return fails(v, v->options->model_path, "not the source of this package", text, err);
    }
    for (size_t i = 0; i < inv->tensor_count; i++) {
        const struct tm_tensor *a = &inv->tensors[i];
        uint32_t j = tm_package_find(v->package, a->name, a->name_bytes);
        if (j == UINT32_MAX) {
            struct tm_pkg_tensor missing = {.name = a->name, .name_bytes = a->name_bytes};
            return fails(v, tensor_text(&missing, text), "not the source of this package",
                         "the package does not have it", err);
        }
        struct tm_shape shape = tm_decoder_shape(v->decoder, j);
        if ((uint32_t)a->dtype != v->meta->tensors[j].dtype || !tm_shape_eq(&a->shape, &shape)) {
            return fails(v, tensor_text(&v->meta->tensors[j], text),
                         "not the source of this package", "its type or shape differs", err);
        }
    }
    return TM_OK;
}

static uint64_t chunk_source_bytes(const struct verify *v, uint32_t tensor, uint32_t c)
{
    const struct tm_pkg_chunk *chunk = &v->meta->chunks[c];
    enum tm_dtype dtype = (enum tm_dtype)v->meta->tensors[tensor].dtype;
    if (tm_decoder_is_lossless(v->decoder, tensor)) {
        return chunk->cols;
    }
    return (uint64_t)chunk->rows * chunk->cols / tm_dtype_block_elements(dtype) *
           tm_dtype_block_bytes(dtype);
}

/* One unit to be checked, and how it came out. */
struct unit_check {
    uint32_t tensor, chunk;
    size_t inventory_index;
    uint64_t offset, bytes; /* of its source within the tensor */
    bool lossless;
    tm_status status;
    struct tm_err err;
};

/* A piece of a batch: the checks share the verification, which they only read. */
struct batch {
    const struct verify *v;
    struct unit_check *checks;
};

/* Makes the chunk again from its source and compares; *why is NULL when it is the same. */
static tm_status make_again(const struct verify *v, struct unit_check *u, struct tm_view source,
                            struct tm_buf *stored, struct tm_buf *again, const char **why)
{
    const struct tm_pkg_tensor *t = &v->meta->tensors[u->tensor];
    const struct tm_pkg_chunk *chunk = &v->meta->chunks[u->chunk];
    const struct tm_pipeline *pipeline = tm_decoder_pipeline(v->decoder, t->pipeline);
    *why = NULL;
    TM_TRY(tm_package_chunk(v->package, u->chunk, stored, &u->err));
    if (u->lossless) {
        uint8_t *at = NULL;
        TM_TRY(tm_buf_extend(again, chunk->cols, &at));
        TM_TRY(tm_pipeline_decode_bytes(pipeline, chunk->cols, tm_buf_view(stored), at, &u->err));
        if (!tm_view_eq(tm_buf_view(again), source)) {
            *why = "it does not decode to the source bytes";
        }
        return TM_OK;
    }
    struct tm_encode_request request = {
        .pipeline = pipeline,
        .dtype = (enum tm_dtype)t->dtype,
        .shape = {chunk->rows, chunk->cols},
        .source = source,
    };
    TM_TRY(tm_encode_unit(&request, again, &u->err));
    if (!tm_view_eq(tm_buf_view(again), tm_buf_view(stored))) {
        *why = "encoding the source again gives other bytes";
    }
    return TM_OK;
}

static tm_status check_unit(const struct verify *v, struct unit_check *u, struct tm_buf *source,
                            struct tm_buf *stored, struct tm_buf *again)
{
    uint8_t *at = NULL;
    char name[400], where[500];
    const char *why = NULL;
    TM_TRY(tm_buf_extend(source, u->bytes, &at));
    TM_TRY(tm_checkpoint_read(v->checkpoint, u->inventory_index, u->offset, at, u->bytes, &u->err));
    struct tm_digest digest = tm_digest_of(tm_buf_view(source));
    snprintf(where, sizeof where, "%s unit %u", tensor_text(&v->meta->tensors[u->tensor], name),
             u->chunk);
    if (!tm_digest_eq(&digest, &v->meta->chunks[u->chunk].source)) {
        return fails(v, where, "not made from this model",
                     "the SHA-256 of its source bytes differs", &u->err);
    }
    TM_TRY(make_again(v, u, tm_buf_view(source), stored, again, &why));
    return why == NULL ? TM_OK : fails(v, where, "does not follow from the source", why, &u->err);
}

static void check_piece(void *context, size_t index)
{
    struct batch *batch = context;
    struct tm_buf source, stored, again;
    tm_buf_init(&source, (size_t)256 << 20);
    tm_buf_init(&stored, (size_t)256 << 20);
    tm_buf_init(&again, (size_t)256 << 20);
    struct unit_check *u = &batch->checks[index];
    u->status = check_unit(batch->v, u, &source, &stored, &again);
    tm_buf_deinit(&source);
    tm_buf_deinit(&stored);
    tm_buf_deinit(&again);
}

/* All checks, a batch at a time; the first in order that failed is the one that is told. */
static tm_status run_checks(struct verify *v, struct unit_check *checks, size_t count,
                            struct tm_err *err)
{
    size_t batch_count = 4 * tm_batch_threads();
    for (size_t at = 0; at < count; at += batch_count) {
        size_t n = count - at < batch_count ? count - at : batch_count;
        struct batch batch = {v, checks + at};
        if (v->options->stop != NULL && *v->options->stop != 0) {
            return tm_err_set(err, TM_E_STOPPED, v->options->package_path, "stopped",
                              "run the command again", "asked to stop");
        }
        tm_batch_run(n, check_piece, &batch);
        for (size_t i = at; i < at + n; i++) {
            if (checks[i].status != TM_OK) {
                if (err != NULL) {
                    *err = checks[i].err;
                }
                return checks[i].status;
            }
            v->report->units_checked++;
            v->report->units_lossless += checks[i].lossless;
            v->report->units_reencoded += !checks[i].lossless;
        }
        tm_progress_update(v->progress, at + n, NULL);
    }
    return TM_OK;
}

/* Selection of `sample` of `units` units without replacement: Floyd's algorithm would need a set;
 * sequential selection (Knuth, TAOCP 2, 3.4.2 S) needs one pass and gives them in order. */
struct selection {
    struct tm_rng rng;
    uint64_t left, wanted;
};

static bool selected(struct selection *s)
{
    bool yes = tm_rng_below(&s->rng, s->left) < s->wanted;
    s->left--;
    s->wanted -= yes;
    return yes;
}

/* The units of the sample, in order, into checks[wanted]. Every tensor's units must cover it. */
static tm_status choose_units(struct verify *v, struct selection *s, struct unit_check *checks,
                              struct tm_err *err)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(v->checkpoint);
    char name[400];
    for (uint32_t i = 0; i < v->meta->tensor_count; i++) {
        const struct tm_pkg_tensor *t = &v->meta->tensors[i];
        size_t k = tm_inventory_find(inv, t->name, t->name_bytes);
        uint64_t offset = 0;
        for (uint32_t c = t->first_chunk; c < t->first_chunk + t->chunk_count; c++) {
            uint64_t bytes = chunk_source_bytes(v, i, c);
            if (selected(s)) {
                *checks++ = (struct unit_check){.tensor = i,
                                                .chunk = c,
                                                .inventory_index = k,
                                                .offset = offset,
                                                .bytes = bytes,
                                                .lossless = tm_decoder_is_lossless(v->decoder, i)};
            }
            offset += bytes;
        }
        if (offset != t->source_bytes) {
            return fails(v, tensor_text(t, name), "units do not fit the tensor",
                         "they cover other bytes than it has", err);
        }
    }
    return TM_OK;
}

static tm_status check_units(struct verify *v, struct tm_err *err)
{
    struct tm_verify_report *r = v->report;
    struct selection s;
    for (uint32_t i = 0; i < v->meta->tensor_count; i++) {
        r->units += v->meta->tensors[i].chunk_count;
    }
    tm_rng_init(&s.rng, r->seed);
    s.left = r->units;
    s.wanted = v->options->full || v->options->sample > r->units ? r->units : v->options->sample;
    size_t count = s.wanted;
    struct unit_check *checks = tm_calloc(count, sizeof checks[0]);
    if (checks == NULL) {
        return TM_E_NOMEM;
    }
    v->progress = tm_progress_new(&(struct tm_progress_options){.label = "verify",
                                                                .total = count,
                                                                .unit = TM_PROGRESS_ITEMS,
                                                                .item_name = "units",
                                                                .quiet = v->options->quiet});
    tm_status status = choose_units(v, &s, checks, err);
    if (status == TM_OK) {
        status = run_checks(v, checks, count, err);
    }
    tm_free(checks);
    return status;
}

/* Whole-tensor digests: only with --full. */
static tm_status check_whole(struct verify *v, struct tm_err *err)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(v->checkpoint);
    for (uint32_t i = 0; i < v->meta->tensor_count; i++) {
        const struct tm_pkg_tensor *t = &v->meta->tensors[i];
        struct tm_digest digest;
        char name[400];
        TM_TRY(tm_checkpoint_hash(v->checkpoint, tm_inventory_find(inv, t->name, t->name_bytes),
                                  &digest, err));
        if (!tm_digest_eq(&digest, &t->source)) {
            return fails(v, tensor_text(t, name), "not made from this model",
                         "the SHA-256 of the tensor differs", err);
        }
        v->report->tensors_hashed++;
    }
    return TM_OK;
}

/* One file that travels along: it decodes to what the package says, and that is the source's file
 * of this name. One that the source has not (figures; a source in another form) is left unproven.
 */
static tm_status check_file(struct verify *v, uint32_t index, struct tm_buf *bytes,
                            struct tm_err *err)
{
    const struct tm_inventory *inv = tm_checkpoint_inventory(v->checkpoint);
    const struct tm_pkg_attachment *a = &v->meta->attachments[index];
    size_t k = tm_inventory_attachment(inv, a->name);
    TM_TRY(tm_decoder_attachment(v->decoder, index, bytes, err));
    if (k == inv->attachment_count) {
        return TM_OK;
    }
    tm_buf_clear(bytes);
    TM_TRY(tm_checkpoint_attachment(v->checkpoint, k, bytes, err));
    struct tm_digest digest = tm_digest_of(tm_buf_view(bytes));
    if (!tm_digest_eq(&digest, &a->source)) {
        return fails(v, a->name, "not made from this model", "the source's file has other bytes",
                     err);
    }
    v->report->files_same++;
    return TM_OK;
}

static tm_status check_files(struct verify *v, struct tm_err *err)
{
    v->report->files = v->meta->attachment_count;
    for (uint32_t i = 0; i < v->meta->attachment_count; i++) {
        struct tm_buf bytes;
        tm_buf_init(&bytes, (size_t)256 << 20);
        tm_status status = check_file(v, i, &bytes, err);
        tm_buf_deinit(&bytes);
        TM_TRY(status);
    }
    return TM_OK;
}

static tm_status check_against(struct verify *v, struct tm_err *err)
{
    TM_TRY(tm_checkpoint_open_under(v->options->model_path, v->options->tensors_under,
                                    &v->checkpoint, err));
    if (v->options->seed != NULL) {
        v->report->seed = *v->options->seed;
    } else {
        tm_random_bytes(&v->report->seed, sizeof v->report->seed);
    }
    TM_TRY(match_tensors(v, err));
    TM_TRY(check_units(v, err));
    TM_TRY(check_files(v, err));
    return v->options->full ? check_whole(v, err) : TM_OK;
}

tm_status tm_verify(const struct tm_verify_options *options, struct tm_verify_report *report,
                    struct tm_err *err)
{
    struct verify v = {.options = options, .report = report};
    tm_status status;
    memset(report, 0, sizeof *report);
    TM_TRY_GOTO(tm_package_open(options->package_path, &v.package, err), done);
    v.meta = tm_package_meta(v.package);
    report->tensors = v.meta->tensor_count;
    TM_TRY_GOTO(check_package(&v, err), done);
    TM_TRY_GOTO(tm_decoder_new(v.package, &v.decoder, err), done);
    if (options->model_path != NULL) {
        status = check_against(&v, err);
    }
done:
    tm_progress_finish(&v.progress);
    tm_decoder_destroy(&v.decoder);
    tm_checkpoint_close(&v.checkpoint);
    tm_package_close(&v.package);
    return status;
}
