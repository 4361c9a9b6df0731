/* SPDX-License-Identifier: Apache-2.0
 * The signed index: adding, signing, trust, and changed envelopes. */
#include "package/release.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/support/suite.h"

static struct tm_identity *publisher, *stranger;
static struct tm_index index1;
static struct tm_buf envelope;
static struct tm_err err;
static const struct tm_digest id1 = {{1}}, id2 = {{2}};

static void setup(void)
{
    uint8_t seed[32] = {1};
    ck_assert_int_eq(tm_crypto_init(&err), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &publisher, &err), TM_OK);
    seed[0] = 2;
    ck_assert_int_eq(tm_identity_from_seed(seed, &stranger, &err), TM_OK);
    tm_index_init(&index1);
    tm_buf_init(&envelope, 1 << 20);
    ck_assert_int_eq(tm_index_add(&index1, "m", &id1, 1000, "first", &err), TM_OK);
    ck_assert_int_eq(tm_index_write(&index1, publisher, &envelope, &err), TM_OK);
}

static void teardown(void)
{
    tm_index_deinit(&index1);
    tm_buf_deinit(&envelope);
    tm_identity_destroy(&publisher);
    tm_identity_destroy(&stranger);
}

static tm_status read_with(const struct tm_identity *trusted, struct tm_index *out)
{
    return tm_index_read(tm_buf_view(&envelope), "index.json", tm_identity_public(trusted), 1, out,
                         NULL, &err);
}

/* tests/vectors/index_v1.json, byte for byte, on every machine; and it is read. */
START_TEST(test_golden_index)
{
    struct tm_buf golden;
    struct tm_index sample, back;
    tm_buf_init(&golden, 1 << 16);
    ck_assert_int_eq(tm_file_read("tests/vectors/index_v1.json", &golden, &err), TM_OK);
    tm_index_init(&sample);
    ck_assert_int_eq(tm_index_add(&sample, "sample", &id1, 2396, "first", &err), TM_OK);
    ck_assert_int_eq(tm_index_add(&sample, "sample", &id2, 2396, "second", &err), TM_OK);
    tm_buf_clear(&envelope);
    ck_assert_int_eq(tm_index_write(&sample, publisher, &envelope, &err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&envelope), tm_buf_view(&golden)));
    ck_assert_int_eq(read_with(publisher, &back), TM_OK);
    ck_assert_uint_eq(back.count, 2);
    tm_index_deinit(&back);
    tm_index_deinit(&sample);
    tm_buf_deinit(&golden);
}
END_TEST

START_TEST(test_add_counts_and_sorts)
{
    ck_assert_int_eq(tm_index_add(&index1, "b", &id2, 5, NULL, &err), TM_OK);
    ck_assert_int_eq(tm_index_add(&index1, "m", &id2, 2000, "second", &err), TM_OK);
    ck_assert_int_eq(tm_index_add(&index1, "z", &id2, 5, "", &err), TM_OK);
    ck_assert_uint_eq(index1.version, 4);
    static const char *const names[] = {"b", "m", "m", "z"};
    static const uint64_t counters[] = {1, 1, 2, 1};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(index1.releases[i].name, names[i]);
        ck_assert_uint_eq(index1.releases[i].counter, counters[i]);
    }
    const struct tm_release *latest = tm_index_latest(&index1, "m");
    ck_assert_uint_eq(latest->bytes, 2000);
    ck_assert_str_eq(latest->notes, "second");
    ck_assert_str_eq(latest->path, "packages/0200000000000000000000000000000000000000000000000000"
                                   "000000000000.tmpk");
    ck_assert_ptr_null(tm_index_latest(&index1, "x"));
    struct tm_index back;
    tm_buf_clear(&envelope);
    ck_assert_int_eq(tm_index_write(&index1, publisher, &envelope, &err), TM_OK);
    ck_assert_int_eq(read_with(publisher, &back), TM_OK);
    ck_assert_uint_eq(back.count, 4);
    ck_assert_uint_eq(back.version, 4);
    ck_assert_str_eq(back.releases[2].notes, "second");
    tm_index_deinit(&back);
}
END_TEST

