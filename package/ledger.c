/* SPDX-License-Identifier: Apache-2.0 */
#include "package/ledger.h"

#include <inttypes.h>
#include <math.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "package/package_tables.h"

#define HEAD_BYTES 16
#define ENTRY_BYTES 88
#define CHECKS_KNOWN (TM_CHECK_DECODED | TM_CHECK_AUDITED | TM_CHECK_OWNER)

void tm_pkg_ledger_deinit(struct tm_pkg_ledger *ledger)
{
    tm_free(ledger->nodes);
    tm_free(ledger->entries);
    tm_free(ledger->banned);
    *ledger = (struct tm_pkg_ledger){0};
}

struct tm_view tm_pkg_statement(const struct tm_digest *plan, uint32_t chunk,
                                const struct tm_digest *source, const struct tm_digest *leaf,
                                const char *pipeline, uint8_t out[TM_PKG_STATEMENT_MAX])
{
    struct tm_view text = tm_view_str(pipeline);
    TM_ASSERT(text.bytes <= TM_PACKAGE_PIPELINE_MAX);
    memcpy(out, plan->b, 32);
    tm_set_u32(out + 32, chunk);
    memcpy(out + 36, source->b, 32);
    memcpy(out + 68, leaf->b, 32);
    tm_set_u32(out + 100, (uint32_t)text.bytes);
    memcpy(out + 104, text.data, text.bytes);
    return tm_view_of(out, 104 + text.bytes);
}

/* ---- rules, for both directions; `offset` is where the ledger lies ---- */

static tm_status check_rules(const struct tm_pkg_ledger *l, const char *name, uint64_t offset,
                             struct tm_err *err)
{
    uint64_t at = offset + HEAD_BYTES;
    for (uint32_t i = 1; i < l->node_count; i++) {
        if (memcmp(l->nodes[i - 1].b, l->nodes[i].b, TM_PUBLIC_KEY_BYTES) >= 0) {
            return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at + (uint64_t)i * TM_PUBLIC_KEY_BYTES,
                               "node keys of the ledger are not sorted and unique");
        }
    }
    at += (uint64_t)l->node_count * TM_PUBLIC_KEY_BYTES;
    for (uint32_t i = 1; i < l->banned_count; i++) {
        if (memcmp(l->banned[i - 1].b, l->banned[i].b, TM_NODE_ID_BYTES) >= 0) {
            return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at + (uint64_t)i * TM_NODE_ID_BYTES,
                               "banned nodes of the ledger are not sorted and unique");
        }
    }
    at += (uint64_t)l->banned_count * TM_NODE_ID_BYTES;
    for (uint32_t i = 0; i < l->entry_count; i++, at += ENTRY_BYTES) {
        const struct tm_pkg_ledger_entry *e = &l->entries[i];
        if (e->chunk != i) {
            return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at,
                               "ledger entry %" PRIu32 " is of chunk %" PRIu32, i, e->chunk);
        }
        if ((e->checks & ~(uint32_t)CHECKS_KNOWN) != 0) {
            return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at,
                               "ledger entry %" PRIu32 " has unknown checks 0x%" PRIx32, i,
                               e->checks);
        }
        if (e->node >= l->node_count) {
            return TM_PKG_FAIL(err, TM_E_MALFORMED, name, at + 4,
                               "ledger entry %" PRIu32 " names node %" PRIu32 " of %" PRIu32, i,
                               e->node, l->node_count);
        }
    }
    return TM_OK;
}

static tm_status check_entry_count(uint32_t entries, uint32_t chunks, const char *name,
                                   uint64_t offset, struct tm_err *err)
{
    if (entries != chunks) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, offset + 4,
                           "the ledger has %" PRIu32 " entries for %" PRIu32 " chunks", entries,
                           chunks);
    }
    return TM_OK;
}

/* ---- writing ---- */

static tm_status put_all(const struct tm_pkg_ledger *l, struct tm_buf *out)
{
    TM_TRY(tm_buf_put_u32(out, l->node_count));
    TM_TRY(tm_buf_put_u32(out, l->entry_count));
    TM_TRY(tm_buf_put_u32(out, l->banned_count));
    TM_TRY(tm_buf_put_u32(out, 0));
    for (uint32_t i = 0; i < l->node_count; i++) {
        TM_TRY(tm_buf_put(out, l->nodes[i].b, TM_PUBLIC_KEY_BYTES));
    }
    for (uint32_t i = 0; i < l->banned_count; i++) {
        TM_TRY(tm_buf_put(out, l->banned[i].b, TM_NODE_ID_BYTES));
    }
    for (uint32_t i = 0; i < l->entry_count; i++) {
        const struct tm_pkg_ledger_entry *e = &l->entries[i];
        TM_TRY(tm_buf_put_u32(out, e->checks));
        TM_TRY(tm_buf_put_u32(out, e->node));
        TM_TRY(tm_buf_put_u64(out, e->squared_error_bits));
        TM_TRY(tm_buf_put_u64(out, e->squared_norm_bits));
        TM_TRY(tm_buf_put(out, e->sig.b, TM_SIGNATURE_BYTES));
    }
    return TM_OK;
}

