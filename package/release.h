/* SPDX-License-Identifier: Apache-2.0
 * What a publisher's folder holds: `index.json`, an envelope {"payload": "<base64 of JSON>",
 * "keyid", "key", "sig"} signed with label TM_SIGN_INDEX, and `packages/<package id>.tmpk`. The
 * payload lists per model name its releases, counters only grow (docs/formats/repo.md). */
#ifndef TM_PACKAGE_RELEASE_H
#define TM_PACKAGE_RELEASE_H

#include "crypto/digest.h"
#include "crypto/sign.h"

#define TM_RELEASE_NAME_MAX 128 /* [A-Za-z0-9._-], not starting with a dot */

struct tm_release {
    char name[TM_RELEASE_NAME_MAX + 1];
    uint64_t counter; /* per name, from 1, +1 each publish */
    struct tm_digest package_id;
    uint64_t bytes; /* of the package file */
    char path[256]; /* relative: "packages/<id>.tmpk" */
    char notes[256];
};

struct tm_index {
    uint64_t version; /* of the index itself, +1 each publish; never goes down on a device */
    struct tm_release *releases; /* sorted by name, then counter */
    size_t count;
};

void tm_index_init(struct tm_index *index);
void tm_index_deinit(struct tm_index *index);
bool tm_release_name_ok(const char *name);
/* Newest release of name, or NULL. */
const struct tm_release *tm_index_latest(const struct tm_index *index, const char *name);
/* Adds the next release of name (counter = last + 1) and bumps version. */
tm_status tm_index_add(struct tm_index *index, const char *name, const struct tm_digest *package_id,
                       uint64_t bytes, const char *notes, struct tm_err *err) TM_MUST_USE;
/* The signed envelope. */
tm_status tm_index_write(const struct tm_index *index, const struct tm_identity *identity,
                         struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* Verifies the signature by one of `trusted` before the payload is parsed. TM_E_VERIFY: unknown key
 * (the line names its id and the hint says `trust add`), bad signature. name is for errors; signer
 * may be NULL. Envelope <= 16 MiB. */
tm_status tm_index_read(struct tm_view envelope, const char *name,
                        const struct tm_public_key *trusted, size_t trusted_count,
                        struct tm_index *out, struct tm_public_key *signer,
                        struct tm_err *err) TM_MUST_USE;

#endif
