/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer_count.h"

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static const struct {
    const char *text;
    uint64_t tokens, merges, repeated;
} good[] = {
    {"{\"model\":{\"vocab\":{}}}", 0, 0, 0},
    {"{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}", 2, 1, 0},
    {"{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[[\"a\",\"b\"],[\"a b\",\"\"]]}}", 2, 2,
     0},
    /* added tokens come first in real files; one of them is in the vocabulary */
    {"{\"added_tokens\":[{\"id\":0,\"content\":\"a\"},{\"id\":2,\"content\":\"<s>\"}],"
     "\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}",
     3, 0, 0},
    {"{\"model\":{\"vocab\":{\"a\":0,\"\\u0061\":1}}}", 1, 0, 1},
    /* Unigram: a list, where each entry has its own id */
    {"{\"model\":{\"vocab\":[[\"a\",-1.5],[\"b\",0],[\"a\",-2]]},"
     "\"added_tokens\":[{\"content\":\"b\"},{\"content\":\"c\"}]}",
     4, 0, 1},
    /* one letter in two Unicode forms: two tokens */
    {"{\"model\":{\"vocab\":{\"\\u00e9\":0,\"e\\u0301\":1,\"\\u0000\":2,\"\":3}}}", 4, 0, 0},
    {"{\"added_tokens\":null,\"x\":[{}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", 1, 0,
     0},
};

static const struct {
    const char *text, *word;
} bad[] = {
    {"", "ends too early"},
    {"[]", "an object is expected"},
    {"{}", "no model"},
    {"{\"model\":{}}", "no vocab"},
    {"{\"model\":{\"vocab\":3}}", "neither an object nor a list"},
    {"{\"model\":{\"vocab\":{\"a\":\"0\"}}}", "not a number"},
    {"{\"model\":{\"vocab\":[[\"a\"]]}}", "a token and its score"},
    {"{\"model\":{\"vocab\":{},\"merges\":{}}}", "form that is not known"},
    {"{\"model\":{\"vocab\":{},\"merges\":[1]}}", "form that is not known"},
    {"{\"model\":{\"vocab\":{},\"merges\":[\"ab\"]}}", "one blank"},
    {"{\"model\":{\"vocab\":{},\"merges\":[\"a b c\"]}}", "one blank"},
    {"{\"model\":{\"vocab\":{},\"merges\":[\" a\"]}}", "one blank"},
    {"{\"model\":{\"vocab\":{},\"merges\":[\"\"]}}", "one blank"},
    {"{\"model\":{\"vocab\":{},\"merges\":[[\"a\"]]}}", "not a pair"},
    {"{\"model\":{\"vocab\":{},\"merges\":[[\"a\",\"b\",\"c\"]]}}", "not a pair"},
    {"{\"model\":{\"vocab\":{},\"merges\":[[1,2]]}}", "string is expected"},
    {"{\"model\":{\"vocab\":{},\"vocab\":{}}}", "duplicate"},
    {"{\"model\":{\"vocab\":{}},\"model\":{\"vocab\":{}}}", "duplicate"},
    {"{\"model\":{\"vocab\":{}},\"added_tokens\":[{}]}", "without content"},
    {"{\"model\":{\"vocab\":{}}} x", "after the value"},
};

START_TEST(json_forms)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct tm_token_counts counts;
        struct tm_err err;
        ck_assert_msg(tm_token_count_json(tm_view_str(good[i].text), "t", &counts, &err) == TM_OK,
                      "%s: %s", good[i].text, err.why);
        ck_assert_msg(counts.tokens == good[i].tokens, "%s", good[i].text);
        ck_assert_msg(counts.merges == good[i].merges, "%s", good[i].text);
        ck_assert_msg(counts.repeated == good[i].repeated, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_token_counts counts;
        struct tm_err err;
        ck_assert_msg(tm_token_count_json(tm_view_str(bad[i].text), "t.json", &counts, &err) ==
                          TM_E_MALFORMED,
                      "%s", bad[i].text);
        ck_assert_says(&err, bad[i].word);
        ck_assert_says(&err, "t.json");
    }
}
END_TEST

START_TEST(gguf_arrays)
{
    static const char *const texts[] = {"a", "b", "a", "e\xcc\x81", "\xc3\xa9", "", "a", NULL};
    static const char *const merges[] = {"a b", NULL};
    struct tm_token_counts counts;
    struct tm_err err;
    struct tm_buf blob;
    tm_buf_init(&blob, 10000);
    put_u64(&blob, 2);
    g_kv_strings(&blob, "tokenizer.ggml.tokens", texts);
    g_kv_strings(&blob, "tokenizer.ggml.merges", merges);
    ck_assert_int_eq(tm_token_count_gguf(tm_buf_view(&blob), "m.gguf", &counts, &err), TM_OK);
    ck_assert_uint_eq(counts.tokens, 7);
    ck_assert_uint_eq(counts.merges, 1);
    ck_assert_uint_eq(counts.repeated, 2);
    tm_buf_clear(&blob);
    put_u64(&blob, 1);
    g_kv_u32(&blob, "tokenizer.ggml.tokens", 3);
    ck_assert_int_eq(tm_token_count_gguf(tm_buf_view(&blob), "m.gguf", &counts, &err),
                     TM_E_MALFORMED);
    ck_assert_says(&err, "not an array of strings");
    tm_buf_clear(&blob);
    put_u64(&blob, 0);
    ck_assert_int_eq(tm_token_count_gguf(tm_buf_view(&blob), "m.gguf", &counts, &err), TM_OK);
    ck_assert_uint_eq(counts.tokens, 0);
    tm_buf_deinit(&blob);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_token_counts counts;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_token_count_json(tm_view_str(good[3].text), "t", &counts, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_count");
    TCase *tcase = tcase_create("tokenizer_count");
    tcase_add_test(tcase, json_forms);
    tcase_add_test(tcase, gguf_arrays);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
