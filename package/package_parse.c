/* SPDX-License-Identifier: Apache-2.0
 * Parsing of the tables (package_tables.h): each count is held against the bytes that are left
 * before anything is allocated, each rule of docs/formats/package.md is checked. */
#include "package/package_tables.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"

#define CHUNK_BYTES 88
#define TEXTS_BYTES_MIN (3 * 4) /* name, architecture and plan */
/* Fewest bytes of a record: what a count is held against. */
#define PIPELINE_BYTES_MIN (4 + 1)
#define TENSOR_BYTES_MIN (4 + 20 + 8 + 32)
#define ATTACHMENT_BYTES_MIN (4 + 1 + 12 + 8 + 32)

struct parse {
    struct tm_cursor c;
    const char *name; /* of the file */
    const struct tm_pkg_layout *layout;
    struct tm_pkg_meta *meta;
    uint32_t next_chunk; /* first chunk without an owner so far */
    struct tm_err *err;
};

void tm_pkg_meta_deinit(struct tm_pkg_meta *meta)
{
    tm_free(meta->model_name);
    tm_free(meta->arch);
    tm_free(meta->plan);
    for (uint32_t i = 0; meta->pipelines != NULL && i < meta->pipeline_count; i++) {
        tm_free(meta->pipelines[i]);
    }
    for (uint32_t i = 0; meta->tensors != NULL && i < meta->tensor_count; i++) {
        tm_free(meta->tensors[i].name);
    }
    for (uint32_t i = 0; meta->attachments != NULL && i < meta->attachment_count; i++) {
        tm_free(meta->attachments[i].name);
    }
    tm_free(meta->pipelines);
    tm_free(meta->tensors);
    tm_free(meta->attachments);
    tm_free(meta->chunks);
    *meta = (struct tm_pkg_meta){0};
}

/* Position in the file of the cursor. */
static uint64_t here(const struct parse *p)
{
    return TM_PACKAGE_HEADER_BYTES + (uint64_t)p->c.at;
}

#define FAIL(p, at, ...) TM_PKG_FAIL((p)->err, TM_E_MALFORMED, (p)->name, at, __VA_ARGS__)

static tm_status nomem(struct parse *p)
{
    return tm_err_set(p->err, TM_E_NOMEM, p->name, "cannot read the tables", NULL,
                      "not enough memory for %zu bytes of tables", p->c.bytes);
}

static tm_status truncated(struct parse *p, const char *what)
{
    return FAIL(p, here(p), "the tables end inside %s", what);
}

/* A length and its bytes, at most `max`, as an owned C string; zeros in it only if `any`. */
static tm_status take_text(struct parse *p, const char *what, size_t max, bool any, char **out,
                           size_t *out_bytes)
{
    uint64_t at = here(p);
    uint32_t bytes = tm_cursor_u32(&p->c);
    if (bytes > max) {
        return FAIL(p, at, "%s of %" PRIu32 " bytes, the limit is %zu", what, bytes, max);
    }
    struct tm_view text = tm_cursor_take(&p->c, bytes);
    if (p->c.overrun) {
        return truncated(p, what);
    }
    if (!any && memchr(text.data, 0, bytes) != NULL) {
        return FAIL(p, at + 4, "%s holds a zero byte", what);
    }
    *out = tm_strndup((const char *)text.data, bytes);
    if (*out == NULL) {
        return nomem(p);
    }
    if (out_bytes != NULL) {
        *out_bytes = bytes;
    }
    return TM_OK;
}

static struct tm_digest take_digest(struct tm_cursor *c)
{
    struct tm_digest d = {{0}};
    struct tm_view v = tm_cursor_take(c, TM_DIGEST_BYTES);
    if (v.bytes == TM_DIGEST_BYTES) {
        memcpy(d.b, v.data, TM_DIGEST_BYTES);
    }
    return d;
}

