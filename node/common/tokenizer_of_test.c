/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/tokenizer_of.h"

#include "tests/support/model_files.h"
#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"
#include "tests/support/token_ids.h"

static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
                           "\"merges\":[\"a b\"]}}";

static const char *package_with(const struct test_dir *dir, const char *name, const char *text)
{
    static const float values[64];
    struct tensor_package tp;
    const char *path = test_path(dir, "m.tmpk");
    tp_begin(&tp);
    tp_weights(&tp, "w", "int.1(bits=8,group=32)", 1, 64, 1, values);
    if (name != NULL) {
        tp_attach(&tp, name, tm_view_str(text), 7);
    }
    tp_write(&tp, path);
    tp_end(&tp);
    return path;
}

START_TEST(a_package_carries_it)
{
    struct test_dir dir = test_dir_make();
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    const char *path = package_with(&dir, "tokenizer.json", json);
    ck_assert_int_eq(tm_tokenizer_of(path, &t, &err), TM_OK);
    expect_ids(t, "ab", 0, "2", "ab");
    tm_tokenizer_destroy(&t);
    path = package_with(&dir, "tokenizer.json", "{}");
    ck_assert_int_eq(tm_tokenizer_of(path, &t, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.where, "m.tmpk/tokenizer.json"));
    path = package_with(&dir, NULL, NULL);
    ck_assert_int_eq(tm_tokenizer_of(path, &t, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_null(t);
    ck_assert_str_eq(err.where, path);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(a_model_is_opened_as_one)
{
    struct test_dir dir = test_dir_make();
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    ck_assert_int_eq(tm_tokenizer_of(test_put_text(&dir, "t.json", json), &t, &err), TM_OK);
    expect_ids(t, "ab", 0, "2", "ab");
    tm_tokenizer_destroy(&t);
    ck_assert_int_eq(tm_tokenizer_of(dir.path, &t, &err), TM_E_NOT_FOUND);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_of");
    TCase *tc = tcase_create("tokenizer_of");
    tcase_add_test(tc, a_package_carries_it);
    tcase_add_test(tc, a_model_is_opened_as_one);
    suite_add_tcase(suite, tc);
    return suite;
}
