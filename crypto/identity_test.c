/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/identity.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "tests/support/suite.h"

/* RFC 8032 section 7.1, TEST 1 to 3. */
static const struct {
    const char *seed, *public_key, *message, *signature;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
     "b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
     "1d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
     "c6594a7c15e9716ed28dc027beceea1ec40a"},
};
#define RFC_COUNT (sizeof rfc8032 / sizeof rfc8032[0])

static struct tm_identity *rfc_identity(size_t i)
{
    uint8_t seed[32];
    struct tm_identity *identity = NULL;
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(tm_hex_decode(tm_view_str(rfc8032[i].seed), seed, sizeof seed), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &identity, NULL), TM_OK);
    return identity;
}

START_TEST(keys_and_signatures_are_those_of_rfc_8032)
{
    for (size_t i = 0; i < RFC_COUNT; i++) {
        struct tm_identity *identity = rfc_identity(i);
        uint8_t key[32], message[2], expected[64], sig[64];
        size_t bytes = strlen(rfc8032[i].message) / 2;
        ck_assert_int_eq(tm_hex_decode(tm_view_str(rfc8032[i].public_key), key, 32), TM_OK);
        ck_assert_int_eq(tm_hex_decode(tm_view_str(rfc8032[i].message), message, bytes), TM_OK);
        ck_assert_int_eq(tm_hex_decode(tm_view_str(rfc8032[i].signature), expected, 64), TM_OK);
        ck_assert_mem_eq(tm_identity_public(identity)->b, key, 32);
        tm_identity_sign_raw(identity, tm_view_of(message, bytes), sig);
        ck_assert_mem_eq(sig, expected, 64);
        tm_identity_destroy(&identity);
        ck_assert_ptr_null(identity);
        tm_identity_destroy(&identity);
    }
}
END_TEST

START_TEST(generated_identities_differ)
{
    struct tm_identity *a = NULL, *b = NULL;
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(tm_identity_generate(&a, NULL), TM_OK);
    ck_assert_int_eq(tm_identity_generate(&b, NULL), TM_OK);
    ck_assert(!tm_public_key_eq(tm_identity_public(a), tm_identity_public(b)));
    ck_assert(tm_public_key_eq(tm_identity_public(a), tm_identity_public(a)));
    struct tm_node_id ida = tm_identity_node_id(a), idb = tm_identity_node_id(b);
    ck_assert(!tm_node_id_eq(&ida, &idb));
    ck_assert(tm_node_id_eq(&ida, &ida));
    ck_assert_str_eq(tm_identity_name(a), "");
    tm_identity_destroy(&a);
    tm_identity_destroy(&b);
}
END_TEST

/* printf '<public key of TEST 1 as bytes>' | sha256sum */
START_TEST(a_process_with_a_secret_cannot_be_dumped)
{
    struct tm_identity *identity = NULL;
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    ck_assert_int_eq(setenv("TMILL_DUMPABLE", "1", 1), 0);
    ck_assert_int_eq(tm_identity_generate(&identity, NULL), TM_OK);
    ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    tm_identity_destroy(&identity);
    ck_assert_int_eq(setenv("TMILL_DUMPABLE", "0", 1), 0);
    ck_assert_int_eq(tm_identity_generate(&identity, NULL), TM_OK);
    ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    tm_identity_destroy(&identity);
    ck_assert_int_eq(unsetenv("TMILL_DUMPABLE"), 0);
    ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    ck_assert_int_eq(tm_identity_generate(&identity, NULL), TM_OK);
    ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    tm_identity_destroy(&identity);
}
END_TEST

START_TEST(the_node_id_is_the_start_of_the_key_digest)
{
    struct tm_identity *identity = rfc_identity(0);
    char id_text[TM_NODE_ID_TEXT], key_text[TM_PUBLIC_KEY_TEXT];
    struct tm_node_id id = tm_identity_node_id(identity);
    ck_assert_str_eq(tm_node_id_hex(&id, id_text), "21fe31dfa154a261626bf854046fd2271b7bed4b");
    ck_assert_str_eq(tm_public_key_text(tm_identity_public(identity), key_text),
                     "tmpub1d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
                     "21fe31df");
    tm_identity_destroy(&identity);
}
END_TEST

