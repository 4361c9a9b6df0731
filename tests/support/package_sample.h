/* SPDX-License-Identifier: Apache-2.0
 * A small package for tests: two tensors, an attachment, five chunks of odd sizes, made by two
 * nodes with fixed keys. The chunk contents follow from a seed, so two samples can share some
 * chunks. */
#ifndef TM_TESTS_PACKAGE_SAMPLE_H
#define TM_TESTS_PACKAGE_SAMPLE_H

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "package/package.h"

#define SAMPLE_CHUNKS 5

struct sample {
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    uint8_t data[SAMPLE_CHUNKS][256];
    uint32_t bytes[SAMPLE_CHUNKS];
    struct tm_identity *owner, *node[2];
};

static inline struct tm_identity *sample_identity(uint8_t first)
{
    uint8_t seed[32] = {first};
    struct tm_identity *identity = NULL;
    struct tm_err err;
    TM_ASSERT(tm_crypto_init(&err) == TM_OK);
    TM_ASSERT(tm_identity_from_seed(seed, &identity, &err) == TM_OK);
    return identity;
}

static inline void sample_free(struct sample *s)
{
    tm_pkg_meta_deinit(&s->meta);
    tm_pkg_ledger_deinit(&s->ledger);
    tm_identity_destroy(&s->owner);
    tm_identity_destroy(&s->node[0]);
    tm_identity_destroy(&s->node[1]);
}

/* Chunk i holds bytes from seed[i]. */
static inline void sample_chunks(struct sample *s, const uint8_t seed[SAMPLE_CHUNKS])
{
    static const uint32_t bytes[SAMPLE_CHUNKS] = {100, 64, 1, 200, 37};
    static const uint32_t rows[SAMPLE_CHUNKS] = {2, 2, 1, 1, 1};
    static const uint32_t cols[SAMPLE_CHUNKS] = {32, 32, 24, 300, 50};
    s->meta.chunk_count = SAMPLE_CHUNKS;
    s->meta.chunks = tm_calloc(SAMPLE_CHUNKS, sizeof *s->meta.chunks);
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        struct tm_rng rng;
        tm_rng_init(&rng, 1000u * seed[i] + i);
        tm_rng_fill(&rng, s->data[i], bytes[i]);
        s->bytes[i] = bytes[i];
        struct tm_pkg_chunk *c = &s->meta.chunks[i];
        c->bytes = bytes[i];
        c->rows = rows[i];
        c->cols = cols[i];
        c->leaf = tm_merkle_leaf(tm_view_of(s->data[i], bytes[i]));
        c->source = tm_digest_of(tm_view_of(s->data[i], bytes[i]));
    }
}

static inline void sample_tables(struct sample *s)
{
    struct tm_pkg_meta *m = &s->meta;
    m->model_name = tm_strdup("sample");
    m->arch = tm_strdup("llama");
    m->plan = tm_strdup("[plan]\nversion = 1\n");
    m->plan_digest = tm_digest_of(tm_view_str(m->plan));
    m->encoders = tm_digest_of(tm_view_str("encoders"));
    m->pipeline_count = 2;
    m->pipelines = tm_calloc(2, sizeof *m->pipelines);
    m->pipelines[0] = tm_strdup("int(bits=4,group=32)");
    m->pipelines[1] = tm_strdup("zstd(level=3)");
    m->tensor_count = 2;
    m->tensors = tm_calloc(2, sizeof *m->tensors);
    m->tensors[0] = (struct tm_pkg_tensor){.name = tm_strdup("b.weight"),
                                           .name_bytes = 8,
                                           .dtype = 2,
                                           .rank = 2,
                                           .dim = {4, 32},
                                           .chunk_count = 2,
                                           .source_bytes = 256,
                                           .source = tm_digest_of(tm_view_str("b"))};
    m->tensors[1] = (struct tm_pkg_tensor){.name = tm_strdup("a.norm"),
                                           .name_bytes = 6,
                                           .pipeline = 1,
                                           .rank = 1,
                                           .dim = {6},
                                           .first_chunk = 2,
                                           .chunk_count = 1,
                                           .source_bytes = 24,
                                           .source = tm_digest_of(tm_view_str("a"))};
    m->attachment_count = 1;
    m->attachments = tm_calloc(1, sizeof *m->attachments);
    m->attachments[0] = (struct tm_pkg_attachment){.name = tm_strdup("tokenizer/vocab.json"),
                                                   .pipeline = 1,
                                                   .first_chunk = 3,
                                                   .chunk_count = 2,
                                                   .bytes = 350,
                                                   .source = tm_digest_of(tm_view_str("v"))};
}

static inline void sample_ledger(struct sample *s)
{
    static const uint8_t pipeline[SAMPLE_CHUNKS] = {0, 0, 1, 1, 1};
    struct tm_pkg_ledger *l = &s->ledger;
    l->node_count = 2;
    l->nodes = tm_calloc(2, sizeof *l->nodes);
    const struct tm_public_key *a = tm_identity_public(s->node[0]);
    const struct tm_public_key *b = tm_identity_public(s->node[1]);
    if (memcmp(a->b, b->b, sizeof a->b) > 0) {
        struct tm_identity *swap = s->node[0];
        s->node[0] = s->node[1];
        s->node[1] = swap;
    }
    l->nodes[0] = *tm_identity_public(s->node[0]);
    l->nodes[1] = *tm_identity_public(s->node[1]);
    l->banned_count = 1;
    l->banned = tm_calloc(1, sizeof *l->banned);
    l->banned[0] = tm_identity_node_id(s->owner);
    l->entry_count = SAMPLE_CHUNKS;
    l->entries = tm_calloc(SAMPLE_CHUNKS, sizeof *l->entries);
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        uint8_t bytes[TM_PKG_STATEMENT_MAX];
        const struct tm_pkg_chunk *c = &s->meta.chunks[i];
        struct tm_view statement = tm_pkg_statement(&s->meta.plan_digest, i, &c->source, &c->leaf,
                                                    s->meta.pipelines[pipeline[i]], bytes);
        l->entries[i] = (struct tm_pkg_ledger_entry){
            .chunk = i,
            .checks = TM_CHECK_DECODED | (i == 0 ? TM_CHECK_AUDITED : 0u),
            .squared_error_bits = 0x3ff0000000000000u + i,
            .squared_norm_bits = 0x4059000000000000u,
            .node = i % 2,
            .sig = tm_sign(s->node[i % 2], TM_SIGN_RESULT, statement)};
    }
}

static inline void sample_make(struct sample *s, const uint8_t seed[SAMPLE_CHUNKS])
{
    memset(s, 0, sizeof *s);
    s->owner = sample_identity(1);
    s->node[0] = sample_identity(2);
    s->node[1] = sample_identity(3);
    sample_tables(s);
    sample_chunks(s, seed);
    sample_ledger(s);
}

/* Writes the sample to path with the real writer. */
static inline tm_status sample_write(struct sample *s, const char *path, struct tm_err *err)
{
    struct tm_package_writer *writer;
    TM_TRY(tm_package_writer_begin(path, &s->meta, &writer, err));
    for (uint32_t i = 0; i < s->meta.chunk_count; i++) {
        tm_status status =
            tm_package_writer_chunk(writer, tm_view_of(s->data[i], s->bytes[i]), err);
        if (status != TM_OK) {
            tm_package_writer_abort(&writer);
            return status;
        }
    }
    return tm_package_writer_finish(&writer, &s->ledger, s->owner, err);
}

static const uint8_t SAMPLE_SEED[SAMPLE_CHUNKS] = {1, 1, 1, 1, 1};

#endif
