/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/tokenizer_open.h"

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/spm_file.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

/* "ab" is token 2 in JSON, 3 in SentencePiece's file and 1 in the GGUF. */
static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,"
                           "\"</s>\":7},\"merges\":[\"a b\"]}}";

static struct test_dir dir;
static struct tm_err err;

static void setup(void)
{
    dir = test_dir_make();
}

static void teardown(void)
{
    test_dir_remove(&dir);
}

static const char *put_spm(const char *name)
{
    struct tm_buf buf;
    tm_buf_init(&buf, 10000);
    spm_piece(&buf, "<unk>", 0, 2);
    spm_piece(&buf, "a", -1, 1);
    spm_piece(&buf, "b", -2, 1);
    spm_piece(&buf, "ab", -0.5f, 1);
    spm_trainer(&buf, 2);
    spm_normalizer(&buf, false, false);
    const char *path = test_put_buf(&dir, name, &buf);
    tm_buf_deinit(&buf);
    return path;
}

static const char *put_gguf(const char *name, bool tokenizer)
{
    static const char *const tokens[] = {"a", "ab", "b", NULL};
    static const char *const merges[] = {"a b", NULL};
    struct tm_buf buf;
    g_begin(&buf, 3, 0, tokenizer ? 6 : 1);
    g_kv_str(&buf, "general.architecture", "llama");
    if (tokenizer) {
        g_kv_str(&buf, "tokenizer.ggml.model", "gpt2");
        g_kv_strings(&buf, "tokenizer.ggml.tokens", tokens);
        g_kv_strings(&buf, "tokenizer.ggml.merges", merges);
        g_kv_u32(&buf, "tokenizer.ggml.eot_token_id", 2);
        g_kv_str(&buf, "tokenizer.chat_template", "{{ x }}");
    }
    const char *path = test_put_buf(&dir, name, &buf);
    tm_buf_deinit(&buf);
    return path;
}

static struct tm_tokenizer *open_path(const char *path, const char *wanted)
{
    struct tm_tokenizer *t = NULL;
    tm_status status = tm_tokenizer_open(path, &t, &err);
    ck_assert_msg(status == TM_OK, "%s: %s", err.where, err.why);
    expect_ids(t, "ab", 0, wanted, "ab");
    return t;
}

static void expect(const char *path, const char *wanted)
{
    struct tm_tokenizer *t = open_path(path, wanted);
    tm_tokenizer_destroy(&t);
}

static void refuse(const char *path, tm_status status, const char *why)
{
    struct tm_tokenizer *t = NULL;
    ck_assert_int_eq(tm_tokenizer_open(path, &t, &err), status);
    ck_assert_ptr_null(t);
    ck_assert_msg(strstr(err.why, why) != NULL, "%s", err.why);
    ck_assert_msg(strstr(err.where, path) != NULL, "%s", err.where);
}

START_TEST(a_folder)
{
    refuse(dir.path, TM_E_NOT_FOUND, "none with it");
    ck_assert_ptr_nonnull(strstr(err.hint, "tokenizer.json"));
    put_gguf("m.gguf", true);
    expect(dir.path, "1");
    put_spm("tokenizer.model");
    expect(dir.path, "3");
    test_put_text(&dir, "tokenizer.json", json);
    expect(dir.path, "2");
    test_put_text(&dir, "tokenizer.json", "{}");
    refuse(dir.path, TM_E_MALFORMED, "it has no model");
}
END_TEST

START_TEST(a_file_of_its_own)
{
    expect(put_spm("a"), "3");
    expect(test_put_text(&dir, "b", json), "2");
    expect(put_gguf("c", true), "1");
    refuse(put_gguf("d", false), TM_E_NOT_FOUND, "none in the file");
    refuse(test_put_text(&dir, "e", "{}"), TM_E_MALFORMED, "it has no model");
    refuse(test_path(&dir, "nowhere"), TM_E_NOT_FOUND, "no such file");
    refuse(test_put_text(&dir, "f", ""), TM_E_MALFORMED, "empty");
}
END_TEST

START_TEST(weights_take_the_one_beside_them)
{
    const char *weights = st_put(&dir, "w",
                                 "{\"t\":{\"dtype\":\"U8\",\"shape\":[2],"
                                 "\"data_offsets\":[0,2]}}",
                                 2);
    struct tm_tokenizer *t = NULL;
    ck_assert_int_eq(tm_tokenizer_open(weights, &t, &err), TM_E_NOT_FOUND);
    test_put_text(&dir, "tokenizer.json", json);
    expect(weights, "2");
}
END_TEST

START_TEST(files_beside_it)
{
    struct tm_view text;
    test_put_text(&dir, "tokenizer.json", json);
    test_put_text(&dir, "tokenizer_config.json",
                  "{\"eos_token\":\"</s>\",\"chat_template\":\"c\"}");
    test_put_text(&dir, "generation_config.json", "{\"eos_token_id\":[1]}");
    struct tm_tokenizer *t = open_path(dir.path, "2");
    ck_assert(tm_tokenizer_is_end(t, 7) && tm_tokenizer_is_end(t, 1) && !tm_tokenizer_is_end(t, 2));
    ck_assert(tm_tokenizer_chat_template(t, &text) && tm_view_eq_str(text, "c"));
    tm_tokenizer_destroy(&t);
    test_put_text(&dir, "chat_template.jinja", "newer");
    t = open_path(test_path(&dir, "tokenizer.json"), "2");
    ck_assert(tm_tokenizer_is_end(t, 7) && tm_tokenizer_is_end(t, 1));
    ck_assert(tm_tokenizer_chat_template(t, &text) && tm_view_eq_str(text, "newer"));
    tm_tokenizer_destroy(&t);
    test_put_text(&dir, "generation_config.json", "{");
    ck_assert_int_eq(tm_tokenizer_open(dir.path, &t, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.where, "generation_config.json"));
    t = open_path(put_gguf("m", true), "1");
    ck_assert(tm_tokenizer_is_end(t, 2) && !tm_tokenizer_is_end(t, 0));
    ck_assert(tm_tokenizer_chat_template(t, &text) && tm_view_eq_str(text, "{{ x }}"));
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(no_memory_is_an_error)
{
    test_put_text(&dir, "tokenizer.json", json);
    test_put_text(&dir, "tokenizer_config.json",
                  "{\"eos_token\":\"</s>\",\"chat_template\":\"c\"}");
    uint64_t before = tm_mem_live_blocks();
    for (uint64_t n = 1, failed = 1; failed; n++) {
        struct tm_tokenizer *t = NULL;
        tm_mem_fail_at(n);
        tm_status status = tm_tokenizer_open(dir.path, &t, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_tokenizer_destroy(&t);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_open");
    TCase *tc = tcase_create("tokenizer_open");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_folder);
    tcase_add_test(tc, a_file_of_its_own);
    tcase_add_test(tc, weights_take_the_one_beside_them);
    tcase_add_test(tc, files_beside_it);
    tcase_add_test(tc, no_memory_is_an_error);
    suite_add_tcase(suite, tc);
    return suite;
}
