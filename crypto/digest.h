/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 content ids (OpenSSL EVP), and the Merkle hashes built on them. */
#ifndef TM_CRYPTO_DIGEST_H
#define TM_CRYPTO_DIGEST_H

#include "base/buf.h"

#define TM_DIGEST_BYTES 32
#define TM_DIGEST_TEXT 65 /* 64 hex digits and a NUL */

struct tm_digest {
    uint8_t b[TM_DIGEST_BYTES];
};

struct tm_digest tm_digest_of(struct tm_view data);
/* The digest of the parts put one after another. */
struct tm_digest tm_digest_of_parts(const struct tm_view *parts, size_t count);
bool tm_digest_eq(const struct tm_digest *a, const struct tm_digest *b); /* constant time */
bool tm_digest_is_zero(const struct tm_digest *d);
/* Lower-case hex into out[TM_DIGEST_TEXT]; returns out. */
const char *tm_digest_hex(const struct tm_digest *d, char *out);
/* Exactly 64 hex digits of either case; TM_E_MALFORMED otherwise, and *out is untouched. */
tm_status tm_digest_parse(struct tm_view hex, struct tm_digest *out) TM_MUST_USE;

/* Hex of any bytes (text is 2*bytes+1) and back (exact length; out is undefined on failure). */
const char *tm_hex_encode(const uint8_t *data, size_t bytes, char *out);
tm_status tm_hex_decode(struct tm_view hex, uint8_t *out, size_t bytes) TM_MUST_USE;

/* Looks the algorithm up in OpenSSL once per process; part of tm_crypto_init, safe to repeat.
 * TM_E_INTERNAL when OpenSSL does not provide SHA-256. Without it the first digest does the same
 * and aborts on failure. */
tm_status tm_digest_init(struct tm_err *err) TM_MUST_USE;

/* Streaming. One hash may be used by one thread at a time. */
struct tm_hash;
tm_status tm_hash_new(struct tm_hash **out) TM_MUST_USE;
void tm_hash_destroy(struct tm_hash **hash);
void tm_hash_update(struct tm_hash *hash, const void *data, size_t bytes);
/* Gives the digest and starts over. */
struct tm_digest tm_hash_final(struct tm_hash *hash);

#endif
