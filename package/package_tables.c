/* SPDX-License-Identifier: Apache-2.0
 * Fixed header, tail, writing of the tables; package_parse.c has the parsing of the tables. */
#include "package/package_tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"

/* The last four bytes show a transfer that changed line ends, as PNG's signature does. */
static const uint8_t MAGIC[8] = {'T', 'M', 'P', 'K', 0x0d, 0x0a, 0x1a, 0x0a};
static const uint8_t TAIL_MAGIC[8] = {'T', 'M', 'P', 'K', 'T', 'A', 'I', 'L'};
static const char ID_LABEL[] = "tensormill.package-id.v1";

/* Byte offsets in the fixed header. */
enum {
    H_MAGIC = 0,
    H_VERSION = 8,
    H_FLAGS = 12,
    H_TABLES_BYTES = 16,
    H_DATA_OFFSET = 24,
    H_DATA_BYTES = 32,
    H_RESERVED = 40,
    H_TABLES_DIGEST = 48,
    H_ROOT = 80,
    H_LEDGER_BYTES = 112,
    H_FILE_BYTES = 120,
    H_END = 128
};
_Static_assert(H_END == TM_PACKAGE_HEADER_BYTES, "the fixed header has 128 bytes");
#define ID_HEADER_BYTES H_LEDGER_BYTES /* the id covers the header up to here */

/* Byte offsets in the tail. */
enum {
    T_LEDGER_OFFSET = 0,
    T_LEDGER_BYTES = 8,
    T_LEDGER_DIGEST = 16,
    T_OWNER = 48,
    T_SIG = 80,
    T_RESERVED = 144,
    T_MAGIC = 248,
    T_END = 256
};
_Static_assert(T_END == TM_PACKAGE_TAIL_BYTES, "the tail has 256 bytes");

const char *tm_pkg_where(char *out, const char *name, uint64_t offset)
{
    snprintf(out, TM_PKG_WHERE_BYTES, "%.440s: at byte %" PRIu64, name, offset);
    return out;
}

static bool all_zero(const uint8_t *data, size_t bytes, size_t *first)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != 0) {
            *first = i;
            return false;
        }
    }
    return true;
}

/* ---- fixed header ---- */

void tm_pkg_header_write(const struct tm_pkg_layout *layout, uint8_t out[TM_PACKAGE_HEADER_BYTES])
{
    memset(out, 0, TM_PACKAGE_HEADER_BYTES);
    memcpy(out + H_MAGIC, MAGIC, sizeof MAGIC);
    tm_set_u32(out + H_VERSION, 1);
    tm_set_u64(out + H_TABLES_BYTES, layout->front_bytes - TM_PACKAGE_HEADER_BYTES);
    tm_set_u64(out + H_DATA_OFFSET, layout->data_offset);
    tm_set_u64(out + H_DATA_BYTES, layout->data_bytes);
    memcpy(out + H_TABLES_DIGEST, layout->tables.b, TM_DIGEST_BYTES);
    memcpy(out + H_ROOT, layout->root.b, TM_DIGEST_BYTES);
    tm_set_u64(out + H_LEDGER_BYTES, layout->ledger_bytes);
    tm_set_u64(out + H_FILE_BYTES, layout->file_bytes);
}

/* Magic, version and bytes that must be zero. */
static tm_status check_fixed(struct tm_view header, const char *name, struct tm_err *err)
{
    const uint8_t *h = header.data;
    if (header.bytes < TM_PACKAGE_HEADER_BYTES) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, header.bytes,
                           "the file ends inside the fixed header of %d bytes",
                           TM_PACKAGE_HEADER_BYTES);
    }
    if (memcmp(h + H_MAGIC, MAGIC, sizeof MAGIC) != 0) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_MAGIC, "not a .tmpk package (no magic)");
    }
    if (tm_get_u32(h + H_VERSION) != 1) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_VERSION,
                           "format version %" PRIu32 ", this program reads version 1",
                           tm_get_u32(h + H_VERSION));
    }
    if (tm_get_u32(h + H_FLAGS) != 0) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_FLAGS, "unknown flags 0x%" PRIx32,
                           tm_get_u32(h + H_FLAGS));
    }
    if (tm_get_u64(h + H_RESERVED) != 0) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_RESERVED, "reserved bytes are not zero");
    }
    return TM_OK;
}

