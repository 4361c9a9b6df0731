/* SPDX-License-Identifier: Apache-2.0
 * Content-addressed chunk store: DIR/objects/ab/<64 hex>. An object's name is the SHA-256 kind that
 * the caller gives (leaf hash or plain digest). Objects are written once by temporary file and
 * rename; a read checks the hash again, so a torn or rotten object is reported and removed, never
 * used. Below DIR no symbolic link is followed (base/root.h). */
#ifndef TM_PACKAGE_STORE_H
#define TM_PACKAGE_STORE_H

#include "base/file.h"
#include "crypto/merkle.h"

/* What the name of an object is the hash of. */
enum tm_store_kind { TM_STORE_LEAF /* tm_merkle_leaf */, TM_STORE_PLAIN /* tm_digest_of */ };

struct tm_store_options {
    const char *dir;
    enum tm_store_kind kind;
    bool sync;            /* fsync each object and its folder before put returns */
    uint64_t limit_bytes; /* 0: none; else the least recently used objects go first */
};

struct tm_store;
tm_status tm_store_open(const struct tm_store_options *options, struct tm_store **out,
                        struct tm_err *err) TM_MUST_USE;
void tm_store_close(struct tm_store **store);
bool tm_store_has(struct tm_store *store, const struct tm_digest *id);
/* TM_E_VERIFY when data does not hash to id. Putting an object that is there is TM_OK; one that is
 * there but torn (by a power cut) is replaced. */
tm_status tm_store_put(struct tm_store *store, const struct tm_digest *id, struct tm_view data,
                       struct tm_err *err) TM_MUST_USE;
/* Appends to out. TM_E_NOT_FOUND when absent; TM_E_VERIFY when rotten (and removed). */
tm_status tm_store_get(struct tm_store *store, const struct tm_digest *id, struct tm_buf *out,
                       struct tm_err *err) TM_MUST_USE;
tm_status tm_store_remove(struct tm_store *store, const struct tm_digest *id,
                          struct tm_err *err) TM_MUST_USE;
/* Makes everything put so far durable (syncfs-like barrier) when sync is off. */
tm_status tm_store_barrier(struct tm_store *store, struct tm_err *err) TM_MUST_USE;
uint64_t tm_store_bytes(struct tm_store *store);
uint64_t tm_store_count(struct tm_store *store); /* of objects, torn ones too */

#endif
