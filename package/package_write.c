/* SPDX-License-Identifier: Apache-2.0
 * Writing a package (package.h): header and tables first, then chunks as they come, then ledger and
 * tail. Memory is the tables. */
#include "package/package.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "package/ledger.h"
#include "package/package_tables.h"

struct tm_package_writer {
    struct tm_file_out *file;
    struct tm_pkg_meta *meta;
    struct tm_pkg_layout layout;
    struct tm_digest id;
    uint32_t next; /* chunk that comes next */
};

static const uint8_t ZEROS[TM_PACKAGE_ALIGN];

static tm_status no_memory(struct tm_err *err, const char *path)
{
    return tm_err_set(err, TM_E_NOMEM, path, "cannot write the package", NULL, "out of memory");
}

/* Offsets of the chunks, and the layout without the ledger. */
static tm_status lay_out(struct tm_pkg_meta *meta, struct tm_pkg_layout *l, struct tm_err *err)
{
    uint64_t tables = tm_pkg_tables_bytes(meta);
    if (tables > TM_PACKAGE_TABLES_MAX) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "cannot write a package", NULL,
                          "tables of %" PRIu64 " bytes, the limit is %u", tables,
                          TM_PACKAGE_TABLES_MAX);
    }
    *l = (struct tm_pkg_layout){.front_bytes = TM_PACKAGE_HEADER_BYTES + tables};
    (void)tm_align_u64(l->front_bytes, TM_PACKAGE_ALIGN, &l->data_offset);
    uint64_t at = l->data_offset;
    /* 2^32 chunks of 2^32 bytes fit 64 bits, so at cannot overflow. */
    for (uint32_t i = 0; i < meta->chunk_count; i++) {
        meta->chunks[i].offset = at;
        at += ((uint64_t)meta->chunks[i].bytes + TM_PACKAGE_ALIGN - 1) / TM_PACKAGE_ALIGN *
              TM_PACKAGE_ALIGN;
    }
    l->data_bytes = at - l->data_offset;
    l->back_offset = at;
    return TM_OK;
}

static tm_status set_root(const struct tm_pkg_meta *meta, struct tm_pkg_layout *l)
{
    struct tm_digest *leaves = tm_calloc(meta->chunk_count, sizeof *leaves);
    if (leaves == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < meta->chunk_count; i++) {
        leaves[i] = meta->chunks[i].leaf;
    }
    l->root = tm_merkle_root(leaves, meta->chunk_count);
    tm_free(leaves);
    return TM_OK;
}

/* Holds meta to the rules of the format by reading back what was made of it. */
static tm_status check_by_parsing(struct tm_view tables, const char *path,
                                  const struct tm_pkg_layout *l, struct tm_err *err)
{
    struct tm_pkg_meta scratch;
    TM_TRY(tm_pkg_tables_parse(tables, path, l, &scratch, err));
    tm_pkg_meta_deinit(&scratch);
    return TM_OK;
}

tm_status tm_pkg_front(struct tm_pkg_meta *meta, const char *path, struct tm_pkg_layout *layout,
                       struct tm_buf *front, struct tm_err *err)
{
    uint8_t *header;
    TM_TRY(lay_out(meta, layout, err));
    TM_TRY(set_root(meta, layout));
    TM_TRY(tm_buf_extend(front, TM_PACKAGE_HEADER_BYTES, &header));
    TM_TRY(tm_pkg_tables_write(meta, front));
    TM_ASSERT(front->bytes == layout->front_bytes);
    struct tm_view tables =
        tm_view_of(front->data + TM_PACKAGE_HEADER_BYTES, front->bytes - TM_PACKAGE_HEADER_BYTES);
    layout->tables = tm_digest_of(tables);
    tm_pkg_header_write(layout, front->data);
    return check_by_parsing(tables, path, layout, err);
}

static tm_status begin(struct tm_package_writer *w, const char *path, struct tm_buf *front,
                       struct tm_err *err)
{
    TM_TRY(tm_pkg_front(w->meta, path, &w->layout, front, err));
    TM_TRY(tm_pkg_id(tm_buf_view(front), &w->id));
    TM_TRY(tm_file_out_begin(path, 0644, &w->file, err));
    TM_TRY(tm_file_out_write(w->file, front->data, front->bytes, err));
    return tm_file_out_write(w->file, ZEROS, w->layout.data_offset - w->layout.front_bytes, err);
}

tm_status tm_package_writer_begin(const char *path, struct tm_pkg_meta *meta,
                                  struct tm_package_writer **out, struct tm_err *err)
{
    struct tm_buf front;
    struct tm_package_writer *w = tm_calloc(1, sizeof *w);
    *out = NULL;
    if (w == NULL) {
        return no_memory(err, path);
    }
    w->meta = meta;
    tm_buf_init(&front, (size_t)TM_PACKAGE_HEADER_BYTES + TM_PACKAGE_TABLES_MAX);
    tm_status status = begin(w, path, &front, err);
    tm_buf_deinit(&front);
    if (status != TM_OK) {
        tm_package_writer_abort(&w);
        return status == TM_E_NOMEM ? no_memory(err, path) : status;
    }
    *out = w;
    return TM_OK;
}