/* Counts against the bytes that are left: after this, allocations are at most a few times them. */
static tm_status check_counts(struct parse *p)
{
    const struct tm_pkg_meta *m = p->meta;
    uint64_t need = TEXTS_BYTES_MIN + (uint64_t)m->pipeline_count * PIPELINE_BYTES_MIN +
                    (uint64_t)m->tensor_count * TENSOR_BYTES_MIN +
                    (uint64_t)m->attachment_count * ATTACHMENT_BYTES_MIN +
                    (uint64_t)m->chunk_count * CHUNK_BYTES;
    if (need > tm_cursor_left(&p->c)) {
        return FAIL(p, TM_PACKAGE_HEADER_BYTES,
                    "%" PRIu32 " pipelines, %" PRIu32 " tensors, %" PRIu32
                    " attachments and %" PRIu32 " chunks need at least %" PRIu64
                    " bytes, %zu are left",
                    m->pipeline_count, m->tensor_count, m->attachment_count, m->chunk_count, need,
                    tm_cursor_left(&p->c));
    }
    return TM_OK;
}

static tm_status parse_head(struct parse *p)
{
    struct tm_pkg_meta *m = p->meta;
    uint32_t pipelines = tm_cursor_u32(&p->c), tensors = tm_cursor_u32(&p->c);
    uint32_t attachments = tm_cursor_u32(&p->c), chunks = tm_cursor_u32(&p->c);
    m->plan_digest = take_digest(&p->c);
    m->encoders = take_digest(&p->c);
    if (p->c.overrun) {
        return truncated(p, "their head");
    }
    m->pipeline_count = pipelines;
    m->tensor_count = tensors;
    m->attachment_count = attachments;
    m->chunk_count = chunks;
    TM_TRY(check_counts(p));
    m->pipelines = tm_calloc(pipelines, sizeof *m->pipelines);
    m->tensors = tm_calloc(tensors, sizeof *m->tensors);
    m->attachments = tm_calloc(attachments, sizeof *m->attachments);
    m->chunks = tm_calloc(chunks, sizeof *m->chunks);
    if (m->pipelines == NULL || m->tensors == NULL || m->attachments == NULL || m->chunks == NULL) {
        return nomem(p);
    }
    TM_TRY(take_text(p, "model name", TM_PACKAGE_NAME_MAX, false, &m->model_name, NULL));
    TM_TRY(take_text(p, "architecture", TM_PACKAGE_NAME_MAX, false, &m->arch, NULL));
    return take_text(p, "plan", TM_PACKAGE_TEXT_MAX, false, &m->plan, NULL);
}

/* The plan that the nodes signed for is the one in the package. */
static tm_status check_plan(struct parse *p)
{
    struct tm_digest got = tm_digest_of(tm_view_str(p->meta->plan));
    if (!tm_digest_eq(&got, &p->meta->plan_digest)) {
        char got_hex[TM_DIGEST_TEXT], want_hex[TM_DIGEST_TEXT];
        return TM_PKG_FAIL(p->err, TM_E_VERIFY, p->name, TM_PACKAGE_HEADER_BYTES + 16,
                           "SHA-256 of the plan is %s, the tables have %s",
                           tm_digest_hex(&got, got_hex),
                           tm_digest_hex(&p->meta->plan_digest, want_hex));
    }
    return TM_OK;
}

static tm_status parse_pipelines(struct parse *p)
{
    for (uint32_t i = 0; i < p->meta->pipeline_count; i++) {
        uint64_t at = here(p);
        size_t bytes = 0;
        TM_TRY(take_text(p, "pipeline", TM_PACKAGE_PIPELINE_MAX, false, &p->meta->pipelines[i],
                         &bytes));
        const char *text = p->meta->pipelines[i];
        for (size_t k = 0; k < bytes; k++) {
            if (text[k] < 0x20 || text[k] > 0x7e) {
                return FAIL(p, at + 4 + k, "pipeline %" PRIu32 " is not printable ASCII", i);
            }
        }
        if (bytes == 0) {
            return FAIL(p, at, "pipeline %" PRIu32 " is empty", i);
        }
    }
    return TM_OK;
}

