/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/package_add.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "scheduler/plan.h"
#include "stages/pipeline_encode.h"

#define BYTES_MAX ((size_t)16 << 20)

/* Tables and ledger of the new package: arrays of its own, with what the old one's point to. */
struct adding {
    struct tm_package *package;
    const struct tm_identity *owner;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    struct tm_pipeline pipeline;
    char pipeline_text[TM_PIPELINE_TEXT];
    char *name;
    struct tm_buf chunk; /* the new one */
};

/* old[count] and `more` further elements, zeroed. */
static void *grown(const void *old, size_t count, size_t more, size_t bytes)
{
    uint8_t *out = tm_calloc(count + more, bytes);
    if (out != NULL && count > 0) {
        memcpy(out, old, count * bytes);
    }
    return out;
}

static tm_status copy_tables(struct adding *a, const char *name)
{
    const struct tm_pkg_meta *old = tm_package_meta(a->package);
    const struct tm_pkg_ledger *ledger = tm_package_ledger(a->package);
    a->meta = *old;
    a->ledger = *ledger;
    a->meta.attachments =
        grown(old->attachments, old->attachment_count, 1, sizeof *old->attachments);
    a->meta.chunks = grown(old->chunks, old->chunk_count, 1, sizeof *old->chunks);
    a->meta.pipelines = grown(old->pipelines, old->pipeline_count, 1, sizeof *old->pipelines);
    a->ledger.entries = grown(ledger->entries, ledger->entry_count, 1, sizeof *ledger->entries);
    a->ledger.nodes = grown(ledger->nodes, ledger->node_count, 1, sizeof *ledger->nodes);
    a->name = tm_strdup(name);
    return a->meta.attachments != NULL && a->meta.chunks != NULL && a->meta.pipelines != NULL &&
                   a->ledger.entries != NULL && a->ledger.nodes != NULL && a->name != NULL
               ? TM_OK
               : TM_E_NOMEM;
}

/* Takes a last attachment of the same name away. */
static tm_status drop_old(struct adding *a, struct tm_err *err)
{
    uint32_t count = a->meta.attachment_count;
    if (count > 0 && strcmp(a->meta.attachments[count - 1].name, a->name) == 0) {
        a->meta.attachment_count--;
        a->meta.chunk_count = a->meta.attachments[count - 1].first_chunk;
        a->ledger.entry_count = a->meta.chunk_count;
    }
    if (tm_pkg_attachment_find(&a->meta, a->name) != UINT32_MAX) {
        return tm_err_set(err, TM_E_USAGE, a->name, "cannot add to the package", NULL,
                          "another file of the package has this name");
    }
    return TM_OK;
}

/* Index of the pipeline that keeps bytes; appended when the package has none. */
static uint32_t pipeline_index(struct adding *a)
{
    uint32_t i = 0;
    while (i < a->meta.pipeline_count && strcmp(a->meta.pipelines[i], a->pipeline_text) != 0) {
        i++;
    }
    if (i == a->meta.pipeline_count) {
        a->meta.pipelines[a->meta.pipeline_count++] = a->pipeline_text;
    }
    return i;
}

/* Index of the owner among the nodes, who are sorted; entries follow those that move. */
static uint32_t owner_index(struct adding *a)
{
    const struct tm_public_key *key = tm_identity_public(a->owner);
    struct tm_pkg_ledger *l = &a->ledger;
    uint32_t i = 0;
    while (i < l->node_count && memcmp(l->nodes[i].b, key->b, TM_PUBLIC_KEY_BYTES) < 0) {
        i++;
    }
    if (i < l->node_count && tm_public_key_eq(&l->nodes[i], key)) {
        return i;
    }
    memmove(l->nodes + i + 1, l->nodes + i, (l->node_count - i) * sizeof *l->nodes);
    l->nodes[i] = *key;
    l->node_count++;
    for (uint32_t e = 0; e < l->entry_count; e++) {
        l->entries[e].node += l->entries[e].node >= i;
    }
    return i;
}

