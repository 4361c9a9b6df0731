/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

/* FIPS 180-4 examples (NIST CSRC) and the empty message. */
static const struct {
    const char *text;
    size_t repeat;
    const char *hex;
} vectors[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};
#define VECTOR_COUNT (sizeof vectors / sizeof vectors[0])

static void expect_hex(struct tm_digest digest, const char *hex)
{
    char text[TM_DIGEST_TEXT];
    ck_assert_str_eq(tm_digest_hex(&digest, text), hex);
}

START_TEST(digests_are_those_of_fips_180)
{
    struct tm_hash *hash = NULL;
    ck_assert_int_eq(tm_hash_new(&hash), TM_OK);
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        for (size_t n = 0; n < vectors[i].repeat; n++) {
            tm_hash_update(hash, vectors[i].text, strlen(vectors[i].text));
        }
        expect_hex(tm_hash_final(hash), vectors[i].hex);
        if (vectors[i].repeat == 1) {
            expect_hex(tm_digest_of(tm_view_str(vectors[i].text)), vectors[i].hex);
        }
    }
    tm_hash_destroy(&hash);
    ck_assert_ptr_null(hash);
    tm_hash_destroy(&hash);
}
END_TEST

START_TEST(every_way_of_cutting_a_message_gives_the_same_digest)
{
    uint8_t data[200];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    struct tm_digest whole = tm_digest_of(tm_view_of(data, sizeof data));
    struct tm_hash *hash = NULL;
    ck_assert_int_eq(tm_hash_new(&hash), TM_OK);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        const struct tm_view parts[] = {{data, cut}, {NULL, 0}, {data + cut, sizeof data - cut}};
        struct tm_digest joined = tm_digest_of_parts(parts, 3);
        ck_assert(tm_digest_eq(&joined, &whole));
        tm_hash_update(hash, data, cut);
        /* A one-shot digest in between must not touch the stream. */
        expect_hex(tm_digest_of(tm_view_str("abc")), vectors[1].hex);
        tm_hash_update(hash, data + cut, sizeof data - cut);
        struct tm_digest streamed = tm_hash_final(hash);
        ck_assert(tm_digest_eq(&streamed, &whole));
    }
    tm_hash_destroy(&hash);
}
END_TEST

static void *hash_in_thread(void *context)
{
    struct tm_digest *out = context;
    for (int i = 0; i < 1000; i++) {
        *out = tm_digest_of(tm_view_str("abc"));
    }
    return NULL;
}

START_TEST(threads_hash_independently)
{
    pthread_t threads[4];
    struct tm_digest digests[4] = {0};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hash_in_thread, &digests[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        expect_hex(digests[i], vectors[1].hex);
    }
}
END_TEST

START_TEST(equality_sees_every_byte)
{
    struct tm_digest a = {0};
    ck_assert(tm_digest_is_zero(&a));
    for (size_t i = 0; i < TM_DIGEST_BYTES; i++) {
        struct tm_digest b = a;
        b.b[i] = 0x80;
        ck_assert(!tm_digest_eq(&a, &b));
        ck_assert(!tm_digest_is_zero(&b));
    }
    ck_assert(tm_digest_eq(&a, &a));
}
END_TEST

START_TEST(hex_goes_there_and_back)
{
    struct tm_digest digest, back;
    for (size_t i = 0; i < TM_DIGEST_BYTES; i++) {
        digest.b[i] = (uint8_t)(i * 8 + 3);
    }
    char text[TM_DIGEST_TEXT + 2] = "";
    text[TM_DIGEST_TEXT] = text[TM_DIGEST_TEXT + 1] = '#';
    tm_digest_hex(&digest, text);
    ck_assert_uint_eq(strlen(text), TM_DIGEST_TEXT - 1);
    ck_assert_int_eq(text[TM_DIGEST_TEXT], '#');
    ck_assert_int_eq(tm_digest_parse(tm_view_str(text), &back), TM_OK);
    ck_assert(tm_digest_eq(&digest, &back));
    for (char *c = text; *c != '\0'; c++) {
        *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    }
    ck_assert_int_eq(tm_digest_parse(tm_view_str(text), &back), TM_OK);
    ck_assert(tm_digest_eq(&digest, &back));
    uint8_t few[2];
    ck_assert_int_eq(tm_hex_decode(tm_view_str("09fF"), few, sizeof few), TM_OK);
    ck_assert_uint_eq(few[0], 0x09);
    ck_assert_uint_eq(few[1], 0xff);
    ck_assert_int_eq(tm_hex_decode(tm_view_str("a000"), few, sizeof few), TM_OK);
    ck_assert_uint_eq(few[0], 0xa0);
    ck_assert_uint_eq(few[1], 0);
}
END_TEST

