/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/tokenizer_config.h"

#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

static struct tm_tokenizer *three_tokens(void)
{
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    ck_assert_int_eq(
        tm_tokenizer_from_json(tm_view_str("{\"added_tokens\":[{\"id\":3,\"content\":\"<e>\","
                                           "\"special\":true}],\"model\":{\"type\":\"BPE\","
                                           "\"vocab\":{\"a\":0,\"b\":1,\"<s>\":2},\"merges\":[]}}"),
                               "t", &t, &err),
        TM_OK);
    return t;
}

static void config(struct tm_tokenizer *t, const char *text)
{
    struct tm_err err = {0};
    ck_assert_msg(tm_tokenizer_config(t, tm_view_str(text), "c", &err) == TM_OK, "%s", err.why);
}

static void expect_template(const struct tm_tokenizer *t, const char *wanted)
{
    struct tm_view text;
    ck_assert(tm_tokenizer_chat_template(t, &text) == (wanted[0] != 0));
    ck_assert(tm_view_eq_str(text, wanted));
}

START_TEST(begin_and_end)
{
    struct tm_tokenizer *t = three_tokens();
    ck_assert(!tm_tokenizer_is_end(t, 3));
    ck_assert(!tm_tokenizer_is_end(t, UINT32_MAX));
    config(t, "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"<e>\"}}");
    ck_assert_uint_eq(tm_tokenizer_bos(t), 2);
    ck_assert_uint_eq(tm_tokenizer_eos(t), 3);
    ck_assert(tm_tokenizer_is_end(t, 3));
    /* null and what the tokenizer does not have change nothing; another end is one more */
    config(t, "{\"bos_token\":null,\"eos_token\":\"<x>\",\"chat_template\":null}");
    ck_assert_uint_eq(tm_tokenizer_bos(t), 2);
    ck_assert_uint_eq(tm_tokenizer_eos(t), 3);
    config(t, "{\"eos_token\":\"b\"}");
    ck_assert_uint_eq(tm_tokenizer_eos(t), 1);
    ck_assert(tm_tokenizer_is_end(t, 1) && tm_tokenizer_is_end(t, 3));
    ck_assert(!tm_tokenizer_is_end(t, 0));
    expect_template(t, "");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(templates)
{
    struct tm_tokenizer *t = three_tokens();
    config(t, "{\"chat_template\":\"{{ a }}\"}");
    expect_template(t, "{{ a }}");
    config(t, "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"no\"},"
              "{\"name\":\"default\",\"template\":\"yes\"}]}");
    expect_template(t, "yes");
    config(t, "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"no\"}]}");
    expect_template(t, "yes");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(ends_of_generation)
{
    struct tm_tokenizer *t = three_tokens();
    struct tm_err err;
    ck_assert_int_eq(tm_tokenizer_generation(t, tm_view_str("{\"eos_token_id\":1}"), "g", &err),
                     TM_OK);
    ck_assert_int_eq(
        tm_tokenizer_generation(t, tm_view_str("{\"eos_token_id\":[0,1,-4,1e99]}"), "g", &err),
        TM_OK);
    ck_assert(tm_tokenizer_is_end(t, 0) && tm_tokenizer_is_end(t, 1) && !tm_tokenizer_is_end(t, 2));
    ck_assert_uint_eq(tm_tokenizer_eos(t), UINT32_MAX);
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(what_is_no_object)
{
    struct tm_tokenizer *t = three_tokens();
    struct tm_err err = {0};
    ck_assert_int_eq(tm_tokenizer_config(t, tm_view_str("[]"), "dir/c", &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "dir/c");
    ck_assert_str_eq(err.why, "it is no object");
    ck_assert_int_eq(tm_tokenizer_generation(t, tm_view_str("{"), "dir/g", &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.where, "dir/g"));
    static char text[(1u << 20) + 64];
    snprintf(text, sizeof text, "{\"chat_template\":\"%*s\"}", (int)(1u << 20) + 1, "");
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(tm_tokenizer_config(t, tm_view_str(text), "dir/c", &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "its chat template is too long");
    ck_assert_str_eq(err.where, "dir/c");
    tm_tokenizer_destroy(&t);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_config");
    TCase *tc = tcase_create("tokenizer_config");
    tcase_add_test(tc, begin_and_end);
    tcase_add_test(tc, templates);
    tcase_add_test(tc, ends_of_generation);
    tcase_add_test(tc, what_is_no_object);
    suite_add_tcase(suite, tc);
    return suite;
}
