/* SPDX-License-Identifier: Apache-2.0
 * Reading a package (package.h): verified before parsed. */
#include "package/package.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "package/ledger.h"
#include "package/package_tables.h"

struct tm_package {
    struct tm_file_in *file;
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    struct tm_digest id;
    struct tm_public_key owner;
    struct tm_pkg_name *names; /* of the tensors, sorted */
};

/* ---- verification of both ends ---- */

static tm_status digest_mismatch(const char *name, uint64_t offset, const char *what,
                                 const struct tm_digest *got, const struct tm_digest *want,
                                 struct tm_err *err)
{
    char got_hex[TM_DIGEST_TEXT], want_hex[TM_DIGEST_TEXT];
    return TM_PKG_FAIL(err, TM_E_VERIFY, name, offset, "%s is %s, expected %s", what,
                       tm_digest_hex(got, got_hex), tm_digest_hex(want, want_hex));
}

/* What verification finds out before anything is parsed. */
struct verified {
    struct tm_pkg_layout layout;
    struct tm_pkg_tail tail;
    struct tm_digest id;
};

static tm_status check_owner(const struct verified *v, const char *name,
                             const struct tm_public_key *owner, struct tm_err *err)
{
    uint8_t message[TM_PKG_SIGNED_BYTES];
    uint64_t at = v->layout.file_bytes - TM_PACKAGE_TAIL_BYTES + 48;
    struct tm_node_id signer = tm_node_id_of(&v->tail.owner);
    char got[TM_NODE_ID_TEXT], want[TM_NODE_ID_TEXT];
    tm_node_id_hex(&signer, got);
    if (owner != NULL && !tm_public_key_eq(owner, &v->tail.owner)) {
        struct tm_node_id wanted = tm_node_id_of(owner);
        return TM_PKG_FAIL(err, TM_E_VERIFY, name, at, "signed by key %s, expected %s", got,
                           tm_node_id_hex(&wanted, want));
    }
    if (tm_sign_verify(&v->tail.owner, TM_SIGN_PACKAGE,
                       tm_pkg_signed(&v->id, &v->tail.ledger, message), &v->tail.sig) != TM_OK) {
        return TM_PKG_FAIL(err, TM_E_VERIFY, name, at, "the signature is not that of key %s", got);
    }
    return TM_OK;
}

static tm_status verify_ends(struct tm_view front, struct tm_view back, const char *name,
                             const struct tm_digest *id, const struct tm_public_key *owner,
                             struct verified *v, struct tm_err *err)
{
    TM_TRY(tm_pkg_header_parse(front, name, &v->layout, err));
    const struct tm_pkg_layout *l = &v->layout;
    if (front.bytes != l->front_bytes) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, front.bytes,
                           "header and tables have %" PRIu64 " bytes, %zu are there",
                           l->front_bytes, front.bytes);
    }
    if (back.bytes != l->file_bytes - l->back_offset) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, l->back_offset,
                           "ledger and tail have %" PRIu64 " bytes, %zu are there",
                           l->file_bytes - l->back_offset, back.bytes);
    }
    struct tm_view tables =
        tm_view_of(front.data + TM_PACKAGE_HEADER_BYTES, front.bytes - TM_PACKAGE_HEADER_BYTES);
    struct tm_view ledger = tm_view_of(back.data, (size_t)l->ledger_bytes);
    TM_TRY(tm_pkg_tail_parse(tm_view_of(back.data + ledger.bytes, TM_PACKAGE_TAIL_BYTES), name, l,
                             &v->tail, err));
    struct tm_digest got = tm_digest_of(tables);
    if (!tm_digest_eq(&got, &l->tables)) {
        return digest_mismatch(name, TM_PACKAGE_HEADER_BYTES, "SHA-256 of the tables", &got,
                               &l->tables, err);
    }
    got = tm_digest_of(ledger);
    if (!tm_digest_eq(&got, &v->tail.ledger)) {
        return digest_mismatch(name, l->back_offset, "SHA-256 of the ledger", &got, &v->tail.ledger,
                               err);
    }
    if (tm_pkg_id(front, &v->id) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, name, "cannot read the package", NULL, "out of memory");
    }
    if (id != NULL && !tm_digest_eq(id, &v->id)) {
        return digest_mismatch(name, 0, "the package id", &v->id, id, err);
    }
    return check_owner(v, name, owner, err);
}

static tm_status parse_verified(struct tm_view front, struct tm_view back, const char *name,
                                const struct verified *v, struct tm_pkg_meta *meta,
                                struct tm_pkg_ledger *ledger, struct tm_err *err)
{
    struct tm_view tables =
        tm_view_of(front.data + TM_PACKAGE_HEADER_BYTES, front.bytes - TM_PACKAGE_HEADER_BYTES);
    TM_TRY(tm_pkg_tables_parse(tables, name, &v->layout, meta, err));
    tm_status status =
        tm_pkg_ledger_parse(tm_view_of(back.data, (size_t)v->layout.ledger_bytes),
                            v->layout.back_offset, name, meta->chunk_count, ledger, err);
    if (status != TM_OK) {
        tm_pkg_meta_deinit(meta);
    }
    return status;
}

