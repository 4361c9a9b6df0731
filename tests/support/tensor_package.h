/* SPDX-License-Identifier: Apache-2.0
 * Packages of any tensors for the tests of decoding and export: encoded with the real encoders, and
 * every field of the tables open, so that wrong tables are made as easily as right ones. */
#ifndef TM_TESTS_TENSOR_PACKAGE_H
#define TM_TESTS_TENSOR_PACKAGE_H

#include <check.h>
#include <string.h>

#include "base/mem.h"
#include "model/tensor.h"
#include "package/package.h"
#include "stages/pipeline_encode.h"
#include "tests/support/file_order.h"

#define TP_MAX 64

struct tensor_package {
    struct tm_pkg_meta meta;
    struct tm_buf chunk[TP_MAX];
    uint32_t chunk_pipeline[TP_MAX];
    struct tm_identity *owner;
};

static inline void tp_begin(struct tensor_package *tp)
{
    static const uint8_t seed[32] = {9};
    struct tm_err err;
    memset(tp, 0, sizeof *tp);
    ck_assert_int_eq(tm_crypto_init(&err), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &tp->owner, &err), TM_OK);
    struct tm_pkg_meta *m = &tp->meta;
    m->model_name = tm_strdup("tensors");
    m->arch = tm_strdup("llama");
    m->plan = tm_strdup("schema = 1\n");
    m->plan_digest = tm_digest_of(tm_view_str(m->plan));
    m->pipelines = tm_calloc(TP_MAX, sizeof *m->pipelines);
    m->tensors = tm_calloc(TP_MAX, sizeof *m->tensors);
    m->attachments = tm_calloc(TP_MAX, sizeof *m->attachments);
    m->chunks = tm_calloc(TP_MAX, sizeof *m->chunks);
}

static inline void tp_end(struct tensor_package *tp)
{
    for (size_t i = 0; i < TP_MAX; i++) {
        tm_buf_deinit(&tp->chunk[i]);
    }
    tm_pkg_meta_deinit(&tp->meta);
    tm_identity_destroy(&tp->owner);
}

static inline uint32_t tp_pipeline(struct tensor_package *tp, const char *text)
{
    tp->meta.pipelines[tp->meta.pipeline_count] = tm_strdup(text);
    return tp->meta.pipeline_count++;
}

/* The next chunk: a block of weights, or (values NULL) bytes. */
static inline void tp_chunk(struct tensor_package *tp, uint32_t pipeline,
                            struct tm_block_shape shape, const float *values, struct tm_view bytes)
{
    struct tm_pipeline p;
    struct tm_err err;
    uint32_t i = tp->meta.chunk_count++;
    struct tm_buf *out = &tp->chunk[i];
    ck_assert_uint_lt(i, TP_MAX);
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str(tp->meta.pipelines[pipeline]), &p, &err), TM_OK);
    tm_buf_init(out, 1 << 26);
    ck_assert_int_eq(values != NULL ? tm_pipeline_encode(&p, shape, values, out, &err)
                                    : tm_pipeline_encode_bytes(&p, bytes, out, &err),
                     TM_OK);
    tp->chunk_pipeline[i] = pipeline;
    tp->meta.chunks[i] = (struct tm_pkg_chunk){.bytes = (uint32_t)out->bytes,
                                               .rows = shape.rows,
                                               .cols = shape.cols,
                                               .leaf = tm_merkle_leaf(tm_buf_view(out))};
}

static inline struct tm_pkg_tensor *tp_named(struct tensor_package *tp, const char *name,
                                             enum tm_dtype dtype, struct tm_shape shape)
{
    struct tm_pkg_tensor *t = &tp->meta.tensors[tp->meta.tensor_count++];
    t->name = tm_strdup(name);
    t->name_bytes = strlen(name);
    t->dtype = dtype;
    t->rank = shape.rank;
    memcpy(t->dim, shape.dim, shape.rank * sizeof shape.dim[0]);
    t->first_chunk = tp->meta.chunk_count;
    ck_assert(tm_shape_bytes(&shape, dtype, &t->source_bytes));
    return t;
}