START_TEST(key_text_goes_there_and_back_and_typing_errors_are_seen)
{
    struct tm_identity *identity = rfc_identity(1);
    char text[TM_PUBLIC_KEY_TEXT];
    tm_public_key_text(tm_identity_public(identity), text);
    struct tm_public_key key = {{0}};
    struct tm_err err = {0};
    ck_assert_int_eq(tm_public_key_parse(tm_view_str(text), &key, &err), TM_OK);
    ck_assert(tm_public_key_eq(&key, tm_identity_public(identity)));
    struct tm_public_key out = {{0}};
    for (size_t i = 0; i < strlen(text); i++) {
        char kept = text[i];
        text[i] = (char)(kept == '7' ? '8' : '7');
        ck_assert_int_eq(tm_public_key_parse(tm_view_str(text), &out, &err), TM_E_MALFORMED);
        text[i] = 'g'; /* no hex digit */
        ck_assert_int_eq(tm_public_key_parse(tm_view_str(text), &out, &err), TM_E_MALFORMED);
        ck_assert_str_eq(err.why, i < 6 ? "it does not begin with tmpub1"
                                        : "it has characters that are no hex digits");
        text[i] = kept;
        ck_assert_int_eq(tm_public_key_parse(tm_view_of(text, i), &out, &err), TM_E_MALFORMED);
    }
    ck_assert_uint_eq(out.b[0], 0);
    ck_assert_int_eq(tm_public_key_parse(tm_view_str("tmpub1"), &out, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "it has 6 characters, a key has 78");
    ck_assert_ptr_nonnull(strstr(err.hint, "tmill key show"));
    tm_identity_destroy(&identity);
}
END_TEST

/* The two halves must belong together: X25519(secret, base point) by OpenSSL is the public half. */
START_TEST(the_curve_keys_are_a_pair)
{
    for (size_t i = 0; i < RFC_COUNT; i++) {
        struct tm_identity *identity = rfc_identity(i);
        uint8_t secret[32], public_key[32], expected[32];
        size_t bytes = sizeof expected;
        tm_identity_curve_secret(identity, secret);
        ck_assert_int_eq(tm_public_key_curve(tm_identity_public(identity), public_key), TM_OK);
        EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
        ck_assert_ptr_nonnull(pair);
        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(pair, expected, &bytes), 1);
        ck_assert_mem_eq(public_key, expected, 32);
        EVP_PKEY_free(pair);
        tm_wipe(secret, sizeof secret);
        ck_assert_uint_eq(secret[0] | secret[31], 0);
        tm_identity_destroy(&identity);
    }
}
END_TEST

START_TEST(a_key_that_is_no_point_has_no_curve_key)
{
    struct tm_public_key small_order = {{1}};
    struct tm_public_key no_point = {{2}};
    uint8_t out[32] = {9};
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    ck_assert_int_eq(tm_public_key_curve(&small_order, out), TM_E_MALFORMED);
    ck_assert_uint_eq(out[0], 0);
    ck_assert_int_eq(tm_public_key_curve(&no_point, out), TM_E_MALFORMED);
}
END_TEST

START_TEST(derived_secrets_follow_label_seed_and_data)
{
    struct tm_identity *identity = rfc_identity(2);
    uint8_t out[32], bytes[5 + 32 + 3];
    memcpy(bytes, "audit", 5);
    ck_assert_int_eq(tm_hex_decode(tm_view_str(rfc8032[2].seed), bytes + 5, 32), TM_OK);
    memcpy(bytes + 37, "xyz", 3);
    struct tm_digest expected = tm_digest_of(tm_view_of(bytes, sizeof bytes));
    tm_identity_derive(identity, "audit", tm_view_str("xyz"), out);
    ck_assert_mem_eq(out, expected.b, 32);
    tm_identity_derive(identity, "audit", tm_view_str("xyy"), out);
    ck_assert_mem_ne(out, expected.b, 32);
    tm_identity_destroy(&identity);
}
END_TEST

START_TEST(random_bytes_are_not_constant)
{
    uint8_t a[32] = {0}, b[32] = {0};
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    tm_random_bytes(a, sizeof a);
    tm_random_bytes(b, sizeof b);
    ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

static char dir[] = "/tmp/tm-identity-XXXXXX";
static char path[64];

static void make_dir(void)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/node.key", dir);
}

