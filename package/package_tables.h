/* SPDX-License-Identifier: Apache-2.0
 * The fixed header, the tables and the tail of a package as bytes (docs/formats/package.md). Inside
 * package/ only; callers have already verified the digests when they parse. */
#ifndef TM_PACKAGE_PACKAGE_TABLES_H
#define TM_PACKAGE_PACKAGE_TABLES_H

#include "package/package.h"

/* "NAME: at byte OFFSET" into out; returns out. */
#define TM_PKG_WHERE_BYTES 512
const char *tm_pkg_where(char *out, const char *name, uint64_t offset);
/* A failure at a byte of the package `name`, with the reason as a format and its arguments. */
#define TM_PKG_FAIL(err, status, name, offset, ...)                                                \
    tm_err_set(err, status, tm_pkg_where((char[TM_PKG_WHERE_BYTES]){0}, name, offset),             \
               "cannot use the package", NULL, __VA_ARGS__)

/* ---- fixed header ---- */

void tm_pkg_header_write(const struct tm_pkg_layout *layout, uint8_t out[TM_PACKAGE_HEADER_BYTES]);
/* As tm_pkg_layout_parse, with the file name for errors. */
tm_status tm_pkg_header_parse(struct tm_view header, const char *name, struct tm_pkg_layout *out,
                              struct tm_err *err) TM_MUST_USE;
/* front: fixed header and tables. Needs memory for the hash state only. */
tm_status tm_pkg_id(struct tm_view front, struct tm_digest *out) TM_MUST_USE;

/* ---- tail ---- */

struct tm_pkg_tail {
    uint64_t ledger_offset, ledger_bytes;
    struct tm_digest ledger;
    struct tm_public_key owner;
    struct tm_signature sig;
};
void tm_pkg_tail_write(const struct tm_pkg_tail *tail, uint8_t out[TM_PACKAGE_TAIL_BYTES]);
/* Checks magic, reserved bytes and agreement with the layout; no signature. */
tm_status tm_pkg_tail_parse(struct tm_view bytes, const char *name,
                            const struct tm_pkg_layout *layout, struct tm_pkg_tail *out,
                            struct tm_err *err) TM_MUST_USE;
/* What the owner signs: id || digest of the ledger. */
#define TM_PKG_SIGNED_BYTES 64
struct tm_view tm_pkg_signed(const struct tm_digest *id, const struct tm_digest *ledger,
                             uint8_t out[TM_PKG_SIGNED_BYTES]);

/* ---- tables ---- */

/* Appends the tables of meta; chunk offsets must be set. No rule is checked here. */
tm_status tm_pkg_tables_write(const struct tm_pkg_meta *meta, struct tm_buf *out) TM_MUST_USE;
/* Bytes that tm_pkg_tables_write will append. */
uint64_t tm_pkg_tables_bytes(const struct tm_pkg_meta *meta);
/* Parses with every count, range and rule of the format checked. layout gives the data region that
 * the chunk table must tile and the root that its leaves must have. On failure *out is empty. */
tm_status tm_pkg_tables_parse(struct tm_view tables, const char *name,
                              const struct tm_pkg_layout *layout, struct tm_pkg_meta *out,
                              struct tm_err *err) TM_MUST_USE;
/* The pipeline index of chunk, which belongs to a tensor or an attachment. *owner is a position
 * kept between calls with growing chunk numbers; 0 at the start. */
uint32_t tm_pkg_chunk_pipeline(const struct tm_pkg_meta *meta, uint32_t chunk, uint32_t *owner);

/* ---- both ends of a package, as the writer makes them ---- */

/* Sets chunk offsets in meta and *layout (all but ledger and file size), appends fixed header and
 * tables to the empty `front`, and checks every rule by parsing them: TM_E_MALFORMED. */
tm_status tm_pkg_front(struct tm_pkg_meta *meta, const char *path, struct tm_pkg_layout *layout,
                       struct tm_buf *front, struct tm_err *err) TM_MUST_USE;
/* Appends ledger and signed tail to the empty `back` and completes *layout. */
tm_status tm_pkg_back(struct tm_pkg_layout *layout, const struct tm_digest *id,
                      const struct tm_pkg_ledger *ledger, uint32_t chunk_count,
                      const struct tm_identity *owner, struct tm_buf *back,
                      struct tm_err *err) TM_MUST_USE;

/* ---- names ---- */

/* Tensors by name (bytewise). */
struct tm_pkg_name {
    struct tm_view name;
    uint32_t index;
};
/* Sorted names of all tensors; free with tm_free. */
/* Byte by byte, a prefix before what it begins: < 0, 0 or > 0. */
int tm_pkg_name_order(struct tm_view a, struct tm_view b);
tm_status tm_pkg_names_sort(const struct tm_pkg_meta *meta, struct tm_pkg_name **out) TM_MUST_USE;

#endif
