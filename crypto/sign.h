/* SPDX-License-Identifier: Apache-2.0
 * Ed25519 signatures with a domain label: the signed bytes are label || 0x00 || SHA-256(message),
 * so that a signature for one kind of message is never one for another. */
#ifndef TM_CRYPTO_SIGN_H
#define TM_CRYPTO_SIGN_H

#include "crypto/identity.h"

#define TM_SIGNATURE_BYTES 64

struct tm_signature {
    uint8_t b[TM_SIGNATURE_BYTES];
};

/* X(enum, label) : one label per kind of signed message; labels are never reused. */
#define TM_SIGN_LABEL_LIST(X)                                                                      \
    X(TM_SIGN_PACKAGE, "tensormill.package.v1")                                                    \
    X(TM_SIGN_RESULT, "tensormill.result.v1")                                                      \
    X(TM_SIGN_INDEX, "tensormill.index.v1")                                                        \
    X(TM_SIGN_HELLO, "tensormill.hello.v1")                                                        \
    X(TM_SIGN_BAN, "tensormill.ban.v1")

#define TM_SIGN_LABEL_ENUM(code, text) code,
enum tm_sign_label { TM_SIGN_LABEL_LIST(TM_SIGN_LABEL_ENUM) TM_SIGN_LABEL_COUNT };
#undef TM_SIGN_LABEL_ENUM

const char *tm_sign_label_text(enum tm_sign_label label);
struct tm_signature tm_sign(const struct tm_identity *identity, enum tm_sign_label label,
                            struct tm_view message);
/* TM_E_VERIFY when the signature is not key's for this label and message. */
tm_status tm_sign_verify(const struct tm_public_key *key, enum tm_sign_label label,
                         struct tm_view message, const struct tm_signature *sig) TM_MUST_USE;
/* Ed25519 over exactly these bytes, the only check of a signature in the product: strict, so keys
 * and R of low order or with another encoding than the canonical one, S not below the order, and
 * equations that hold only times the cofactor are TM_E_VERIFY. Only tm_sign_verify and the judges
 * call it: everybody else verifies with a domain label. */
tm_status tm_verify_raw(const struct tm_public_key *key, struct tm_view bytes,
                        const struct tm_signature *sig) TM_MUST_USE;

#endif
