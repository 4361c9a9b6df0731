/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights_digest.h"

#include "tests/support/suite.h"
#include "tests/support/tiny_model.h"

static struct tm_digest digest_of(const struct tiny_model *m)
{
    struct tm_weights weights;
    struct tm_digest digest;
    struct tm_err err = {0};
    ck_assert_msg(tm_weights_load(&m->source, &weights, &err) == TM_OK, "%s", err.why);
    ck_assert_int_eq(tm_weights_digest(&weights, &digest), TM_OK);
    tm_weights_deinit(&weights);
    return digest;
}

/* The digest of each tiny model is pinned: it must be the same on every machine. */
START_TEST(pinned)
{
    static const struct {
        const char *arch, *hex;
    } golden[] = {
        {"llama", "697970e6634fc44375f8a09f85524ff36817591f48a6a9a681296ceb055a31ad"},
        {"gemma3_text", "fa1b9e747cad706df5c9af5e4533a57d690cda958584fe4d668fe0bf19b79262"},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct tiny_model *m = tiny_new(golden[i].arch);
        char hex[TM_DIGEST_TEXT];
        struct tm_digest digest = digest_of(m);
        ck_assert_str_eq(tm_digest_hex(&digest, hex), golden[i].hex);
        tiny_free(m);
    }
}
END_TEST

/* A bit of any weight, and any number of the configuration, count. */
START_TEST(everything_counts)
{
    struct tiny_model *m = tiny_new("gemma3_text");
    struct tm_digest first = digest_of(m);
    for (size_t i = 0; i < m->count; i++) {
        uint8_t *byte = &m->tensors[i].data[(m->tensors[i].elements - 1) * 4 + 2];
        *byte ^= 0x10;
        struct tm_digest digest = digest_of(m);
        ck_assert_msg(!tm_digest_eq(&first, &digest), "%s", m->tensors[i].name);
        *byte ^= 0x10;
    }
    char *epsilon = strstr(m->config, "1e-05");
    ck_assert_ptr_nonnull(epsilon);
    epsilon[4] = '6';
    struct tm_digest other = digest_of(m);
    ck_assert(!tm_digest_eq(&first, &other));
    epsilon[4] = '5';
    other = digest_of(m);
    ck_assert(tm_digest_eq(&first, &other));
    tiny_free(m);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("weights_digest");
    tcase_add_test(tcase, pinned);
    tcase_add_test(tcase, everything_counts);
    Suite *suite = suite_create("weights_digest");
    suite_add_tcase(suite, tcase);
    return suite;
}