/* Sizes against each other; every sum checked for overflow. */
static tm_status check_sizes(const struct tm_pkg_layout *l, const char *name, struct tm_err *err)
{
    uint64_t data_offset, end;
    uint64_t tables_bytes = l->front_bytes - TM_PACKAGE_HEADER_BYTES;
    if (tables_bytes > TM_PACKAGE_TABLES_MAX) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_TABLES_BYTES,
                           "tables of %" PRIu64 " bytes, the limit is %u", tables_bytes,
                           TM_PACKAGE_TABLES_MAX);
    }
    bool fits = tm_align_u64(l->front_bytes, TM_PACKAGE_ALIGN, &data_offset);
    TM_ASSERT(fits); /* the tables are small */
    if (data_offset != l->data_offset) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_DATA_OFFSET,
                           "chunks start at %" PRIu64 ", the tables give %" PRIu64, l->data_offset,
                           data_offset);
    }
    if (l->data_bytes % TM_PACKAGE_ALIGN != 0) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_DATA_BYTES,
                           "chunk region of %" PRIu64 " bytes is no multiple of %d", l->data_bytes,
                           TM_PACKAGE_ALIGN);
    }
    if (l->ledger_bytes > TM_PACKAGE_LEDGER_MAX) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_LEDGER_BYTES,
                           "ledger of %" PRIu64 " bytes, the limit is %u", l->ledger_bytes,
                           TM_PACKAGE_LEDGER_MAX);
    }
    if (!tm_add_u64(l->data_offset, l->data_bytes, &end) ||
        !tm_add_u64(end, l->ledger_bytes + TM_PACKAGE_TAIL_BYTES, &end) || end != l->file_bytes ||
        end > INT64_MAX) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_FILE_BYTES,
                           "file size %" PRIu64 " does not follow from the sizes of the parts",
                           l->file_bytes);
    }
    return TM_OK;
}

tm_status tm_pkg_header_parse(struct tm_view header, const char *name, struct tm_pkg_layout *out,
                              struct tm_err *err)
{
    TM_TRY(check_fixed(header, name, err));
    const uint8_t *h = header.data;
    struct tm_pkg_layout l = {
        .file_bytes = tm_get_u64(h + H_FILE_BYTES),
        .data_offset = tm_get_u64(h + H_DATA_OFFSET),
        .data_bytes = tm_get_u64(h + H_DATA_BYTES),
        .ledger_bytes = tm_get_u64(h + H_LEDGER_BYTES),
    };
    if (!tm_add_u64(TM_PACKAGE_HEADER_BYTES, tm_get_u64(h + H_TABLES_BYTES), &l.front_bytes)) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, H_TABLES_BYTES,
                           "size of the tables overflows");
    }
    TM_TRY(check_sizes(&l, name, err));
    l.back_offset = l.data_offset + l.data_bytes;
    memcpy(l.tables.b, h + H_TABLES_DIGEST, TM_DIGEST_BYTES);
    memcpy(l.root.b, h + H_ROOT, TM_DIGEST_BYTES);
    *out = l;
    return TM_OK;
}

tm_status tm_pkg_layout_parse(struct tm_view header, struct tm_pkg_layout *out, struct tm_err *err)
{
    return tm_pkg_header_parse(header, "package", out, err);
}

tm_status tm_pkg_id(struct tm_view front, struct tm_digest *out)
{
    struct tm_hash *hash;
    TM_ASSERT(front.bytes >= TM_PACKAGE_HEADER_BYTES);
    TM_TRY(tm_hash_new(&hash));
    tm_hash_update(hash, ID_LABEL, sizeof ID_LABEL - 1);
    tm_hash_update(hash, front.data, ID_HEADER_BYTES);
    tm_hash_update(hash, front.data + TM_PACKAGE_HEADER_BYTES,
                   front.bytes - TM_PACKAGE_HEADER_BYTES);
    *out = tm_hash_final(hash);
    tm_hash_destroy(&hash);
    return TM_OK;
}

bool tm_package_is(const char *path)
{
    struct tm_file_in *file;
    uint8_t head[sizeof MAGIC];
    if (tm_file_open(path, &file, NULL) != TM_OK) {
        return false;
    }
    bool yes = tm_file_bytes(file) >= sizeof head &&
               tm_file_read_at(file, 0, head, sizeof head, NULL) == TM_OK &&
               memcmp(head, MAGIC, sizeof head) == 0;
    tm_file_close(&file);
    return yes;
}

/* ---- tail ---- */

void tm_pkg_tail_write(const struct tm_pkg_tail *tail, uint8_t out[TM_PACKAGE_TAIL_BYTES])
{
    memset(out, 0, TM_PACKAGE_TAIL_BYTES);
    tm_set_u64(out + T_LEDGER_OFFSET, tail->ledger_offset);
    tm_set_u64(out + T_LEDGER_BYTES, tail->ledger_bytes);
    memcpy(out + T_LEDGER_DIGEST, tail->ledger.b, TM_DIGEST_BYTES);
    memcpy(out + T_OWNER, tail->owner.b, TM_PUBLIC_KEY_BYTES);
    memcpy(out + T_SIG, tail->sig.b, TM_SIGNATURE_BYTES);
    memcpy(out + T_MAGIC, TAIL_MAGIC, sizeof TAIL_MAGIC);
}