static tm_status add(struct adding *a, struct tm_view bytes, struct tm_err *err)
{
    uint8_t statement[TM_PKG_STATEMENT_MAX];
    uint32_t index = a->meta.chunk_count;
    struct tm_pkg_chunk *chunk = &a->meta.chunks[index];
    struct tm_pkg_attachment *to = &a->meta.attachments[a->meta.attachment_count];
    TM_TRY(tm_pipeline_parse(tm_view_str(TM_CODEC_KEEP), &a->pipeline, err));
    tm_pipeline_text(&a->pipeline, a->pipeline_text);
    TM_TRY(tm_pipeline_encode_bytes(&a->pipeline, bytes, &a->chunk, err));
    *chunk = (struct tm_pkg_chunk){.bytes = (uint32_t)a->chunk.bytes,
                                   .rows = 1,
                                   .cols = (uint32_t)bytes.bytes,
                                   .leaf = tm_merkle_leaf(tm_buf_view(&a->chunk)),
                                   .source = tm_digest_of(bytes)};
    *to = (struct tm_pkg_attachment){.name = a->name,
                                     .pipeline = pipeline_index(a),
                                     .first_chunk = index,
                                     .chunk_count = 1,
                                     .bytes = bytes.bytes,
                                     .source = chunk->source};
    a->ledger.entries[index] = (struct tm_pkg_ledger_entry){
        .chunk = index,
        .checks = TM_CHECK_OWNER,
        .node = owner_index(a),
        .sig = tm_sign(a->owner, TM_SIGN_RESULT,
                       tm_pkg_statement(&a->meta.plan_digest, index, &chunk->source, &chunk->leaf,
                                        a->pipeline_text, statement))};
    a->meta.attachment_count++;
    a->meta.chunk_count++;
    a->ledger.entry_count++;
    return TM_OK;
}

static tm_status write_all(struct adding *a, const char *to, struct tm_err *err)
{
    struct tm_package_writer *writer = NULL;
    struct tm_buf chunk;
    tm_status status;
    tm_buf_init(&chunk, TM_PACKAGE_CHUNK_MAX);
    TM_TRY_GOTO(tm_package_writer_begin(to, &a->meta, &writer, err), done);
    for (uint32_t i = 0; i + 1 < a->meta.chunk_count; i++) {
        TM_TRY_GOTO(tm_package_chunk(a->package, i, &chunk, err), done);
        TM_TRY_GOTO(tm_package_writer_chunk(writer, tm_buf_view(&chunk), err), done);
    }
    TM_TRY_GOTO(tm_package_writer_chunk(writer, tm_buf_view(&a->chunk), err), done);
    status = tm_package_writer_finish(&writer, &a->ledger, a->owner, err);
done:
    tm_package_writer_abort(&writer);
    tm_buf_deinit(&chunk);
    return status;
}

tm_status tm_package_add(const char *from, const char *to, const char *name, struct tm_view bytes,
                         const struct tm_identity *owner, struct tm_err *err)
{
    struct adding a = {.owner = owner};
    tm_status status;
    TM_ASSERT(bytes.bytes > 0 && bytes.bytes <= BYTES_MAX);
    tm_buf_init(&a.chunk, TM_PACKAGE_CHUNK_MAX);
    TM_TRY_GOTO(tm_package_open(from, &a.package, err), done);
    TM_TRY_GOTO(copy_tables(&a, name), done);
    TM_TRY_GOTO(drop_old(&a, err), done);
    TM_TRY_GOTO(add(&a, bytes, err), done);
    status = write_all(&a, to, err);
done:
    tm_free(a.meta.attachments);
    tm_free(a.meta.chunks);
    tm_free(a.meta.pipelines);
    tm_free(a.ledger.entries);
    tm_free(a.ledger.nodes);
    tm_free(a.name);
    tm_buf_deinit(&a.chunk);
    tm_package_close(&a.package);
    return status;
}