tm_status tm_pkg_parse_parts(struct tm_view front, struct tm_view back, const char *name,
                             const struct tm_digest *id, const struct tm_public_key *owner,
                             struct tm_pkg_meta *meta, struct tm_pkg_ledger *ledger,
                             struct tm_err *err)
{
    struct verified v;
    *meta = (struct tm_pkg_meta){0};
    *ledger = (struct tm_pkg_ledger){0};
    TM_TRY(verify_ends(front, back, name, id, owner, &v, err));
    return parse_verified(front, back, name, &v, meta, ledger, err);
}

/* ---- open ---- */

/* Appends `bytes` of the file from offset. */
static tm_status read_part(struct tm_file_in *file, uint64_t offset, uint64_t bytes,
                           struct tm_buf *out, struct tm_err *err)
{
    uint8_t *at;
    tm_status status = tm_buf_extend(out, (size_t)bytes, &at);
    if (status != TM_OK) {
        return tm_err_set(err, status, tm_file_path(file), "cannot read the package", NULL,
                          "out of memory: no room for %" PRIu64 " bytes", bytes);
    }
    return tm_file_read_at(file, offset, at, (size_t)bytes, err);
}

/* Fixed header, and the size that it declares against the file's. */
static tm_status read_layout(struct tm_file_in *file, struct tm_pkg_layout *out, struct tm_err *err)
{
    uint8_t header[TM_PACKAGE_HEADER_BYTES];
    const char *name = tm_file_path(file);
    uint64_t bytes = tm_file_bytes(file);
    size_t got = bytes < sizeof header ? (size_t)bytes : sizeof header;
    TM_TRY(tm_file_read_at(file, 0, header, got, err));
    TM_TRY(tm_pkg_header_parse(tm_view_of(header, got), name, out, err));
    if (out->file_bytes != bytes) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, bytes < out->file_bytes ? bytes : 120,
                           "the file has %" PRIu64 " bytes, its header says %" PRIu64, bytes,
                           out->file_bytes);
    }
    return TM_OK;
}

static tm_status open_parts(struct tm_package *p, struct tm_buf *front, struct tm_buf *back,
                            struct tm_err *err)
{
    struct verified v;
    const char *name = tm_file_path(p->file);
    TM_TRY(read_layout(p->file, &p->layout, err));
    TM_TRY(read_part(p->file, 0, p->layout.front_bytes, front, err));
    TM_TRY(read_part(p->file, p->layout.back_offset, p->layout.file_bytes - p->layout.back_offset,
                     back, err));
    TM_TRY(verify_ends(tm_buf_view(front), tm_buf_view(back), name, NULL, NULL, &v, err));
    p->layout = v.layout;
    p->id = v.id;
    p->owner = v.tail.owner;
    TM_TRY(
        parse_verified(tm_buf_view(front), tm_buf_view(back), name, &v, &p->meta, &p->ledger, err));
    if (tm_pkg_names_sort(&p->meta, &p->names) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, name, "cannot read the package", NULL, "out of memory");
    }
    return TM_OK;
}

tm_status tm_package_open(const char *path, struct tm_package **out, struct tm_err *err)
{
    return tm_package_open_in(NULL, path, out, err);
}

tm_status tm_package_open_in(const struct tm_root *root, const char *path, struct tm_package **out,
                             struct tm_err *err)
{
    struct tm_buf front, back;
    *out = NULL;
    struct tm_package *p = tm_calloc(1, sizeof *p);
    if (p == NULL) {
        return tm_err_set(err, TM_E_NOMEM, path, "cannot open the package", NULL, "out of memory");
    }
    tm_buf_init(&front, (size_t)TM_PACKAGE_HEADER_BYTES + TM_PACKAGE_TABLES_MAX);
    tm_buf_init(&back, (size_t)TM_PACKAGE_LEDGER_MAX + TM_PACKAGE_TAIL_BYTES);
    tm_status status = tm_file_open_in(root, path, &p->file, err);
    if (status == TM_OK) {
        status = open_parts(p, &front, &back, err);
    }
    tm_buf_deinit(&front);
    tm_buf_deinit(&back);
    if (status != TM_OK) {
        tm_package_close(&p);
        return status;
    }
    *out = p;
    return TM_OK;
}

void tm_package_close(struct tm_package **package)
{
    struct tm_package *p = *package;
    if (p == NULL) {
        return;
    }
    tm_file_close(&p->file);
    tm_pkg_meta_deinit(&p->meta);
    tm_pkg_ledger_deinit(&p->ledger);
    tm_free(p->names);
    tm_free(p);
    *package = NULL;
}

const struct tm_pkg_meta *tm_package_meta(const struct tm_package *package)
{
    return &package->meta;
}

const struct tm_pkg_ledger *tm_package_ledger(const struct tm_package *package)
{
    return &package->ledger;
}

const struct tm_digest *tm_package_id(const struct tm_package *package)
{
    return &package->id;
}