tm_status tm_pkg_tail_parse(struct tm_view bytes, const char *name,
                            const struct tm_pkg_layout *layout, struct tm_pkg_tail *out,
                            struct tm_err *err)
{
    TM_ASSERT(bytes.bytes == TM_PACKAGE_TAIL_BYTES);
    const uint8_t *t = bytes.data;
    uint64_t at = layout->file_bytes - TM_PACKAGE_TAIL_BYTES;
    size_t first;
    if (memcmp(t + T_MAGIC, TAIL_MAGIC, sizeof TAIL_MAGIC) != 0) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at + T_MAGIC,
                           "the file does not end with the tail's magic");
    }
    if (!all_zero(t + T_RESERVED, T_MAGIC - T_RESERVED, &first)) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at + T_RESERVED + first,
                           "reserved bytes of the tail are not zero");
    }
    out->ledger_offset = tm_get_u64(t + T_LEDGER_OFFSET);
    out->ledger_bytes = tm_get_u64(t + T_LEDGER_BYTES);
    if (out->ledger_offset != layout->back_offset || out->ledger_bytes != layout->ledger_bytes) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at,
                           "the tail has the ledger at %" PRIu64 " with %" PRIu64
                           " bytes, the header at %" PRIu64 " with %" PRIu64,
                           out->ledger_offset, out->ledger_bytes, layout->back_offset,
                           layout->ledger_bytes);
    }
    memcpy(out->ledger.b, t + T_LEDGER_DIGEST, TM_DIGEST_BYTES);
    memcpy(out->owner.b, t + T_OWNER, TM_PUBLIC_KEY_BYTES);
    memcpy(out->sig.b, t + T_SIG, TM_SIGNATURE_BYTES);
    return TM_OK;
}

struct tm_view tm_pkg_signed(const struct tm_digest *id, const struct tm_digest *ledger,
                             uint8_t out[TM_PKG_SIGNED_BYTES])
{
    memcpy(out, id->b, TM_DIGEST_BYTES);
    memcpy(out + TM_DIGEST_BYTES, ledger->b, TM_DIGEST_BYTES);
    return tm_view_of(out, TM_PKG_SIGNED_BYTES);
}

bool tm_pkg_back_owner(struct tm_view back, struct tm_public_key *out)
{
    if (back.bytes < TM_PACKAGE_TAIL_BYTES) {
        return false;
    }
    memcpy(out->b, back.data + (back.bytes - TM_PACKAGE_TAIL_BYTES) + T_OWNER, sizeof out->b);
    return true;
}

/* ---- tables ---- */

static tm_status put_text(struct tm_buf *out, const char *text, size_t bytes)
{
    if (bytes > UINT32_MAX) {
        return TM_E_LIMIT;
    }
    TM_TRY(tm_buf_put_u32(out, (uint32_t)bytes));
    return tm_buf_put(out, text, bytes);
}

static tm_status put_tensor(struct tm_buf *out, const struct tm_pkg_tensor *t)
{
    TM_TRY(put_text(out, t->name, t->name_bytes));
    TM_TRY(tm_buf_put_u32(out, t->dtype));
    TM_TRY(tm_buf_put_u32(out, t->pipeline));
    TM_TRY(tm_buf_put_u32(out, t->rank));
    TM_TRY(tm_buf_put_u32(out, t->first_chunk));
    TM_TRY(tm_buf_put_u32(out, t->chunk_count));
    TM_TRY(tm_buf_put_u64(out, t->source_bytes));
    for (uint32_t i = 0; i < t->rank && i < TM_PACKAGE_RANK_MAX; i++) {
        TM_TRY(tm_buf_put_u64(out, t->dim[i]));
    }
    return tm_buf_put(out, t->source.b, TM_DIGEST_BYTES);
}

static tm_status put_attachment(struct tm_buf *out, const struct tm_pkg_attachment *a)
{
    TM_TRY(put_text(out, a->name, strlen(a->name)));
    TM_TRY(tm_buf_put_u32(out, a->pipeline));
    TM_TRY(tm_buf_put_u32(out, a->first_chunk));
    TM_TRY(tm_buf_put_u32(out, a->chunk_count));
    TM_TRY(tm_buf_put_u64(out, a->bytes));
    return tm_buf_put(out, a->source.b, TM_DIGEST_BYTES);
}

static tm_status put_chunk(struct tm_buf *out, const struct tm_pkg_chunk *c)
{
    TM_TRY(tm_buf_put_u64(out, c->offset));
    TM_TRY(tm_buf_put_u32(out, c->bytes));
    TM_TRY(tm_buf_put_u32(out, c->rows));
    TM_TRY(tm_buf_put_u32(out, c->cols));
    TM_TRY(tm_buf_put_u32(out, 0));
    TM_TRY(tm_buf_put(out, c->leaf.b, TM_DIGEST_BYTES));
    return tm_buf_put(out, c->source.b, TM_DIGEST_BYTES);
}

