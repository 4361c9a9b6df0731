/* SPDX-License-Identifier: Apache-2.0
 * Who somebody is: an Ed25519 key pair (libsodium). From it come the key id, the node id and the
 * X25519 pair of CURVE sockets, so the transport key provably belongs to the signing key. */
#ifndef TM_CRYPTO_IDENTITY_H
#define TM_CRYPTO_IDENTITY_H

#include "base/buf.h"

#define TM_PUBLIC_KEY_BYTES 32
#define TM_NODE_ID_BYTES 20
#define TM_NODE_ID_TEXT 41
#define TM_CURVE_KEY_BYTES 32
#define TM_PUBLIC_KEY_TEXT 80

struct tm_public_key {
    uint8_t b[TM_PUBLIC_KEY_BYTES]; /* Ed25519, RFC 8032 */
};
/* First 20 bytes of SHA-256 of the public key. Also called key id. */
struct tm_node_id {
    uint8_t b[TM_NODE_ID_BYTES];
};

/* Must be called once before anything of crypto/ is used; safe to repeat. */
tm_status tm_crypto_init(struct tm_err *err) TM_MUST_USE;
/* Cryptographic random bytes (sodium). */
void tm_random_bytes(void *out, size_t bytes);

bool tm_public_key_eq(const struct tm_public_key *a, const struct tm_public_key *b);
struct tm_node_id tm_node_id_of(const struct tm_public_key *key);
bool tm_node_id_eq(const struct tm_node_id *a, const struct tm_node_id *b);
const char *tm_node_id_hex(const struct tm_node_id *id, char *out /* TM_NODE_ID_TEXT */);
/* "tmpub1" and 64 hex digits of the key, then 8 hex digits of SHA-256 over it as a check. */
const char *tm_public_key_text(const struct tm_public_key *key, char *out /* TM_PUBLIC_KEY_TEXT */);
tm_status tm_public_key_parse(struct tm_view text, struct tm_public_key *out,
                              struct tm_err *err) TM_MUST_USE;
/* X25519 key of the same owner, for CURVE (crypto_sign_ed25519_pk_to_curve25519). TM_E_MALFORMED
 * when the key is no point of the curve's main subgroup; out is then zero. */
tm_status tm_public_key_curve(const struct tm_public_key *key,
                              uint8_t out[TM_CURVE_KEY_BYTES]) TM_MUST_USE;

/* The secret half, in guarded memory: locked, between pages that cannot be touched, read-only after
 * it was made, wiped at the end. The first one of a process makes it undumpable: no core file, and
 * no other process of the same user may read its memory or attach a debugger. TMILL_DUMPABLE=1 in
 * the environment leaves that out. */
struct tm_identity;
tm_status tm_identity_generate(struct tm_identity **out, struct tm_err *err) TM_MUST_USE;
/* From a 32-byte seed: tests and derived identities. */
tm_status tm_identity_from_seed(const uint8_t seed[32], struct tm_identity **out,
                                struct tm_err *err) TM_MUST_USE;
void tm_identity_destroy(struct tm_identity **identity);
/* The name given to tm_identity_save, "" for an identity that was not loaded; borrowed. */
const char *tm_identity_name(const struct tm_identity *identity);
const struct tm_public_key *tm_identity_public(const struct tm_identity *identity);
struct tm_node_id tm_identity_node_id(const struct tm_identity *identity);
/* Secret X25519 key for CURVE; the caller wipes it with tm_wipe. */
void tm_identity_curve_secret(const struct tm_identity *identity, uint8_t out[TM_CURVE_KEY_BYTES]);
/* SHA-256(label || seed || data): secret, repeatable choices such as which units are audited. */
void tm_identity_derive(const struct tm_identity *identity, const char *label, struct tm_view data,
                        uint8_t out[32]);
void tm_wipe(void *data, size_t bytes);

/* Ed25519 over exactly these bytes (RFC 8032, deterministic). Only crypto/sign.c calls it:
 * everybody else signs with a domain label. */
void tm_identity_sign_raw(const struct tm_identity *identity, struct tm_view bytes,
                          uint8_t out[64]);

/* Key file: text, mode 0600, TOML-like lines (docs/formats/key.md). Loading refuses a file that
 * group or others can read (TM_E_VERIFY, the hint says chmod 600). Saving never overwrites
 * (TM_E_REFUSED); name is for people, may be NULL, at most TM_KEY_NAME_MAX bytes of UTF-8 without
 * control characters, quotes and backslashes (else TM_E_USAGE). */
#define TM_KEY_NAME_MAX 63
tm_status tm_identity_save(const struct tm_identity *identity, const char *path, const char *name,
                           struct tm_err *err) TM_MUST_USE;
tm_status tm_identity_load(const char *path, struct tm_identity **out,
                           struct tm_err *err) TM_MUST_USE;

#endif