/* A tensor's or attachment's pipeline and chunk range: ranges follow each other without a gap. */
static tm_status check_owner(struct parse *p, const char *kind, uint32_t index, uint32_t pipeline,
                             uint32_t first, uint32_t count)
{
    if (pipeline >= p->meta->pipeline_count) {
        return FAIL(p, here(p), "%s %" PRIu32 " names pipeline %" PRIu32 " of %" PRIu32, kind,
                    index, pipeline, p->meta->pipeline_count);
    }
    if (first != p->next_chunk || count > p->meta->chunk_count - first) {
        return FAIL(p, here(p),
                    "%s %" PRIu32 " has chunks %" PRIu32 " to +%" PRIu32 ", next is %" PRIu32
                    " of %" PRIu32,
                    kind, index, first, count, p->next_chunk, p->meta->chunk_count);
    }
    p->next_chunk += count;
    return TM_OK;
}

static tm_status parse_tensor(struct parse *p, uint32_t index)
{
    struct tm_pkg_tensor *t = &p->meta->tensors[index];
    TM_TRY(take_text(p, "tensor name", TM_PACKAGE_NAME_MAX, true, &t->name, &t->name_bytes));
    t->dtype = tm_cursor_u32(&p->c);
    t->pipeline = tm_cursor_u32(&p->c);
    t->rank = tm_cursor_u32(&p->c);
    t->first_chunk = tm_cursor_u32(&p->c);
    t->chunk_count = tm_cursor_u32(&p->c);
    t->source_bytes = tm_cursor_u64(&p->c);
    if (!p->c.overrun && t->rank > TM_PACKAGE_RANK_MAX) {
        return FAIL(p, here(p), "tensor %" PRIu32 " has rank %" PRIu32 ", the limit is %d", index,
                    t->rank, TM_PACKAGE_RANK_MAX);
    }
    uint64_t elements = 1;
    bool fits = true;
    for (uint32_t i = 0; i < t->rank && !p->c.overrun; i++) {
        t->dim[i] = tm_cursor_u64(&p->c);
        fits = fits && tm_mul_u64(elements, t->dim[i], &elements);
    }
    t->source = take_digest(&p->c);
    if (p->c.overrun) {
        return truncated(p, "a tensor");
    }
    if (!fits) {
        return FAIL(p, here(p), "the dimensions of tensor %" PRIu32 " overflow 64 bits", index);
    }
    return check_owner(p, "tensor", index, t->pipeline, t->first_chunk, t->chunk_count);
}

/* A relative path that stays inside the folder it is written to. */
static bool path_ok(const char *name)
{
    size_t part = 0;
    for (const char *c = name;; c++) {
        if (*c == '/' || *c == '\0') {
            bool dots = (part == 1 && c[-1] == '.') || (part == 2 && c[-1] == '.' && c[-2] == '.');
            if (part == 0 || dots) {
                return false;
            }
            part = 0;
            if (*c == '\0') {
                return true;
            }
        } else if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\') {
            return false;
        } else {
            part++;
        }
    }
}

static tm_status parse_attachment(struct parse *p, uint32_t index)
{
    struct tm_pkg_attachment *a = &p->meta->attachments[index];
    uint64_t at = here(p);
    TM_TRY(take_text(p, "attachment name", TM_PACKAGE_PATH_MAX, false, &a->name, NULL));
    if (!path_ok(a->name)) {
        return FAIL(p, at, "the name of attachment %" PRIu32 " is no safe relative path", index);
    }
    a->pipeline = tm_cursor_u32(&p->c);
    a->first_chunk = tm_cursor_u32(&p->c);
    a->chunk_count = tm_cursor_u32(&p->c);
    a->bytes = tm_cursor_u64(&p->c);
    a->source = take_digest(&p->c);
    if (p->c.overrun) {
        return truncated(p, "an attachment");
    }
    return check_owner(p, "attachment", index, a->pipeline, a->first_chunk, a->chunk_count);
}