/* The golden index of version 1. */
START_TEST(test_golden)
{
    struct tm_index back;
    tm_buf_clear(&envelope);
    ck_assert_int_eq(tm_file_read("tests/vectors/index_v1.json", &envelope, &err), TM_OK);
    ck_assert_int_eq(read_with(publisher, &back), TM_OK);
    ck_assert_uint_eq(back.count, 2);
    ck_assert_str_eq(back.releases[0].notes, "first");
    struct tm_buf again;
    tm_buf_init(&again, 1 << 20);
    ck_assert_int_eq(tm_index_write(&back, publisher, &again, &err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&again), tm_buf_view(&envelope)));
    tm_buf_deinit(&again);
    tm_index_deinit(&back);
}
END_TEST

START_TEST(test_add_refuses)
{
    char long_notes[300];
    memset(long_notes, 'n', sizeof long_notes - 1);
    long_notes[sizeof long_notes - 1] = '\0';
    ck_assert_int_eq(tm_index_add(&index1, "../x", &id1, 5, "", &err), TM_E_USAGE);
    ck_assert_int_eq(tm_index_add(&index1, "x", &id1, 0, "", &err), TM_E_USAGE);
    ck_assert_int_eq(tm_index_add(&index1, "x", &id1, 5, long_notes, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "notes of 299 bytes, the limit is 255");
    long_notes[256] = '\0';
    ck_assert_int_eq(tm_index_add(&index1, "x", &id1, 5, long_notes, &err), TM_E_USAGE);
    index1.releases[0].counter = INT64_MAX;
    ck_assert_int_eq(tm_index_add(&index1, "m", &id1, 5, "", &err), TM_E_LIMIT);
    ck_assert_str_eq(err.why, "the counter is at its end");
    index1.releases[0].counter = 1;
    index1.version = INT64_MAX;
    ck_assert_int_eq(tm_index_add(&index1, "x", &id1, 5, "", &err), TM_E_LIMIT);
    index1.version = 1;
    ck_assert_uint_eq(index1.version, 1);
    ck_assert_uint_eq(index1.count, 1);
    long_notes[255] = '\0';
    ck_assert_int_eq(tm_index_add(&index1, "x", &id1, 5, long_notes, &err), TM_OK);
}
END_TEST

/* A payload that fits, whose envelope does not: base64 makes a third more of it. */
/* As large as an index may be, with blanks behind it. */
START_TEST(test_longest_envelope)
{
    const size_t longest = 16u << 20;
    struct tm_index back;
    struct tm_buf text;
    const struct tm_public_key *key = tm_identity_public(publisher);
    tm_buf_init(&text, longest + 1);
    ck_assert_int_eq(tm_buf_reserve(&text, longest + 1), TM_OK);
    memset(text.data, ' ', longest + 1);
    memcpy(text.data, envelope.data, envelope.bytes);
    text.bytes = longest;
    ck_assert_int_eq(tm_index_read(tm_buf_view(&text), "i", key, 1, &back, NULL, &err), TM_OK);
    tm_index_deinit(&back);
    text.bytes++;
    ck_assert_int_eq(tm_index_read(tm_buf_view(&text), "i", key, 1, &back, NULL, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.why, "it has 16777217 bytes, the limit is 16777216");
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(test_index_too_large)
{
    struct tm_index big = {.version = 1, .count = 7500};
    struct tm_buf out;
    big.releases = tm_calloc(big.count, sizeof *big.releases);
    for (size_t i = 0; i < big.count; i++) {
        big.releases[i] = index1.releases[0];
        memset(big.releases[i].notes, '\x01', sizeof big.releases[i].notes - 1);
    }
    tm_buf_init(&out, 64 << 20);
    ck_assert_int_eq(tm_buf_put_str(&out, "kept"), TM_OK);
    ck_assert_int_eq(tm_index_write(&big, publisher, &out, &err), TM_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.why, "with 7500 releases"));
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "kept"));
    tm_buf_deinit(&out);
    tm_index_deinit(&big);
}
END_TEST

