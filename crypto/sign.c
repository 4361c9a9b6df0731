/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/sign.h"

#include <sodium.h>
#include <string.h>

#include "crypto/digest.h"

#define LABEL_MAX 64

static const char *const labels[TM_SIGN_LABEL_COUNT] = {
#define TM_SIGN_LABEL_TEXT(code, text) [code] = (text),
    TM_SIGN_LABEL_LIST(TM_SIGN_LABEL_TEXT)
#undef TM_SIGN_LABEL_TEXT
};

const char *tm_sign_label_text(enum tm_sign_label label)
{
    TM_ASSERT(label < TM_SIGN_LABEL_COUNT);
    return labels[label];
}

/* What is really signed: label, NUL, SHA-256 of the message. Returns its length. */
static size_t signed_bytes(enum tm_sign_label label, struct tm_view message,
                           uint8_t out[LABEL_MAX + TM_DIGEST_BYTES])
{
    const char *text = tm_sign_label_text(label);
    size_t with_nul = strlen(text) + 1;
    TM_ASSERT(with_nul <= LABEL_MAX);
    memcpy(out, text, with_nul);
    struct tm_digest digest = tm_digest_of(message);
    memcpy(out + with_nul, digest.b, TM_DIGEST_BYTES);
    return with_nul + TM_DIGEST_BYTES;
}

struct tm_signature tm_sign(const struct tm_identity *identity, enum tm_sign_label label,
                            struct tm_view message)
{
    uint8_t bytes[LABEL_MAX + TM_DIGEST_BYTES];
    size_t count = signed_bytes(label, message, bytes);
    struct tm_signature sig;
    tm_identity_sign_raw(identity, tm_view_of(bytes, count), sig.b);
    return sig;
}

tm_status tm_sign_verify(const struct tm_public_key *key, enum tm_sign_label label,
                         struct tm_view message, const struct tm_signature *sig)
{
    uint8_t bytes[LABEL_MAX + TM_DIGEST_BYTES];
    size_t count = signed_bytes(label, message, bytes);
    return tm_verify_raw(key, tm_view_of(bytes, count), sig);
}

tm_status tm_verify_raw(const struct tm_public_key *key, struct tm_view bytes,
                        const struct tm_signature *sig)
{
    return crypto_sign_verify_detached(sig->b, bytes.data, bytes.bytes, key->b) == 0 ? TM_OK
                                                                                     : TM_E_VERIFY;
}