static tm_status parse_chunk(struct parse *p, uint32_t index, uint64_t *next_offset)
{
    struct tm_pkg_chunk *c = &p->meta->chunks[index];
    uint64_t at = here(p);
    c->offset = tm_cursor_u64(&p->c);
    c->bytes = tm_cursor_u32(&p->c);
    c->rows = tm_cursor_u32(&p->c);
    c->cols = tm_cursor_u32(&p->c);
    uint32_t reserved = tm_cursor_u32(&p->c);
    c->leaf = take_digest(&p->c);
    c->source = take_digest(&p->c);
    if (p->c.overrun) {
        return truncated(p, "a chunk entry");
    }
    if (reserved != 0) {
        return FAIL(p, at + 20, "reserved bytes of chunk %" PRIu32 " are not zero", index);
    }
    if (c->bytes == 0 || c->bytes > TM_PACKAGE_CHUNK_MAX) {
        return FAIL(p, at + 8, "chunk %" PRIu32 " has %" PRIu32 " bytes, 1 to %u are allowed",
                    index, c->bytes, TM_PACKAGE_CHUNK_MAX);
    }
    if (c->rows == 0 || c->cols == 0) {
        return FAIL(p, at + 12, "chunk %" PRIu32 " decodes to %" PRIu32 " x %" PRIu32, index,
                    c->rows, c->cols);
    }
    if (c->offset != *next_offset) {
        return FAIL(p, at, "chunk %" PRIu32 " lies at %" PRIu64 ", the one before ends at %" PRIu64,
                    index, c->offset, *next_offset);
    }
    uint64_t end = p->layout->back_offset;
    if (c->bytes > end - c->offset) {
        return FAIL(p, at,
                    "chunk %" PRIu32 " at %" PRIu64 " with %" PRIu32
                    " bytes passes the end of the chunks at %" PRIu64,
                    index, c->offset, c->bytes, end);
    }
    /* The region ends at a multiple of the alignment, so this stays inside it. */
    *next_offset +=
        ((uint64_t)c->bytes + TM_PACKAGE_ALIGN - 1) / TM_PACKAGE_ALIGN * TM_PACKAGE_ALIGN;
    return TM_OK;
}

/* Sum of rows x cols over chunks; false on overflow. */
static bool decoded_size(const struct tm_pkg_meta *m, uint32_t first, uint32_t count, uint64_t *out)
{
    *out = 0;
    for (uint32_t i = first; i < first + count; i++) {
        if (!tm_add_u64(*out, (uint64_t)m->chunks[i].rows * m->chunks[i].cols, out)) {
            return false;
        }
    }
    return true;
}

/* What the chunks decode to is what their owner has: weights or bytes of a tensor, bytes of an
 * attachment. */
static tm_status check_decoded(struct parse *p)
{
    const struct tm_pkg_meta *m = p->meta;
    uint64_t got;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const struct tm_pkg_tensor *t = &m->tensors[i];
        uint64_t elements = 1;
        for (uint32_t k = 0; k < t->rank; k++) {
            elements *= t->dim[k];
        }
        if (!decoded_size(m, t->first_chunk, t->chunk_count, &got) ||
            (got != elements && got != t->source_bytes)) {
            return FAIL(p, TM_PACKAGE_HEADER_BYTES,
                        "the chunks of tensor %" PRIu32 " decode to %" PRIu64
                        " items, it has %" PRIu64 " elements in %" PRIu64 " bytes",
                        i, got, elements, t->source_bytes);
        }
    }
    for (uint32_t i = 0; i < m->attachment_count; i++) {
        const struct tm_pkg_attachment *a = &m->attachments[i];
        if (!decoded_size(m, a->first_chunk, a->chunk_count, &got) || got != a->bytes) {
            return FAIL(p, TM_PACKAGE_HEADER_BYTES,
                        "the chunks of attachment %" PRIu32 " decode to %" PRIu64
                        " bytes, it has %" PRIu64,
                        i, got, a->bytes);
        }
    }
    return TM_OK;
}

