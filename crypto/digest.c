/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "base/mem.h"

/* ---- the algorithm and a context per thread ---- */

/* Fetching an algorithm and making a context cost more than hashing a short message, so both are
 * done once: the first per process, the second per thread. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static pthread_key_t context_key;
static bool context_key_made;

/* OpenSSL allocates whenever a hash begins. When it cannot, libsodium, which never allocates, makes
 * the same digest more slowly. */
struct state {
    EVP_MD_CTX *openssl; /* NULL: there was no memory for it */
    bool plain;          /* this hash is libsodium's */
    crypto_hash_sha256_state sodium;
};
static _Thread_local struct state thread_state;

static void context_free(void *context)
{
    EVP_MD_CTX_free(context);
}

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    context_key_made = pthread_key_create(&context_key, context_free) == 0;
}

tm_status tm_digest_init(struct tm_err *err)
{
    pthread_once(&fetch_once, fetch);
    if (sha256 == NULL || !context_key_made) {
        return tm_err_set(err, TM_E_INTERNAL, NULL, "cannot start SHA-256",
                          "check the OpenSSL installation (openssl list -digest-algorithms)",
                          "OpenSSL 3 gives no SHA256 implementation, or memory is out");
    }
    return TM_OK;
}

static const EVP_MD *algorithm(void)
{
    pthread_once(&fetch_once, fetch);
    TM_ASSERT(sha256 != NULL && context_key_made);
    return sha256;
}

static struct state *state_of_thread(void)
{
    if (thread_state.openssl == NULL) {
        (void)algorithm();
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        /* The key's destructor frees the context when the thread ends. */
        if (context != NULL && pthread_setspecific(context_key, context) != 0) {
            EVP_MD_CTX_free(context);
            context = NULL;
        }
        thread_state.openssl = context;
    }
    return &thread_state;
}

static void start(struct state *state)
{
    state->plain =
        state->openssl == NULL || EVP_DigestInit_ex2(state->openssl, algorithm(), NULL) != 1;
    if (state->plain) {
        crypto_hash_sha256_init(&state->sodium);
    }
}

static void update(struct state *state, const void *data, size_t bytes)
{
    /* Both take NULL for no bytes. */
    if (state->plain) {
        crypto_hash_sha256_update(&state->sodium, data, bytes);
    } else {
        int ok = EVP_DigestUpdate(state->openssl, data, bytes);
        TM_ASSERT(ok == 1);
    }
}

static struct tm_digest final(struct state *state)
{
    struct tm_digest out;
    if (state->plain) {
        crypto_hash_sha256_final(&state->sodium, out.b);
    } else {
        int ok = EVP_DigestFinal_ex(state->openssl, out.b, NULL);
        TM_ASSERT(ok == 1);
    }
    return out;
}

/* ---- digests ---- */

struct tm_digest tm_digest_of_parts(const struct tm_view *parts, size_t count)
{
    struct state *state = state_of_thread();
    start(state);
    for (size_t i = 0; i < count; i++) {
        update(state, parts[i].data, parts[i].bytes);
    }
    return final(state);
}

struct tm_digest tm_digest_of(struct tm_view data)
{
    return tm_digest_of_parts(&data, 1);
}

bool tm_digest_eq(const struct tm_digest *a, const struct tm_digest *b)
{
    return CRYPTO_memcmp(a->b, b->b, TM_DIGEST_BYTES) == 0;
}

bool tm_digest_is_zero(const struct tm_digest *d)
{
    static const struct tm_digest zero;
    return tm_digest_eq(d, &zero);
}

/* ---- text ---- */

const char *tm_hex_encode(const uint8_t *data, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * bytes] = '\0';
    return out;
}

/* The value of a hex digit, -1 for any other byte. */
static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

tm_status tm_hex_decode(struct tm_view hex, uint8_t *out, size_t bytes)
{
    if (hex.bytes % 2 != 0 || hex.bytes / 2 != bytes) {
        return TM_E_MALFORMED;
    }
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit(hex.data[2 * i]);
        int low = hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return TM_E_MALFORMED;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return TM_OK;
}

const char *tm_digest_hex(const struct tm_digest *d, char *out)
{
    return tm_hex_encode(d->b, TM_DIGEST_BYTES, out);
}

tm_status tm_digest_parse(struct tm_view hex, struct tm_digest *out)
{
    struct tm_digest parsed;
    TM_TRY(tm_hex_decode(hex, parsed.b, TM_DIGEST_BYTES));
    *out = parsed;
    return TM_OK;
}

/* ---- streaming ---- */

struct tm_hash {
    struct state state;
};

tm_status tm_hash_new(struct tm_hash **out)
{
    *out = NULL;
    struct tm_hash *hash = tm_alloc(sizeof *hash);
    if (hash == NULL) {
        return TM_E_NOMEM;
    }
    hash->state.openssl = EVP_MD_CTX_new();
    start(&hash->state);
    *out = hash;
    return TM_OK;
}

void tm_hash_destroy(struct tm_hash **hash)
{
    if (*hash != NULL) {
        EVP_MD_CTX_free((*hash)->state.openssl);
        tm_free(*hash);
        *hash = NULL;
    }
}

void tm_hash_update(struct tm_hash *hash, const void *data, size_t bytes)
{
    update(&hash->state, data, bytes);
}

struct tm_digest tm_hash_final(struct tm_hash *hash)
{
    struct tm_digest out = final(&hash->state);
    start(&hash->state);
    return out;
}
