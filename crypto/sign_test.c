/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/sign.h"

#include <openssl/evp.h>
#include <string.h>

#include "crypto/digest.h"
#include "tests/support/suite.h"

static struct tm_identity *identity_of(uint8_t fill)
{
    uint8_t seed[32];
    memset(seed, fill, sizeof seed);
    struct tm_identity *identity = NULL;
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &identity, NULL), TM_OK);
    return identity;
}

/* OpenSSL's Ed25519 as a judge that shares no code with libsodium. */
static bool openssl_accepts(const struct tm_public_key *key, struct tm_view bytes,
                            const struct tm_signature *sig)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->b, sizeof key->b);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ck_assert_ptr_nonnull(pkey);
    ck_assert_int_eq(EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey), 1);
    bool good = EVP_DigestVerify(context, sig->b, sizeof sig->b, bytes.data, bytes.bytes) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    return good;
}

START_TEST(labels_are_all_there_and_all_different)
{
    for (int i = 0; i < TM_SIGN_LABEL_COUNT; i++) {
        ck_assert_int_eq(strncmp(tm_sign_label_text((enum tm_sign_label)i), "tensormill.", 11), 0);
        for (int k = 0; k < i; k++) {
            ck_assert_str_ne(tm_sign_label_text((enum tm_sign_label)i),
                             tm_sign_label_text((enum tm_sign_label)k));
        }
    }
    ck_assert_str_eq(tm_sign_label_text(TM_SIGN_RESULT), "tensormill.result.v1");
}
END_TEST

START_TEST(the_signed_bytes_are_label_nul_digest)
{
    struct tm_identity *identity = identity_of(7);
    struct tm_view message = tm_view_str("a message of any length");
    struct tm_signature sig = tm_sign(identity, TM_SIGN_INDEX, message);
    uint8_t bytes[20 + 32] = "tensormill.index.v1"; /* 19 letters and the NUL */
    struct tm_digest digest = tm_digest_of(message);
    memcpy(bytes + 20, digest.b, sizeof digest.b);
    const struct tm_public_key *key = tm_identity_public(identity);
    ck_assert(openssl_accepts(key, tm_view_of(bytes, sizeof bytes), &sig));
    bytes[0] ^= 1;
    ck_assert(!openssl_accepts(key, tm_view_of(bytes, sizeof bytes), &sig));
    tm_identity_destroy(&identity);
}
END_TEST

START_TEST(a_signature_is_good_for_its_label_only)
{
    struct tm_identity *identity = identity_of(1);
    const struct tm_public_key *key = tm_identity_public(identity);
    struct tm_view message = tm_view_str("unit 17");
    for (int i = 0; i < TM_SIGN_LABEL_COUNT; i++) {
        struct tm_signature sig = tm_sign(identity, (enum tm_sign_label)i, message);
        for (int k = 0; k < TM_SIGN_LABEL_COUNT; k++) {
            tm_status status = tm_sign_verify(key, (enum tm_sign_label)k, message, &sig);
            ck_assert_int_eq(status, i == k ? TM_OK : TM_E_VERIFY);
        }
    }
    tm_identity_destroy(&identity);
}
END_TEST

START_TEST(any_change_breaks_the_signature)
{
    struct tm_identity *identity = identity_of(1);
    struct tm_identity *stranger = identity_of(2);
    const struct tm_public_key *key = tm_identity_public(identity);
    char text[] = "unit 17 of job 3";
    struct tm_view message = tm_view_str(text);
    struct tm_signature sig = tm_sign(identity, TM_SIGN_RESULT, message);
    ck_assert_int_eq(tm_sign_verify(key, TM_SIGN_RESULT, message, &sig), TM_OK);
    ck_assert_int_eq(tm_sign_verify(tm_identity_public(stranger), TM_SIGN_RESULT, message, &sig),
                     TM_E_VERIFY);
    for (size_t i = 0; i < message.bytes; i++) {
        text[i] ^= 4;
        ck_assert_int_eq(tm_sign_verify(key, TM_SIGN_RESULT, message, &sig), TM_E_VERIFY);
        text[i] ^= 4;
    }
    for (size_t bit = 0; bit < 8 * sizeof sig.b; bit++) {
        struct tm_signature changed = sig;
        changed.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_eq(tm_sign_verify(key, TM_SIGN_RESULT, message, &changed), TM_E_VERIFY);
    }
    tm_identity_destroy(&stranger);
    tm_identity_destroy(&identity);
}
END_TEST

/* S + L verifies by the bare equation; RFC 8032 section 5.1.7 wants S < L, else anybody could make
 * a second valid signature of the same message. */
START_TEST(a_malleable_twin_is_refused)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    struct tm_identity *identity = identity_of(3);
    struct tm_view message = tm_view_str("m");
    struct tm_signature sig = tm_sign(identity, TM_SIGN_BAN, message);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)sig.b[32 + i] + order[i];
        sig.b[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    ck_assert_uint_eq(carry, 0);
    ck_assert_int_eq(tm_sign_verify(tm_identity_public(identity), TM_SIGN_BAN, message, &sig),
                     TM_E_VERIFY);
    tm_identity_destroy(&identity);
}
END_TEST

/* With a public key of small order, one signature fits many messages. */
START_TEST(keys_of_small_order_are_refused)
{
    struct tm_public_key key = {{1}};
    struct tm_signature sig = {{1}};
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(tm_sign_verify(&key, TM_SIGN_HELLO, tm_view_str("x"), &sig), TM_E_VERIFY);
    ck_assert_int_eq(tm_sign_verify(&key, TM_SIGN_HELLO, tm_view_str("y"), &sig), TM_E_VERIFY);
}
END_TEST

START_TEST(signing_is_deterministic_and_takes_empty_messages)
{
    struct tm_identity *identity = identity_of(9);
    struct tm_view empty = {NULL, 0};
    struct tm_signature a = tm_sign(identity, TM_SIGN_PACKAGE, empty);
    struct tm_signature b = tm_sign(identity, TM_SIGN_PACKAGE, empty);
    ck_assert_mem_eq(a.b, b.b, sizeof a.b);
    ck_assert_int_eq(tm_sign_verify(tm_identity_public(identity), TM_SIGN_PACKAGE, empty, &a),
                     TM_OK);
    tm_identity_destroy(&identity);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("sign");
    TCase *tests = tcase_create("sign");
    tcase_add_test(tests, labels_are_all_there_and_all_different);
    tcase_add_test(tests, the_signed_bytes_are_label_nul_digest);
    tcase_add_test(tests, a_signature_is_good_for_its_label_only);
    tcase_add_test(tests, any_change_breaks_the_signature);
    tcase_add_test(tests, a_malleable_twin_is_refused);
    tcase_add_test(tests, keys_of_small_order_are_refused);
    tcase_add_test(tests, signing_is_deterministic_and_takes_empty_messages);
    suite_add_tcase(suite, tests);
    return suite;
}
