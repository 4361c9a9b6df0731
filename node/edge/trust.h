/* SPDX-License-Identifier: Apache-2.0
 * The publishers that a device believes: DIR/trust/<key id>.pub, one public key a file, and the
 * place that each installed model came from: DIR/models/NAME/remote. */
#ifndef TM_NODE_TRUST_H
#define TM_NODE_TRUST_H

#include "crypto/identity.h"

#define TM_TRUST_MAX 256

struct tm_trust {
    struct tm_public_key keys[TM_TRUST_MAX];
    size_t count;
};

/* All keys of the store, sorted by key id; none when there is no such folder. A *.pub that is no
 * key, or another than its name says, is TM_E_MALFORMED; too many are TM_E_LIMIT. */
tm_status tm_trust_load(const char *store, struct tm_trust *out, struct tm_err *err) TM_MUST_USE;
/* TM_E_NOTHING when the key is there already. */
tm_status tm_trust_add(const char *store, const struct tm_public_key *key,
                       struct tm_err *err) TM_MUST_USE;
/* TM_E_NOT_FOUND when it is not trusted, TM_E_USAGE when it is no key id. */
tm_status tm_trust_remove(const char *store, const char *key_id, struct tm_err *err) TM_MUST_USE;

/* location into out[TM_PATH_MAX]; TM_E_NOT_FOUND when none was recorded. */
tm_status tm_remote_read(const char *store, const char *name, char *out,
                         struct tm_err *err) TM_MUST_USE;
/* The model is installed; location is one line. */
tm_status tm_remote_write(const char *store, const char *name, const char *location,
                          struct tm_err *err) TM_MUST_USE;

#endif