START_TEST(bad_hex_is_refused_and_leaves_the_output)
{
    char text[TM_DIGEST_TEXT + 1];
    struct tm_digest digest = tm_digest_of(tm_view_str("abc"));
    struct tm_digest out = {0};
    tm_digest_hex(&digest, text);
    for (size_t bytes = 0; bytes < 64; bytes++) {
        ck_assert_int_eq(tm_digest_parse(tm_view_of(text, bytes), &out), TM_E_MALFORMED);
    }
    memcpy(text + 64, "00", 2);
    ck_assert_int_eq(tm_digest_parse(tm_view_of(text, 65), &out), TM_E_MALFORMED);
    ck_assert_int_eq(tm_digest_parse(tm_view_of(text, 66), &out), TM_E_MALFORMED);
    static const uint8_t bad[] = {0, ' ', '/', ':', '@', 'G', '`', 'g', 'x', 0x80, 0xff};
    for (size_t i = 0; i < 64; i++) {
        for (size_t k = 0; k < sizeof bad; k++) {
            char kept = text[i];
            text[i] = (char)bad[k];
            ck_assert_int_eq(tm_digest_parse(tm_view_of(text, 64), &out), TM_E_MALFORMED);
            text[i] = kept;
        }
    }
    ck_assert(tm_digest_is_zero(&out));
}
END_TEST

START_TEST(a_failed_allocation_is_a_status)
{
    size_t before = tm_mem_live_blocks();
    struct tm_hash *hash = NULL;
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_hash_new(&hash), TM_E_NOMEM);
    ck_assert(tm_mem_failed());
    ck_assert_ptr_null(hash);
    ck_assert_int_eq(tm_hash_new(&hash), TM_OK);
    tm_hash_destroy(&hash);
    ck_assert_uint_eq(tm_mem_live_blocks(), before);
}
END_TEST

/* ---- OpenSSL and the system that fail: the linker sends their calls here ---- */

static unsigned contexts, starts, kept;
static enum { FAIL_NOTHING, FAIL_FETCH, FAIL_KEY, FAIL_CONTEXT, FAIL_START, FAIL_SPECIFIC } failing;

EVP_MD *__real_EVP_MD_fetch(OSSL_LIB_CTX *lib, const char *name, const char *properties);
EVP_MD *__wrap_EVP_MD_fetch(OSSL_LIB_CTX *lib, const char *name, const char *properties);
EVP_MD *__wrap_EVP_MD_fetch(OSSL_LIB_CTX *lib, const char *name, const char *properties)
{
    return failing == FAIL_FETCH ? NULL : __real_EVP_MD_fetch(lib, name, properties);
}

int __real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    return failing == FAIL_KEY ? 1 : __real_pthread_key_create(key, destructor);
}

EVP_MD_CTX *__real_EVP_MD_CTX_new(void);
EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void);
EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void)
{
    contexts++;
    return failing == FAIL_CONTEXT ? NULL : __real_EVP_MD_CTX_new();
}

int __real_EVP_DigestInit_ex2(EVP_MD_CTX *context, const EVP_MD *md, const OSSL_PARAM *params);
int __wrap_EVP_DigestInit_ex2(EVP_MD_CTX *context, const EVP_MD *md, const OSSL_PARAM *params);
int __wrap_EVP_DigestInit_ex2(EVP_MD_CTX *context, const EVP_MD *md, const OSSL_PARAM *params)
{
    starts++;
    return failing == FAIL_START ? 0 : __real_EVP_DigestInit_ex2(context, md, params);
}

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    kept++;
    return failing == FAIL_SPECIFIC ? 1 : __real_pthread_setspecific(key, value);
}

