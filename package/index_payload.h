/* SPDX-License-Identifier: Apache-2.0
 * The payload of a signed index as JSON (docs/formats/repo.md). Inside package/ only: release.c has
 * verified the signature when it parses. */
#ifndef TM_PACKAGE_INDEX_PAYLOAD_H
#define TM_PACKAGE_INDEX_PAYLOAD_H

#include "package/release.h"

/* "packages/<id>.tmpk" into out. */
void tm_release_path(const struct tm_digest *package_id, char out[256]);
/* Appends the JSON text: the same bytes for the same index. */
tm_status tm_index_payload_write(const struct tm_index *index, struct tm_buf *out) TM_MUST_USE;
/* Strict: every key known and there, releases sorted, counters of a name consecutive from 1, paths
 * exactly as tm_release_path gives. On failure *out is empty. */
tm_status tm_index_payload_parse(struct tm_view json, const char *name, struct tm_index *out,
                                 struct tm_err *err) TM_MUST_USE;

#endif