START_TEST(test_names)
{
    static const char *const good[] = {"a", "SmolLM2-135M", "a.b_c-9", "-x"};
    static const char *const bad[] = {"", ".", "..", ".a", "a/b", "a b", "a\\b", "\xc3\xa4", "a\n"};
    char longest[TM_RELEASE_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert(tm_release_name_ok(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert(!tm_release_name_ok(bad[i]));
    }
    memset(longest, 'a', sizeof longest);
    longest[TM_RELEASE_NAME_MAX + 1] = '\0';
    ck_assert(!tm_release_name_ok(longest));
    longest[TM_RELEASE_NAME_MAX] = '\0';
    ck_assert(tm_release_name_ok(longest));
}
END_TEST

START_TEST(test_unknown_key)
{
    struct tm_index back;
    struct tm_public_key signer;
    char text[TM_PUBLIC_KEY_TEXT], hex[TM_NODE_ID_TEXT];
    struct tm_node_id id = tm_identity_node_id(publisher);
    ck_assert_int_eq(read_with(stranger, &back), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, tm_node_id_hex(&id, hex)));
    ck_assert_ptr_nonnull(strstr(err.hint, "trust add "));
    ck_assert_ptr_nonnull(
        strstr(err.hint, tm_public_key_text(tm_identity_public(publisher), text)));
    ck_assert_int_eq(tm_index_read(tm_buf_view(&envelope), "i", NULL, 0, &back, NULL, &err),
                     TM_E_VERIFY);
    struct tm_public_key both[2] = {*tm_identity_public(stranger), *tm_identity_public(publisher)};
    ck_assert_int_eq(tm_index_read(tm_buf_view(&envelope), "i", both, 2, &back, &signer, &err),
                     TM_OK);
    ck_assert(tm_public_key_eq(&signer, &both[1]));
    tm_index_deinit(&back);
}
END_TEST

/* Every single-byte change is refused, or leaves the same index (blanks of the envelope). */
START_TEST(test_each_byte_changed)
{
    for (size_t i = 0; i < envelope.bytes; i++) {
        static const uint8_t masks[] = {0x01, 0x20, 0x80};
        for (size_t k = 0; k < sizeof masks; k++) {
            struct tm_index back;
            envelope.data[i] ^= masks[k];
            tm_status status = read_with(publisher, &back);
            envelope.data[i] ^= masks[k];
            if (status == TM_OK) {
                ck_assert_uint_eq(back.version, 1);
                ck_assert_uint_eq(back.count, 1);
                ck_assert_str_eq(back.releases[0].name, "m");
                ck_assert_uint_eq(back.releases[0].bytes, 1000);
                ck_assert_str_eq(back.releases[0].notes, "first");
                ck_assert(tm_digest_eq(&back.releases[0].package_id, &id1));
            } else {
                ck_assert_int_eq(tm_status_exit_code(status), 4);
                ck_assert_ptr_nonnull(strstr(err.where, "index.json"));
            }
            tm_index_deinit(&back);
        }
    }
    for (size_t n = envelope.bytes - 2; n > 0; n--) {
        struct tm_index back;
        ck_assert_int_eq(tm_index_read(tm_view_of(envelope.data, n), "i",
                                       tm_identity_public(publisher), 1, &back, NULL, &err),
                         TM_E_MALFORMED);
    }
}
END_TEST

/* An envelope around any payload, signed with any label. */
static void wrap(const char *payload, const char *extra, enum tm_sign_label label)
{
    struct tm_signature sig = tm_sign(publisher, label, tm_view_str(payload));
    struct tm_node_id id = tm_identity_node_id(publisher);
    struct tm_buf base64;
    char key[TM_PUBLIC_KEY_TEXT], keyid[TM_NODE_ID_TEXT], hex[2 * TM_SIGNATURE_BYTES + 1];
    tm_buf_init(&base64, 4096);
    ck_assert_int_eq(tm_base64_encode(tm_view_str(payload), &base64), TM_OK);
    tm_buf_clear(&envelope);
    ck_assert_int_eq(
        tm_buf_printf(&envelope,
                      "{\"payload\":\"%.*s\",\"keyid\":\"%s\",\"key\":\"%s\",\"sig\":\"%s\"%s}",
                      (int)base64.bytes, base64.data, tm_node_id_hex(&id, keyid),
                      tm_public_key_text(tm_identity_public(publisher), key),
                      tm_hex_encode(sig.b, sizeof sig.b, hex), extra),
        TM_OK);
    tm_buf_deinit(&base64);
}

START_TEST(test_envelopes)
{
    static const char payload[] = "{\"schema\":\"tmill.index/1\",\"version\":1,\"releases\":[]}";
    struct tm_index back;
    wrap(payload, "", TM_SIGN_INDEX);
    ck_assert_int_eq(read_with(publisher, &back), TM_OK);
    tm_index_deinit(&back);
    wrap(payload, "", TM_SIGN_PACKAGE); /* a signature of another kind is none */
    ck_assert_int_eq(read_with(publisher, &back), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "the signature is not that of key"));
    wrap(payload, ",\"x\":1", TM_SIGN_INDEX);
    ck_assert_int_eq(read_with(publisher, &back), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "and nothing else"));
    wrap("{}", "", TM_SIGN_INDEX);
    ck_assert_int_eq(read_with(publisher, &back), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "is not of schema"));
    static const struct tm_public_key nobody;
    struct tm_public_key signer = nobody;
    ck_assert_int_eq(tm_index_read(tm_buf_view(&envelope), "i", tm_identity_public(publisher), 1,
                                   &back, &signer, &err),
                     TM_E_MALFORMED);
    ck_assert(tm_public_key_eq(&signer, &nobody)); /* of an index that is none */
    tm_buf_clear(&envelope);
    ck_assert_int_eq(tm_buf_put_str(&envelope, "[1,2,3,4]"), TM_OK);
    ck_assert_int_eq(read_with(publisher, &back), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "the envelope must be an object"));
    struct tm_view big = {.data = envelope.data, .bytes = (16u << 20) + 1};
    ck_assert_int_eq(tm_index_read(big, "i", tm_identity_public(publisher), 1, &back, NULL, &err),
                     TM_E_LIMIT);
}
END_TEST