const struct tm_digest *tm_package_root(const struct tm_package *package)
{
    return &package->layout.root;
}

const struct tm_public_key *tm_package_owner(const struct tm_package *package)
{
    return &package->owner;
}

uint64_t tm_package_bytes(const struct tm_package *package)
{
    return package->layout.file_bytes;
}

uint32_t tm_package_find(const struct tm_package *package, const char *name, size_t name_bytes)
{
    uint32_t count = package->meta.tensor_count, low = 0, high = count;
    struct tm_view wanted = tm_view_of(name, name_bytes);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (tm_pkg_name_order(package->names[mid].name, wanted) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < count && tm_view_eq(package->names[low].name, wanted) ? package->names[low].index
                                                                       : UINT32_MAX;
}

uint32_t tm_pkg_attachment_find(const struct tm_pkg_meta *meta, const char *name)
{
    for (uint32_t i = 0; i < meta->attachment_count; i++) {
        if (strcmp(meta->attachments[i].name, name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* ---- chunks ---- */

tm_status tm_package_chunk(struct tm_package *package, uint32_t index, struct tm_buf *out,
                           struct tm_err *err)
{
    TM_ASSERT(index < package->meta.chunk_count);
    const struct tm_pkg_chunk *c = &package->meta.chunks[index];
    const char *name = tm_file_path(package->file);
    tm_buf_clear(out);
    TM_TRY(read_part(package->file, c->offset, c->bytes, out, err));
    struct tm_digest leaf = tm_merkle_leaf(tm_buf_view(out));
    if (!tm_digest_eq(&leaf, &c->leaf)) {
        char what[48];
        tm_buf_clear(out);
        snprintf(what, sizeof what, "the leaf hash of chunk %" PRIu32, index);
        return digest_mismatch(name, c->offset, what, &leaf, &c->leaf, err);
    }
    return TM_OK;
}

/* The bytes from `from` to `to` are zeros; fewer than TM_PACKAGE_ALIGN of them. */
static tm_status check_padding(struct tm_package *p, uint64_t from, uint64_t to, struct tm_err *err)
{
    uint8_t pad[TM_PACKAGE_ALIGN];
    TM_ASSERT(from <= to && to - from < sizeof pad);
    TM_TRY(tm_file_read_at(p->file, from, pad, (size_t)(to - from), err));
    for (size_t i = 0; i < to - from; i++) {
        if (pad[i] != 0) {
            return TM_PKG_FAIL(err, TM_E_MALFORMED, tm_file_path(p->file), from + i,
                               "padding is not zero");
        }
    }
    return TM_OK;
}

tm_status tm_package_check(struct tm_package *package, struct tm_err *err)
{
    const struct tm_pkg_meta *m = &package->meta;
    struct tm_buf chunk;
    tm_buf_init(&chunk, TM_PACKAGE_CHUNK_MAX);
    tm_status status =
        check_padding(package, package->layout.front_bytes, package->layout.data_offset, err);
    for (uint32_t i = 0; i < m->chunk_count && status == TM_OK; i++) {
        status = tm_package_chunk(package, i, &chunk, err);
        if (status == TM_OK) {
            uint64_t next =
                i + 1 < m->chunk_count ? m->chunks[i + 1].offset : package->layout.back_offset;
            status = check_padding(package, m->chunks[i].offset + m->chunks[i].bytes, next, err);
        }
    }
    tm_buf_deinit(&chunk);
    return status;
}

/* ---- ledger ---- */

tm_status tm_package_check_ledger(struct tm_package *package, uint32_t *good, struct tm_err *err)
{
    const struct tm_pkg_meta *m = &package->meta;
    const struct tm_pkg_ledger *l = &package->ledger;
    uint8_t bytes[TM_PKG_STATEMENT_MAX];
    uint32_t owner = 0, bad = UINT32_MAX;
    *good = 0;
    for (uint32_t i = 0; i < l->entry_count; i++) {
        const char *pipeline = m->pipelines[tm_pkg_chunk_pipeline(m, i, &owner)];
        struct tm_view statement = tm_pkg_statement(&m->plan_digest, i, &m->chunks[i].source,
                                                    &m->chunks[i].leaf, pipeline, bytes);
        const struct tm_pkg_ledger_entry *e = &l->entries[i];
        if (tm_sign_verify(&l->nodes[e->node], TM_SIGN_RESULT, statement, &e->sig) == TM_OK) {
            (*good)++;
        } else if (bad == UINT32_MAX) {
            bad = i;
        }
    }
    if (bad == UINT32_MAX) {
        return TM_OK;
    }
    struct tm_node_id id = tm_node_id_of(&l->nodes[l->entries[bad].node]);
    char hex[TM_NODE_ID_TEXT];
    return TM_PKG_FAIL(err, TM_E_VERIFY, tm_file_path(package->file), package->layout.back_offset,
                       "unit %" PRIu32 " is not signed by node %s; %" PRIu32 " of %" PRIu32
                       " signatures are good",
                       bad, tm_node_id_hex(&id, hex), *good, l->entry_count);
}
