/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/text_of.h"

#include "model/tokenizer/tokenizer_open.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static const char json[] =
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<s>\":3},"
    "\"merges\":[\"a b\"]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
    "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]"
    ","
    "\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[3],\"tokens\":[\"<s>\"]}}}}";

static tm_status read_it(const struct test_dir *dir, struct tm_tokenizer *t, const char *path,
                         struct tm_text *text, struct tm_err *err)
{
    struct tm_text_options options = {.tokenizer = t,
                                      .model_path = dir->path,
                                      .path = path,
                                      .built_in = tm_view_str("ab"),
                                      .what = "cannot do it"};
    *text = (struct tm_text){0};
    return tm_text_of(&options, text, err);
}

START_TEST(texts_become_ids)
{
    struct test_dir dir = test_dir_make();
    struct tm_tokenizer *t = NULL;
    struct tm_text text;
    struct tm_err err;
    size_t count;
    (void)test_put_text(&dir, "tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    (void)test_put_text(&dir, "tokenizer.json", json);
    ck_assert_msg(tm_tokenizer_open(dir.path, &t, &err) == TM_OK, "%s", err.why);
    ck_assert_msg(read_it(&dir, t, NULL, &text, &err) == TM_OK, "%s", err.why);
    ck_assert_str_eq(text.name, "the built-in text");
    const uint32_t *ids = tm_text_ids(&text, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(ids[0], 3);
    ck_assert_uint_eq(ids[1], 2);
    ck_assert_uint_eq(text.first_token, 3);
    tm_text_deinit(&text);
    ck_assert_int_eq(read_it(&dir, t, test_put_text(&dir, "text", "aba"), &text, &err), TM_OK);
    (void)tm_text_ids(&text, &count);
    ck_assert_uint_eq(count, 3);
    tm_text_deinit(&text);
    tm_tokenizer_destroy(&t);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(what_is_no_text)
{
    struct test_dir dir = test_dir_make();
    struct tm_tokenizer *t = NULL;
    struct tm_text text;
    struct tm_err err;
    ck_assert_int_eq(read_it(&dir, NULL, NULL, &text, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.why, "the model has no tokenizer");
    ck_assert_str_eq(err.what, "cannot do it");
    tm_text_deinit(&text);
    ck_assert_int_eq(tm_tokenizer_open(test_put_text(&dir, "t.json", json), &t, &err), TM_OK);
    ck_assert_int_eq(read_it(&dir, t, test_put_text(&dir, "bad", "ab\xff"), &text, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.where, "bad: byte 2"));
    tm_text_deinit(&text);
    ck_assert_int_eq(read_it(&dir, t, test_path(&dir, "missing"), &text, &err), TM_E_NOT_FOUND);
    tm_text_deinit(&text);
    tm_tokenizer_destroy(&t);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("text_of");
    TCase *tcase = tcase_create("text_of");
    tcase_add_test(tcase, texts_become_ids);
    tcase_add_test(tcase, what_is_no_text);
    suite_add_tcase(suite, tcase);
    return suite;
}
