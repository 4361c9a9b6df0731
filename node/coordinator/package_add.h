/* SPDX-License-Identifier: Apache-2.0
 * One more file in a package: what was measured of it once it was made. */
#ifndef TM_NODE_PACKAGE_ADD_H
#define TM_NODE_PACKAGE_ADD_H

#include "package/package.h"

/* Writes the package `from` to `to` (which may be the same) with the attachment `name` behind those
 * that it has, in place of a last one of the same name. Chunks and results stay as they are; the
 * new chunk is owner's, and owner signs the whole. bytes: 1 to 16 MiB. Errors: those of
 * tm_package_open and tm_package_chunk; TM_E_USAGE when another attachment has the name. */
tm_status tm_package_add(const char *from, const char *to, const char *name, struct tm_view bytes,
                         const struct tm_identity *owner, struct tm_err *err) TM_MUST_USE;

#endif
