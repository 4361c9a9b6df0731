/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/tokenizer.h"

#include "base/mem.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

/* A vocabulary of every byte's character: a text becomes its bytes, in the order of GPT-2. */
static struct tm_tokenizer *byte_tokenizer(void)
{
    static char text[8192];
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    size_t at = (size_t)snprintf(text, sizeof text, "%s",
                                 "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
                                 "false},\"decoder\":{\"type\":\"ByteLevel\"},"
                                 "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"!\":33");
    for (unsigned code = 0x22; code < 0x144; code++) {
        bool there = code < 0x7f || (code > 0xa0 && code != 0xad);
        if (there) {
            at += (size_t)snprintf(text + at, sizeof text - at, ",\"\\u%04x\":%u", code, code);
        }
    }
    snprintf(text + at, sizeof text - at, "}}}");
    ck_assert_int_eq(tm_tokenizer_from_json(tm_view_str(text), "t", &t, &err), TM_OK);
    return t;
}

START_TEST(broken_text_is_repaired)
{
    struct tm_tokenizer *t = byte_tokenizer();
    expect_ids(t, "a\xff", 0, "97 239 191 189", "a\xef\xbf\xbd");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(what_does_not_fit_changes_nothing)
{
    struct tm_tokenizer *t = byte_tokenizer();
    struct tm_buf ids;
    struct tm_err err;
    tm_buf_init(&ids, 12);
    ck_assert_int_eq(tm_tokenizer_encode(t, tm_view_str("ab"), 0, &ids, &err), TM_OK);
    ck_assert_int_eq(tm_tokenizer_encode(t, tm_view_str("cd"), 0, &ids, &err), TM_E_LIMIT);
    ck_assert_uint_eq(ids.bytes, 8);
    ck_assert_ptr_nonnull(strstr(err.why, "too large"));
    tm_buf_deinit(&ids);
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(a_vocabulary_without_gaps_in_its_bytes)
{
    struct tm_tokenizer *t = byte_tokenizer();
    expect_ids(t, "A \n", 0, "65 288 266", "A \n");
    ck_assert_uint_eq(tm_tokenizer_count(t), 0x144);
    ck_assert_uint_eq(tm_tokenizer_bos(t), UINT32_MAX);
    tm_tokenizer_destroy(&t);
    tm_tokenizer_destroy(&t);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *tc = tcase_create("tokenizer");
    tcase_add_test(tc, broken_text_is_repaired);
    tcase_add_test(tc, what_does_not_fit_changes_nothing);
    tcase_add_test(tc, a_vocabulary_without_gaps_in_its_bytes);
    suite_add_tcase(suite, tc);
    return suite;
}