tm_status tm_package_writer_chunk(struct tm_package_writer *w, struct tm_view bytes,
                                  struct tm_err *err)
{
    char where[48];
    snprintf(where, sizeof where, "chunk %" PRIu32, w->next);
    if (w->next >= w->meta->chunk_count) {
        return tm_err_set(err, TM_E_VERIFY, where, "cannot write the package", NULL,
                          "the chunk table has %" PRIu32 " chunks", w->meta->chunk_count);
    }
    const struct tm_pkg_chunk *c = &w->meta->chunks[w->next];
    struct tm_digest leaf = tm_merkle_leaf(bytes);
    if (bytes.bytes != c->bytes || !tm_digest_eq(&leaf, &c->leaf)) {
        char got[TM_DIGEST_TEXT], want[TM_DIGEST_TEXT];
        return tm_err_set(err, TM_E_VERIFY, where, "cannot write the package", NULL,
                          "%zu bytes with leaf %s, declared are %" PRIu32 " with %s", bytes.bytes,
                          tm_digest_hex(&leaf, got), c->bytes, tm_digest_hex(&c->leaf, want));
    }
    TM_TRY(tm_file_out_write(w->file, bytes.data, bytes.bytes, err));
    size_t past = bytes.bytes % TM_PACKAGE_ALIGN;
    TM_TRY(tm_file_out_write(w->file, ZEROS, past > 0 ? TM_PACKAGE_ALIGN - past : 0, err));
    w->next++;
    return TM_OK;
}

tm_status tm_pkg_back(struct tm_pkg_layout *layout, const struct tm_digest *id,
                      const struct tm_pkg_ledger *ledger, uint32_t chunk_count,
                      const struct tm_identity *owner, struct tm_buf *back, struct tm_err *err)
{
    uint8_t *at, message[TM_PKG_SIGNED_BYTES];
    TM_TRY(tm_pkg_ledger_write(ledger, chunk_count, back, err));
    layout->ledger_bytes = back->bytes;
    layout->file_bytes = layout->back_offset + back->bytes + TM_PACKAGE_TAIL_BYTES;
    struct tm_pkg_tail tail = {
        .ledger_offset = layout->back_offset,
        .ledger_bytes = back->bytes,
        .ledger = tm_digest_of(tm_buf_view(back)),
        .owner = *tm_identity_public(owner),
    };
    tail.sig = tm_sign(owner, TM_SIGN_PACKAGE, tm_pkg_signed(id, &tail.ledger, message));
    TM_TRY(tm_buf_extend(back, TM_PACKAGE_TAIL_BYTES, &at));
    tm_pkg_tail_write(&tail, at);
    return TM_OK;
}

static tm_status finish(struct tm_package_writer *w, const struct tm_pkg_ledger *ledger,
                        const struct tm_identity *owner, struct tm_buf *back, struct tm_err *err)
{
    uint8_t header[TM_PACKAGE_HEADER_BYTES];
    if (w->next != w->meta->chunk_count) {
        return tm_err_set(err, TM_E_VERIFY, NULL, "cannot finish the package", NULL,
                          "%" PRIu32 " of %" PRIu32 " chunks were written", w->next,
                          w->meta->chunk_count);
    }
    TM_TRY(tm_pkg_back(&w->layout, &w->id, ledger, w->meta->chunk_count, owner, back, err));
    TM_TRY(tm_file_out_write(w->file, back->data, back->bytes, err));
    tm_pkg_header_write(&w->layout, header);
    TM_TRY(tm_file_out_write_at(w->file, 0, header, sizeof header, err));
    return tm_file_out_commit(&w->file, err);
}

tm_status tm_package_writer_finish(struct tm_package_writer **writer,
                                   const struct tm_pkg_ledger *ledger,
                                   const struct tm_identity *owner, struct tm_err *err)
{
    struct tm_buf back;
    tm_buf_init(&back, (size_t)TM_PACKAGE_LEDGER_MAX + TM_PACKAGE_TAIL_BYTES);
    tm_status status = finish(*writer, ledger, owner, &back, err);
    tm_buf_deinit(&back);
    tm_package_writer_abort(writer);
    return status == TM_E_NOMEM ? no_memory(err, NULL) : status;
}

void tm_package_writer_abort(struct tm_package_writer **writer)
{
    if (*writer != NULL) {
        tm_file_out_abort(&(*writer)->file);
        tm_free(*writer);
        *writer = NULL;
    }
}