static void remove_dir(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(saved_identities_load_again)
{
    struct tm_identity *identity = rfc_identity(0), *back = NULL;
    struct tm_err err = {0};
    struct stat st;
    ck_assert_int_eq(tm_identity_save(identity, path, "Zoë", &err), TM_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(tm_identity_load(path, &back, &err), TM_OK);
    ck_assert(tm_public_key_eq(tm_identity_public(identity), tm_identity_public(back)));
    ck_assert_str_eq(tm_identity_name(back), "Zoë");
    uint8_t a[64], b[64];
    tm_identity_sign_raw(identity, tm_view_str("x"), a);
    tm_identity_sign_raw(back, tm_view_str("x"), b);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_int_eq(tm_identity_save(back, path, NULL, &err), TM_E_REFUSED);
    tm_identity_destroy(&back);
    tm_identity_destroy(&identity);
}
END_TEST

START_TEST(a_public_key_of_another_seed_is_refused)
{
    struct tm_identity *identity = NULL;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_crypto_init(NULL), TM_OK);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f,
            "format = \"tensormill-key-1\"\nseed = \"%s\"\n"
            "public = \"tmpub1%s21fe31df\"\n",
            rfc8032[1].seed, rfc8032[0].public_key);
    fclose(f);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(tm_identity_load(path, &identity, &err), TM_E_VERIFY);
    ck_assert_ptr_null(identity);
    struct tm_identity *none = (struct tm_identity *)path;
    ck_assert_int_eq(tm_identity_load("/nonexistent/x.key", &none, NULL), TM_E_NOT_FOUND);
    ck_assert_ptr_null(none);
    ck_assert_str_eq(err.where, path);
    ck_assert_str_eq(err.why, "its public key is not that of its secret seed");
}
END_TEST

START_TEST(a_name_that_is_not_allowed_is_not_saved)
{
    struct tm_identity *identity = rfc_identity(0);
    struct tm_err err = {0};
    ck_assert_int_eq(tm_identity_save(identity, path, "a\nb", &err), TM_E_USAGE);
    ck_assert_str_eq(err.what, "cannot use this key name");
    ck_assert_int_eq(access(path, F_OK), -1);
    tm_identity_destroy(&identity);
}
END_TEST

/* ---- libsodium that fails: the linker sends its calls here ---- */

static bool sodium_fails;

int __real_sodium_init(void);
int __wrap_sodium_init(void);
int __wrap_sodium_init(void)
{
    return sodium_fails ? -1 : __real_sodium_init();
}

void *__real_sodium_malloc(size_t bytes);
void *__wrap_sodium_malloc(size_t bytes);
void *__wrap_sodium_malloc(size_t bytes)
{
    return sodium_fails ? NULL : __real_sodium_malloc(bytes);
}

START_TEST(no_random_bytes_and_no_guarded_memory_are_told)
{
    static const uint8_t seed[32];
    struct tm_identity *identity = NULL;
    struct tm_err err = {0};
    size_t before = tm_mem_live_blocks();
    ck_assert_int_eq(tm_crypto_init(&err), TM_OK);
    sodium_fails = true;
    ck_assert_int_eq(tm_crypto_init(&err), TM_E_INTERNAL);
    ck_assert_str_eq(err.why, "the system gives no random bytes");
    ck_assert_int_eq(tm_identity_from_seed(seed, &identity, &err), TM_E_NOMEM);
    ck_assert_str_eq(err.why, "no guarded memory for the secret key");
    sodium_fails = false;
    ck_assert_ptr_null(identity);
    ck_assert_uint_eq(tm_mem_live_blocks(), before);
}
END_TEST

START_TEST(failed_allocations_are_statuses_and_leak_nothing)
{
    struct tm_identity *identity = rfc_identity(0);
    size_t before = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        ck_assert_uint_lt(n, 100);
        struct tm_identity *back = NULL;
        struct tm_err err = {0};
        tm_mem_fail_at(n);
        tm_status status = tm_identity_save(identity, path, "n", &err);
        if (status == TM_OK) {
            status = tm_identity_load(path, &back, &err);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_identity_destroy(&back);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
        unlink(path);
    }
    tm_identity_destroy(&identity);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("identity");
    TCase *keys = tcase_create("keys");
    tcase_add_test(keys, keys_and_signatures_are_those_of_rfc_8032);
    tcase_add_test(keys, generated_identities_differ);
    tcase_add_test(keys, a_process_with_a_secret_cannot_be_dumped);
    tcase_add_test(keys, the_node_id_is_the_start_of_the_key_digest);
    tcase_add_test(keys, key_text_goes_there_and_back_and_typing_errors_are_seen);
    tcase_add_test(keys, the_curve_keys_are_a_pair);
    tcase_add_test(keys, a_key_that_is_no_point_has_no_curve_key);
    tcase_add_test(keys, derived_secrets_follow_label_seed_and_data);
    tcase_add_test(keys, random_bytes_are_not_constant);
    tcase_add_test(keys, no_random_bytes_and_no_guarded_memory_are_told);
    suite_add_tcase(suite, keys);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_test(files, saved_identities_load_again);
    tcase_add_test(files, a_public_key_of_another_seed_is_refused);
    tcase_add_test(files, a_name_that_is_not_allowed_is_not_saved);
    tcase_add_test(files, failed_allocations_are_statuses_and_leak_nothing);
    suite_add_tcase(suite, files);
    return suite;
}