static tm_status check_tensor_names(struct parse *p)
{
    struct tm_pkg_name *names;
    if (tm_pkg_names_sort(p->meta, &names) != TM_OK) {
        return nomem(p);
    }
    tm_status status = TM_OK;
    for (uint32_t i = 1; i < p->meta->tensor_count && status == TM_OK; i++) {
        if (tm_view_eq(names[i - 1].name, names[i].name)) {
            status = FAIL(p, TM_PACKAGE_HEADER_BYTES,
                          "tensors %" PRIu32 " and %" PRIu32 " have one name", names[i - 1].index,
                          names[i].index);
        }
    }
    tm_free(names);
    return status;
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static tm_status check_attachment_names(struct parse *p)
{
    uint32_t count = p->meta->attachment_count;
    char **names = tm_calloc(count, sizeof *names);
    if (names == NULL) {
        return nomem(p);
    }
    for (uint32_t i = 0; i < count; i++) {
        names[i] = p->meta->attachments[i].name;
    }
    qsort(names, count, sizeof *names, text_order);
    tm_status status = TM_OK;
    for (uint32_t i = 1; i < count && status == TM_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            status = FAIL(p, TM_PACKAGE_HEADER_BYTES, "two attachments are called '%s'", names[i]);
        }
    }
    tm_free(names);
    return status;
}

static tm_status check_root(struct parse *p)
{
    const struct tm_pkg_meta *m = p->meta;
    struct tm_digest *leaves = tm_calloc(m->chunk_count, sizeof *leaves);
    if (leaves == NULL) {
        return nomem(p);
    }
    for (uint32_t i = 0; i < m->chunk_count; i++) {
        leaves[i] = m->chunks[i].leaf;
    }
    struct tm_digest root = tm_merkle_root(leaves, m->chunk_count);
    tm_free(leaves);
    if (!tm_digest_eq(&root, &p->layout->root)) {
        char got[TM_DIGEST_TEXT], want[TM_DIGEST_TEXT];
        return TM_PKG_FAIL(p->err, TM_E_VERIFY, p->name, 80,
                           "the Merkle root of the chunk table is %s, the header has %s",
                           tm_digest_hex(&root, got), tm_digest_hex(&p->layout->root, want));
    }
    return TM_OK;
}

static tm_status parse_chunks(struct parse *p)
{
    uint64_t next = p->layout->data_offset;
    if (p->next_chunk != p->meta->chunk_count) {
        return FAIL(p, here(p), "chunks from %" PRIu32 " of %" PRIu32 " belong to nothing",
                    p->next_chunk, p->meta->chunk_count);
    }
    for (uint32_t i = 0; i < p->meta->chunk_count; i++) {
        TM_TRY(parse_chunk(p, i, &next));
    }
    if (tm_cursor_left(&p->c) != 0) {
        return FAIL(p, here(p), "%zu bytes after the chunk table", tm_cursor_left(&p->c));
    }
    if (next != p->layout->back_offset) {
        return FAIL(p, here(p), "the chunks end at %" PRIu64 ", the ledger starts at %" PRIu64,
                    next, p->layout->back_offset);
    }
    return TM_OK;
}

static tm_status parse_all(struct parse *p)
{
    TM_TRY(parse_head(p));
    TM_TRY(check_plan(p));
    TM_TRY(parse_pipelines(p));
    for (uint32_t i = 0; i < p->meta->tensor_count; i++) {
        TM_TRY(parse_tensor(p, i));
    }
    for (uint32_t i = 0; i < p->meta->attachment_count; i++) {
        TM_TRY(parse_attachment(p, i));
    }
    TM_TRY(parse_chunks(p));
    TM_TRY(check_decoded(p));
    TM_TRY(check_tensor_names(p));
    TM_TRY(check_attachment_names(p));
    return check_root(p);
}

tm_status tm_pkg_tables_parse(struct tm_view tables, const char *name,
                              const struct tm_pkg_layout *layout, struct tm_pkg_meta *out,
                              struct tm_err *err)
{
    *out = (struct tm_pkg_meta){0};
    struct parse p = {
        .c = tm_cursor_of(tables), .name = name, .layout = layout, .meta = out, .err = err};
    tm_status status = parse_all(&p);
    if (status != TM_OK) {
        tm_pkg_meta_deinit(out);
    }
    return status;
}