tm_status tm_pkg_ledger_write(const struct tm_pkg_ledger *ledger, uint32_t chunk_count,
                              struct tm_buf *out, struct tm_err *err)
{
    TM_TRY(check_entry_count(ledger->entry_count, chunk_count, "ledger", 0, err));
    TM_TRY(check_rules(ledger, "ledger", 0, err));
    tm_status status = put_all(ledger, out);
    if (status != TM_OK) {
        return tm_err_set(err, status, NULL, "cannot write the ledger", NULL, "%s at %zu bytes",
                          tm_status_text(status), out->bytes);
    }
    return TM_OK;
}

/* ---- parsing ---- */

static void take_bytes(struct tm_cursor *c, void *out, size_t bytes)
{
    struct tm_view v = tm_cursor_take(c, bytes);
    TM_ASSERT(v.bytes == bytes); /* the total was checked */
    memcpy(out, v.data, bytes);
}

static void take_entry(struct tm_cursor *c, uint32_t chunk, struct tm_pkg_ledger_entry *e)
{
    e->chunk = chunk;
    e->checks = tm_cursor_u32(c);
    e->node = tm_cursor_u32(c);
    e->squared_error_bits = tm_cursor_u64(c);
    e->squared_norm_bits = tm_cursor_u64(c);
    take_bytes(c, e->sig.b, TM_SIGNATURE_BYTES);
}

static tm_status take_all(struct tm_cursor *c, struct tm_pkg_ledger *out)
{
    out->nodes = tm_calloc(out->node_count, sizeof *out->nodes);
    out->banned = tm_calloc(out->banned_count, sizeof *out->banned);
    out->entries = tm_calloc(out->entry_count, sizeof *out->entries);
    if (out->nodes == NULL || out->banned == NULL || out->entries == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < out->node_count; i++) {
        take_bytes(c, out->nodes[i].b, TM_PUBLIC_KEY_BYTES);
    }
    for (uint32_t i = 0; i < out->banned_count; i++) {
        take_bytes(c, out->banned[i].b, TM_NODE_ID_BYTES);
    }
    for (uint32_t i = 0; i < out->entry_count; i++) {
        take_entry(c, i, &out->entries[i]);
    }
    return TM_OK;
}

tm_status tm_pkg_ledger_parse(struct tm_view bytes, uint64_t offset, const char *name,
                              uint32_t chunk_count, struct tm_pkg_ledger *out, struct tm_err *err)
{
    struct tm_cursor c = tm_cursor_of(bytes);
    *out = (struct tm_pkg_ledger){0};
    uint32_t nodes = tm_cursor_u32(&c), entries = tm_cursor_u32(&c);
    uint32_t banned = tm_cursor_u32(&c), reserved = tm_cursor_u32(&c);
    if (c.overrun) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, offset, "the ledger has no head");
    }
    if (reserved != 0) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, offset + 12,
                           "reserved bytes of the ledger are not zero");
    }
    TM_TRY(check_entry_count(entries, chunk_count, name, offset, err));
    uint64_t need = (uint64_t)nodes * TM_PUBLIC_KEY_BYTES + (uint64_t)banned * TM_NODE_ID_BYTES +
                    (uint64_t)entries * ENTRY_BYTES;
    if (need != tm_cursor_left(&c)) {
        return TM_PKG_FAIL(err, TM_E_MALFORMED, name, offset,
                           "the counts of the ledger need %" PRIu64 " bytes, it has %zu", need,
                           tm_cursor_left(&c));
    }
    out->node_count = nodes;
    out->entry_count = entries;
    out->banned_count = banned;
    tm_status status = take_all(&c, out);
    if (status != TM_OK) {
        tm_err_set(err, status, name, "cannot read the ledger", NULL,
                   "not enough memory for %zu bytes", bytes.bytes);
    } else {
        status = check_rules(out, name, offset, err);
    }
    if (status != TM_OK) {
        tm_pkg_ledger_deinit(out);
    }
    return status;
}

double tm_pkg_relative_error(const struct tm_pkg_ledger *ledger, uint32_t first, uint32_t count)
{
    double error = 0.0, norm = 0.0;
    for (uint32_t i = first; i < first + count; i++) {
        error += tm_f64_from_bits(ledger->entries[i].squared_error_bits);
        norm += tm_f64_from_bits(ledger->entries[i].squared_norm_bits);
    }
    return norm > 0.0 ? sqrt(error / norm) : 0.0;
}