/* The start happens once in a process: Check gives each of these one of its own. */
START_TEST(an_openssl_without_sha256_is_told_at_the_start)
{
    struct tm_err err = {0};
    failing = _i == 0 ? FAIL_FETCH : FAIL_KEY;
    ck_assert_int_eq(tm_digest_init(&err), TM_E_INTERNAL);
    ck_assert_str_eq(err.what, "cannot start SHA-256");
}
END_TEST

START_TEST(a_start_without_trouble_is_ok)
{
    ck_assert_int_eq(tm_digest_init(NULL), TM_OK);
    ck_assert_int_eq(tm_digest_init(NULL), TM_OK);
}
END_TEST

/* libsodium makes the same digests, and a hash that has begun ends as it began. */
START_TEST(without_memory_for_openssl_the_digests_are_the_same)
{
    struct tm_hash *hash = NULL;
    failing = _i;
    ck_assert_int_eq(tm_hash_new(&hash), TM_OK);
    expect_hex(tm_digest_of(tm_view_str("abc")), vectors[1].hex);
    expect_hex(tm_digest_of(tm_view_str("")), vectors[0].hex);
    tm_hash_update(hash, "a", 1);
    failing = FAIL_NOTHING;
    tm_hash_update(hash, "bc", 2);
    expect_hex(tm_hash_final(hash), vectors[1].hex);
    tm_hash_update(hash, "abc", 3);
    expect_hex(tm_hash_final(hash), vectors[1].hex);
    expect_hex(tm_digest_of(tm_view_str("abc")), vectors[1].hex);
    tm_hash_destroy(&hash);
}
END_TEST

/* libsodium knows neither the SHA instructions of x86 nor those of ARM. */
START_TEST(openssl_does_it_with_one_context_a_thread)
{
    unsigned kept_before = kept; /* sanitizers keep things too */
    expect_hex(tm_digest_of(tm_view_str("abc")), vectors[1].hex);
    expect_hex(tm_digest_of(tm_view_str("")), vectors[0].hex);
    ck_assert_uint_eq(starts, 2);
    ck_assert_uint_eq(contexts, 1);
    ck_assert_uint_eq(kept - kept_before, 1); /* freed when the thread ends */
}
END_TEST

START_TEST(a_context_that_nobody_would_free_is_not_used)
{
    failing = FAIL_SPECIFIC;
    expect_hex(tm_digest_of(tm_view_str("abc")), vectors[1].hex);
    ck_assert_uint_eq(starts, 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("digest");
    TCase *tests = tcase_create("digest");
    tcase_add_test(tests, digests_are_those_of_fips_180);
    tcase_add_test(tests, every_way_of_cutting_a_message_gives_the_same_digest);
    tcase_add_test(tests, threads_hash_independently);
    tcase_add_test(tests, equality_sees_every_byte);
    tcase_add_test(tests, hex_goes_there_and_back);
    tcase_add_test(tests, bad_hex_is_refused_and_leaves_the_output);
    tcase_add_test(tests, a_failed_allocation_is_a_status);
    suite_add_tcase(suite, tests);
    TCase *faults = tcase_create("faults");
    tcase_add_loop_test(faults, an_openssl_without_sha256_is_told_at_the_start, 0, 2);
    tcase_add_test(faults, a_start_without_trouble_is_ok);
    tcase_add_loop_test(faults, without_memory_for_openssl_the_digests_are_the_same, FAIL_CONTEXT,
                        FAIL_SPECIFIC + 1);
    tcase_add_test(faults, openssl_does_it_with_one_context_a_thread);
    tcase_add_test(faults, a_context_that_nobody_would_free_is_not_used);
    suite_add_tcase(suite, faults);
    return suite;
}
