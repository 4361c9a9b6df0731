/* SPDX-License-Identifier: Apache-2.0
 * The ledger of a package as bytes (docs/formats/package.md). Inside package/ only; types and the
 * life cycle are in package/package.h. */
#ifndef TM_PACKAGE_LEDGER_H
#define TM_PACKAGE_LEDGER_H

#include "package/package.h"

/* Appends the ledger; a broken rule (order, an entry count other than chunk_count, an unknown node
 * or check bit) is TM_E_MALFORMED. */
tm_status tm_pkg_ledger_write(const struct tm_pkg_ledger *ledger, uint32_t chunk_count,
                              struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* Parses a ledger that lies at `offset` of the file `name`. On failure *out is empty. */
tm_status tm_pkg_ledger_parse(struct tm_view bytes, uint64_t offset, const char *name,
                              uint32_t chunk_count, struct tm_pkg_ledger *out,
                              struct tm_err *err) TM_MUST_USE;

#endif