START_TEST(test_memory_failures)
{
    size_t live = tm_mem_live_blocks();
    uint64_t n = 0;
    tm_status status;
    do {
        struct tm_index back;
        struct tm_buf out;
        tm_index_init(&back);
        tm_buf_init(&out, 1 << 20);
        tm_mem_fail_at(++n);
        status = read_with(publisher, &back);
        if (status == TM_OK) {
            status = tm_index_add(&back, "n", &id2, 9, "", &err);
        }
        if (status == TM_OK) {
            status = tm_index_write(&back, publisher, &out, &err);
        }
        tm_mem_fail_at(0);
        ck_assert_msg(status == TM_OK || status == TM_E_NOMEM, "%s", tm_status_name(status));
        tm_index_deinit(&back);
        tm_buf_deinit(&out);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    } while (status != TM_OK);
    ck_assert_uint_gt(n, 8);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("release");
    TCase *tc = tcase_create("release");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_golden_index);
    tcase_add_test(tc, test_add_counts_and_sorts);
    tcase_add_test(tc, test_golden);
    tcase_add_test(tc, test_add_refuses);
    tcase_add_test(tc, test_longest_envelope);
    tcase_add_test(tc, test_index_too_large);
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_unknown_key);
    tcase_add_test(tc, test_each_byte_changed);
    tcase_add_test(tc, test_envelopes);
    tcase_add_test(tc, test_memory_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
