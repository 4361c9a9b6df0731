/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/identity.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/keyfile.h"

_Static_assert(TM_PUBLIC_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
_Static_assert(TM_CURVE_KEY_BYTES == crypto_scalarmult_BYTES, "X25519 key");
_Static_assert(TM_SEED_BYTES == crypto_sign_SEEDBYTES, "Ed25519 seed");

/* ---- start and random bytes ---- */

tm_status tm_crypto_init(struct tm_err *err)
{
    if (sodium_init() < 0) {
        return tm_err_set(err, TM_E_INTERNAL, NULL, "cannot start libsodium",
                          "check that /dev/urandom can be read",
                          "the system gives no random bytes");
    }
    return tm_digest_init(err);
}

void tm_random_bytes(void *out, size_t bytes)
{
    randombytes_buf(out, bytes);
}

void tm_wipe(void *data, size_t bytes)
{
    sodium_memzero(data, bytes);
}

/* ---- the public half ---- */

#define KEY_PREFIX "tmpub1"
#define KEY_PREFIX_BYTES (sizeof KEY_PREFIX - 1)
#define KEY_HEX_BYTES (2 * TM_PUBLIC_KEY_BYTES)
#define KEY_CHECK_BYTES 4 /* of the digest, behind the key */
#define KEY_TEXT_BYTES (KEY_PREFIX_BYTES + KEY_HEX_BYTES + 2 * KEY_CHECK_BYTES)
_Static_assert(KEY_TEXT_BYTES < TM_PUBLIC_KEY_TEXT, "key text fits");

bool tm_public_key_eq(const struct tm_public_key *a, const struct tm_public_key *b)
{
    return sodium_memcmp(a->b, b->b, TM_PUBLIC_KEY_BYTES) == 0;
}

struct tm_node_id tm_node_id_of(const struct tm_public_key *key)
{
    struct tm_digest digest = tm_digest_of(tm_view_of(key->b, TM_PUBLIC_KEY_BYTES));
    struct tm_node_id id;
    memcpy(id.b, digest.b, TM_NODE_ID_BYTES);
    return id;
}

bool tm_node_id_eq(const struct tm_node_id *a, const struct tm_node_id *b)
{
    return sodium_memcmp(a->b, b->b, TM_NODE_ID_BYTES) == 0;
}

const char *tm_node_id_hex(const struct tm_node_id *id, char *out)
{
    return tm_hex_encode(id->b, TM_NODE_ID_BYTES, out);
}

const char *tm_public_key_text(const struct tm_public_key *key, char *out)
{
    struct tm_digest check = tm_digest_of(tm_view_of(key->b, TM_PUBLIC_KEY_BYTES));
    memcpy(out, KEY_PREFIX, KEY_PREFIX_BYTES);
    tm_hex_encode(key->b, TM_PUBLIC_KEY_BYTES, out + KEY_PREFIX_BYTES);
    tm_hex_encode(check.b, KEY_CHECK_BYTES, out + KEY_PREFIX_BYTES + KEY_HEX_BYTES);
    return out;
}

static tm_status key_text_error(struct tm_err *err, const char *why)
{
    return tm_err_set(err, TM_E_MALFORMED, NULL, "not a public key",
                      "copy the whole line that 'tmill key show' prints", "%s", why);
}

tm_status tm_public_key_parse(struct tm_view text, struct tm_public_key *out, struct tm_err *err)
{
    if (text.bytes != KEY_TEXT_BYTES) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, "not a public key",
                          "copy the whole line that 'tmill key show' prints",
                          "it has %zu characters, a key has %zu", text.bytes,
                          (size_t)KEY_TEXT_BYTES);
    }
    if (memcmp(text.data, KEY_PREFIX, KEY_PREFIX_BYTES) != 0) {
        return key_text_error(err, "it does not begin with " KEY_PREFIX);
    }
    struct tm_public_key key;
    uint8_t check[KEY_CHECK_BYTES];
    const uint8_t *hex = text.data + KEY_PREFIX_BYTES;
    if (tm_hex_decode(tm_view_of(hex, KEY_HEX_BYTES), key.b, sizeof key.b) != TM_OK ||
        tm_hex_decode(tm_view_of(hex + KEY_HEX_BYTES, 2 * sizeof check), check, sizeof check) !=
            TM_OK) {
        return key_text_error(err, "it has characters that are no hex digits");
    }
    struct tm_digest digest = tm_digest_of(tm_view_of(key.b, sizeof key.b));
    if (memcmp(digest.b, check, sizeof check) != 0) {
        return key_text_error(err, "its last 8 digits do not fit the others: a typing error");
    }
    *out = key;
    return TM_OK;
}