tm_status tm_pkg_tables_write(const struct tm_pkg_meta *meta, struct tm_buf *out)
{
    TM_TRY(tm_buf_put_u32(out, meta->pipeline_count));
    TM_TRY(tm_buf_put_u32(out, meta->tensor_count));
    TM_TRY(tm_buf_put_u32(out, meta->attachment_count));
    TM_TRY(tm_buf_put_u32(out, meta->chunk_count));
    TM_TRY(tm_buf_put(out, meta->plan_digest.b, TM_DIGEST_BYTES));
    TM_TRY(tm_buf_put(out, meta->encoders.b, TM_DIGEST_BYTES));
    TM_TRY(put_text(out, meta->model_name, strlen(meta->model_name)));
    TM_TRY(put_text(out, meta->arch, strlen(meta->arch)));
    TM_TRY(put_text(out, meta->plan, strlen(meta->plan)));
    for (uint32_t i = 0; i < meta->pipeline_count; i++) {
        TM_TRY(put_text(out, meta->pipelines[i], strlen(meta->pipelines[i])));
    }
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        TM_TRY(put_tensor(out, &meta->tensors[i]));
    }
    for (uint32_t i = 0; i < meta->attachment_count; i++) {
        TM_TRY(put_attachment(out, &meta->attachments[i]));
    }
    for (uint32_t i = 0; i < meta->chunk_count; i++) {
        TM_TRY(put_chunk(out, &meta->chunks[i]));
    }
    return TM_OK;
}

/* Sizes of the fixed parts of records, see the put functions above. */
#define TABLES_HEAD_BYTES (16 + 64)
#define TENSOR_FIXED_BYTES (4 + 20 + 8 + 32)
#define ATTACHMENT_FIXED_BYTES (4 + 12 + 8 + 32)
#define CHUNK_BYTES 88

uint64_t tm_pkg_tables_bytes(const struct tm_pkg_meta *meta)
{
    uint64_t n = TABLES_HEAD_BYTES + 12;
    n += strlen(meta->model_name) + strlen(meta->arch) + strlen(meta->plan);
    for (uint32_t i = 0; i < meta->pipeline_count; i++) {
        n += 4 + strlen(meta->pipelines[i]);
    }
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        uint32_t rank = meta->tensors[i].rank;
        n += TENSOR_FIXED_BYTES + meta->tensors[i].name_bytes +
             8ull * (rank < TM_PACKAGE_RANK_MAX ? rank : TM_PACKAGE_RANK_MAX);
    }
    for (uint32_t i = 0; i < meta->attachment_count; i++) {
        n += ATTACHMENT_FIXED_BYTES + strlen(meta->attachments[i].name);
    }
    return n + (uint64_t)CHUNK_BYTES * meta->chunk_count;
}

uint32_t tm_pkg_chunk_pipeline(const struct tm_pkg_meta *meta, uint32_t chunk, uint32_t *owner)
{
    for (; *owner < meta->tensor_count; (*owner)++) {
        const struct tm_pkg_tensor *t = &meta->tensors[*owner];
        if (chunk - t->first_chunk < t->chunk_count) {
            return t->pipeline;
        }
    }
    for (;; (*owner)++) {
        TM_ASSERT(*owner - meta->tensor_count < meta->attachment_count);
        const struct tm_pkg_attachment *a = &meta->attachments[*owner - meta->tensor_count];
        if (chunk - a->first_chunk < a->chunk_count) {
            return a->pipeline;
        }
    }
}

/* ---- names ---- */

int tm_pkg_name_order(struct tm_view a, struct tm_view b)
{
    size_t n = a.bytes < b.bytes ? a.bytes : b.bytes;
    int c = n > 0 ? memcmp(a.data, b.data, n) : 0; /* the data of no bytes may be NULL */
    if (c != 0) {
        return c;
    }
    return a.bytes < b.bytes ? -1 : a.bytes != b.bytes;
}

static int name_order(const void *a, const void *b)
{
    const struct tm_pkg_name *x = a, *y = b;
    return tm_pkg_name_order(x->name, y->name);
}

tm_status tm_pkg_names_sort(const struct tm_pkg_meta *meta, struct tm_pkg_name **out)
{
    struct tm_pkg_name *names = tm_calloc(meta->tensor_count, sizeof *names);
    if (names == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        names[i].name = tm_view_of(meta->tensors[i].name, meta->tensors[i].name_bytes);
        names[i].index = i;
    }
    qsort(names, meta->tensor_count, sizeof *names, name_order);
    *out = names;
    return TM_OK;
}