/* A matrix of float32 weights, `step` rows a chunk. */
static inline struct tm_pkg_tensor *tp_weights(struct tensor_package *tp, const char *name,
                                               const char *pipeline, uint32_t rows, uint32_t cols,
                                               uint32_t step, const float *values)
{
    struct tm_pkg_tensor *t =
        tp_named(tp, name, TM_F32, (struct tm_shape){.rank = 2, .dim = {rows, cols}});
    t->pipeline = tp_pipeline(tp, pipeline);
    for (uint32_t r = 0; r < rows; r += step, t->chunk_count++) {
        uint32_t n = rows - r < step ? rows - r : step;
        tp_chunk(tp, t->pipeline, (struct tm_block_shape){n, cols}, values + (size_t)r * cols,
                 (struct tm_view){0});
    }
    return t;
}

/* A tensor kept as it is, `step` bytes a chunk. data: floats for TM_F32, else bytes of a file. */
static inline struct tm_pkg_tensor *tp_kept(struct tensor_package *tp, const char *name,
                                            enum tm_dtype dtype, struct tm_shape shape, size_t step,
                                            const void *data)
{
    struct tm_pkg_tensor *t = tp_named(tp, name, dtype, shape);
    float *bytes = tm_alloc((size_t)t->source_bytes + 1);
    memcpy(bytes, data, (size_t)t->source_bytes);
    if (dtype == TM_F32) {
        floats_to_file_order(bytes, (size_t)t->source_bytes / sizeof *bytes);
    }
    t->pipeline = tp_pipeline(tp, "zstd.1(level=3)");
    for (size_t at = 0; at < t->source_bytes; at += step, t->chunk_count++) {
        size_t n = t->source_bytes - at < step ? (size_t)t->source_bytes - at : step;
        tp_chunk(tp, t->pipeline, (struct tm_block_shape){1, (uint32_t)n}, NULL,
                 tm_view_of((const uint8_t *)bytes + at, n));
    }
    tm_free(bytes);
    return t;
}

/* After all tensors. */
static inline struct tm_pkg_attachment *tp_attach(struct tensor_package *tp, const char *name,
                                                  struct tm_view data, size_t step)
{
    struct tm_pkg_attachment *a = &tp->meta.attachments[tp->meta.attachment_count++];
    *a = (struct tm_pkg_attachment){.name = tm_strdup(name),
                                    .pipeline = tp_pipeline(tp, "raw.1"),
                                    .first_chunk = tp->meta.chunk_count,
                                    .bytes = data.bytes,
                                    .source = tm_digest_of(data)};
    for (size_t at = 0; at < data.bytes; at += step, a->chunk_count++) {
        size_t n = data.bytes - at < step ? data.bytes - at : step;
        tp_chunk(tp, a->pipeline, (struct tm_block_shape){1, (uint32_t)n}, NULL,
                 tm_view_of(data.data + at, n));
    }
    return a;
}

static inline void tp_write(struct tensor_package *tp, const char *path)
{
    struct tm_pkg_meta *m = &tp->meta;
    struct tm_package_writer *writer = NULL;
    struct tm_err err = {0};
    char line[1600];
    struct tm_public_key node = *tm_identity_public(tp->owner);
    struct tm_pkg_ledger_entry entries[TP_MAX] = {{0}};
    struct tm_pkg_ledger ledger = {
        .nodes = &node, .node_count = 1, .entries = entries, .entry_count = m->chunk_count};
    for (uint32_t i = 0; i < m->chunk_count; i++) {
        uint8_t bytes[TM_PKG_STATEMENT_MAX];
        entries[i].chunk = i;
        entries[i].checks = TM_CHECK_OWNER;
        entries[i].sig =
            tm_sign(tp->owner, TM_SIGN_RESULT,
                    tm_pkg_statement(&m->plan_digest, i, &m->chunks[i].source, &m->chunks[i].leaf,
                                     m->pipelines[tp->chunk_pipeline[i]], bytes));
    }
    tm_status status = tm_package_writer_begin(path, m, &writer, &err);
    for (uint32_t i = 0; i < m->chunk_count && status == TM_OK; i++) {
        status = tm_package_writer_chunk(writer, tm_buf_view(&tp->chunk[i]), &err);
    }
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&err, line, sizeof line));
    ck_assert_int_eq(tm_package_writer_finish(&writer, &ledger, tp->owner, &err), TM_OK);
}

#endif