tm_status tm_public_key_curve(const struct tm_public_key *key, uint8_t out[TM_CURVE_KEY_BYTES])
{
    if (crypto_sign_ed25519_pk_to_curve25519(out, key->b) != 0) {
        memset(out, 0, TM_CURVE_KEY_BYTES);
        return TM_E_MALFORMED;
    }
    return TM_OK;
}

/* ---- the secret half ---- */

struct tm_identity {
    struct tm_public_key public_key;
    char name[TM_KEY_NAME_MAX + 1];
    uint8_t *secret; /* guarded pages, read-only: the seed, then the public key */
};

static void forbid_dumps(void)
{
    const char *wish = getenv("TMILL_DUMPABLE");
    if (wish == NULL || strcmp(wish, "1") != 0) {
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

tm_status tm_identity_from_seed(const uint8_t seed[32], struct tm_identity **out,
                                struct tm_err *err)
{
    *out = NULL;
    struct tm_identity *identity = tm_calloc(1, sizeof *identity);
    if (identity == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "cannot make an identity", NULL, "out of memory");
    }
    identity->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    if (identity->secret == NULL) {
        tm_free(identity);
        return tm_err_set(err, TM_E_NOMEM, NULL, "cannot make an identity", NULL,
                          "no guarded memory for the secret key");
    }
    forbid_dumps();
    crypto_sign_seed_keypair(identity->public_key.b, identity->secret, seed);
    sodium_mprotect_readonly(identity->secret);
    *out = identity;
    return TM_OK;
}

tm_status tm_identity_generate(struct tm_identity **out, struct tm_err *err)
{
    uint8_t seed[TM_SEED_BYTES];
    tm_random_bytes(seed, sizeof seed);
    tm_status status = tm_identity_from_seed(seed, out, err);
    tm_wipe(seed, sizeof seed);
    return status;
}

void tm_identity_destroy(struct tm_identity **identity)
{
    if (*identity != NULL) {
        sodium_free((*identity)->secret); /* wipes first */
        tm_free(*identity);
        *identity = NULL;
    }
}

const char *tm_identity_name(const struct tm_identity *identity)
{
    return identity->name;
}

const struct tm_public_key *tm_identity_public(const struct tm_identity *identity)
{
    return &identity->public_key;
}

struct tm_node_id tm_identity_node_id(const struct tm_identity *identity)
{
    return tm_node_id_of(&identity->public_key);
}

void tm_identity_curve_secret(const struct tm_identity *identity, uint8_t out[TM_CURVE_KEY_BYTES])
{
    int failed = crypto_sign_ed25519_sk_to_curve25519(out, identity->secret);
    TM_ASSERT(failed == 0);
}

void tm_identity_derive(const struct tm_identity *identity, const char *label, struct tm_view data,
                        uint8_t out[32])
{
    const struct tm_view parts[] = {tm_view_str(label), tm_view_of(identity->secret, TM_SEED_BYTES),
                                    data};
    struct tm_digest digest = tm_digest_of_parts(parts, 3);
    memcpy(out, digest.b, sizeof digest.b);
    tm_wipe(&digest, sizeof digest);
}

void tm_identity_sign_raw(const struct tm_identity *identity, struct tm_view bytes, uint8_t out[64])
{
    crypto_sign_detached(out, NULL, bytes.data, bytes.bytes, identity->secret);
}

/* ---- key files ---- */

tm_status tm_identity_save(const struct tm_identity *identity, const char *path, const char *name,
                           struct tm_err *err)
{
    struct tm_keyfile file = {.public_key = identity->public_key};
    tm_status status = tm_keyfile_set_name(&file, name != NULL ? name : "", err);
    if (status == TM_OK) {
        memcpy(file.seed, identity->secret, sizeof file.seed);
        status = tm_keyfile_save(&file, path, err);
    }
    tm_wipe(&file, sizeof file);
    return status;
}

static tm_status from_file(const struct tm_keyfile *file, const char *path,
                           struct tm_identity **out, struct tm_err *err)
{
    TM_TRY(tm_identity_from_seed(file->seed, out, err));
    struct tm_identity *identity = *out;
    TM_ASSERT(identity != NULL);
    if (!tm_public_key_eq(&identity->public_key, &file->public_key)) {
        tm_identity_destroy(out);
        return tm_err_set(err, TM_E_VERIFY, path, "cannot use this key file",
                          "restore the file from a copy",
                          "its public key is not that of its secret seed");
    }
    memcpy(identity->name, file->name, sizeof file->name);
    return TM_OK;
}

tm_status tm_identity_load(const char *path, struct tm_identity **out, struct tm_err *err)
{
    *out = NULL;
    struct tm_keyfile file;
    tm_status status = tm_keyfile_load(path, &file, err);
    if (status == TM_OK) {
        status = from_file(&file, path, out, err);
    }
    tm_wipe(&file, sizeof file);
    return status;
}
