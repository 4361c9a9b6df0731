/* SPDX-License-Identifier: Apache-2.0
 * The text of a key file and how it lies on disk (docs/formats/key.md). Programs use
 * tm_identity_save and tm_identity_load; this is what stands behind them. */
#ifndef TM_CRYPTO_KEYFILE_H
#define TM_CRYPTO_KEYFILE_H

#include "crypto/identity.h"

#define TM_SEED_BYTES 32
#define TM_KEYFILE_BYTES_MAX 4096

/* Secret: the owner wipes it with tm_wipe. */
struct tm_keyfile {
    char name[TM_KEY_NAME_MAX + 1]; /* for people; may be empty */
    struct tm_public_key public_key;
    uint8_t seed[TM_SEED_BYTES]; /* RFC 8032 private key */
};

/* TM_E_USAGE when name is too long or has a quote, a backslash, a control character or bytes that
 * are not UTF-8. */
tm_status tm_keyfile_set_name(struct tm_keyfile *file, const char *name,
                              struct tm_err *err) TM_MUST_USE;
/* Appends the text of the file. */
tm_status tm_keyfile_format(const struct tm_keyfile *file, struct tm_buf *out) TM_MUST_USE;
/* Reads the text; where is what errors call it. Nothing of the values is put into an error. Does
 * not check that the public key belongs to the seed. On failure *out is wiped. */
tm_status tm_keyfile_parse(struct tm_view text, const char *where, struct tm_keyfile *out,
                           struct tm_err *err) TM_MUST_USE;

/* Makes a new file of mode 0600 and syncs it and its folder; an existing one is TM_E_REFUSED. After
 * a failure the file is gone. */
tm_status tm_keyfile_save(const struct tm_keyfile *file, const char *path,
                          struct tm_err *err) TM_MUST_USE;
/* TM_E_NOT_FOUND when there is none; TM_E_VERIFY when group or others may read or write it. On
 * failure *out is wiped. */
tm_status tm_keyfile_load(const char *path, struct tm_keyfile *out, struct tm_err *err) TM_MUST_USE;

#endif
