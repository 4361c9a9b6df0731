/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

/* Byte-level BPE in the manner of GPT-2, with a template, added tokens and pairs as lists. */
static const char bpe[] =
    "{\"version\":\"1.0\",\"truncation\":null,"
    "\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"
    "{\"id\":10,\"content\":\"<tool>\",\"special\":false,\"normalized\":false}],"
    "\"normalizer\":{\"type\":\"NFC\"},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"
    "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<s>\"}}],"
    "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[9],\"tokens\":[\"<s>\"]}}}]},"
    "\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"ab\":3,"
    "\"\\u0120ab\":4,\"\\u00c3\":5,\"\\u00a9\":6,\"\\u00ef\":7,\"ba\":8,\"\\u00bf\":11,"
    "\"\\u00bd\":12},\"merges\":[\"a b\",[\"\\u0120\",\"ab\"],\"b a\"]}}";

static const char unigram[] =
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\"},\"decoder\":{\"type\":\"Metaspace\"},"
    "\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"<s>\",1],\"sep\":[\"</s>\",2]},"
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"<s>\",0.0],"
    "[\"</s>\",0.0],[\"\xe2\x96\x81\",-2.5],[\"a\",-1e0],[\"\xe2\x96\x81"
    "a\",-1.5]]}}";

static struct tm_tokenizer *parse(const char *text)
{
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    tm_status status = tm_tokenizer_from_json(tm_view_str(text), "t.json", &t, &err);
    ck_assert_msg(status == TM_OK, "%s", err.why);
    return t;
}

START_TEST(byte_level_bpe)
{
    struct tm_tokenizer *t = parse(bpe);
    struct tm_view text;
    expect_ids(t, "ab ab", 0, "3 4", "ab ab");
    expect_ids(t, "aba", 0, "3 0", "aba");
    expect_ids(t, "ab", TM_TOKENIZE_FRAME, "9 3 9", "ab");
    expect_ids(t, "e\xcc\x81", 0, "5 6", "\xc3\xa9"); /* composed */
    expect_ids(t, "a<tool>b", 0, "0 10 1", "a<tool>b");
    expect_ids(t, "a<s>b", TM_TOKENIZE_SPECIALS, "0 9 1", "ab");
    expect_ids(t, "\xff", 0, "7 11 12", "\xef\xbf\xbd"); /* U+FFFD */
    ck_assert_uint_eq(tm_tokenizer_count(t), 13);
    ck_assert_uint_eq(tm_tokenizer_find(t, tm_view_str("<s>")), 9);
    ck_assert_uint_eq(tm_tokenizer_find(t, tm_view_str("ab")), 3);
    ck_assert_uint_eq(tm_tokenizer_find(t, tm_view_str("zz")), UINT32_MAX);
    ck_assert(tm_tokenizer_text(t, 10, &text) && tm_view_eq_str(text, "<tool>"));
    ck_assert_ptr_null(tm_tokenizer_note(t));
    tm_tokenizer_destroy(&t);
    ck_assert_ptr_null(t);
}
END_TEST

START_TEST(unigram_model)
{
    struct tm_tokenizer *t = parse(unigram);
    expect_ids(t, "a a", 0, "5 5", "a a");
    expect_ids(t, "aa", TM_TOKENIZE_FRAME, "1 5 4 2", "<s> aa</s>"); /* not named as special */
    expect_ids(t, "xy", 0, "3 0", "<unk>");
    tm_tokenizer_destroy(&t);
}
END_TEST

/* The text of the unknown token is in the vocabulary twice; the added token is the other one. */
START_TEST(an_unknown_token_is_special_by_its_text)
{
    struct tm_tokenizer *t =
        parse("{\"added_tokens\":[{\"id\":3,\"content\":\"<unk>\",\"special\":true}],"
              "\"pre_tokenizer\":{\"type\":\"Metaspace\"},\"decoder\":{\"type\":\"Metaspace\"},"
              "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],"
              "[\"\xe2\x96\x81\",-2.5],[\"a\",-1],[\"<unk>\",-1]]}}");
    expect_ids(t, "xa", 0, "1 0 2", "a");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(unknown_ids_are_named)
{
    struct tm_tokenizer *t = parse(bpe);
    const uint32_t ids[] = {0, 99};
    struct tm_buf out;
    struct tm_err err;
    tm_buf_init(&out, 100);
    ck_assert_int_eq(tm_tokenizer_decode(t, ids, 2, 0, &out, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "token 1 has the id 99, and there are 13");
    ck_assert_uint_eq(out.bytes, 0);
    tm_tokenizer_destroy(&t);
}
END_TEST

#define MODEL(text) "{\"model\":{\"type\":\"BPE\"," text "}}"
#define WITH(part) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}," part "}"

static const struct {
    const char *text, *word;
    tm_status status;
} bad[] = {
    {"", "", TM_E_MALFORMED},
    {"{}", "no model", TM_E_MALFORMED},
    {"{\"model\":{}}", "no vocab", TM_E_MALFORMED},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "'WordPiece' is not known",
     TM_E_INCOMPATIBLE},
    {MODEL("\"vocab\":{\"a\":0,\"b\":0}"), "same id", TM_E_MALFORMED},
    {MODEL("\"vocab\":{\"a\":99999999}"), "too large", TM_E_MALFORMED},
    {MODEL("\"vocab\":{\"a\":0},\"merges\":[\"a\"]"), "no pair", TM_E_MALFORMED},
    {MODEL("\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]"), "no pair", TM_E_MALFORMED},
    {MODEL("\"vocab\":{\"a\":0},\"merges\":[\"a a\"]"), "not there", TM_E_MALFORMED},
    {MODEL("\"vocab\":{\"a\":0},\"end_of_word_suffix\":\"</w>\""), "parts of words",
     TM_E_INCOMPATIBLE},
    {"{\"model\":{\"vocab\":{}},\"model\":{}}", "twice", TM_E_MALFORMED},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", "no score", TM_E_MALFORMED},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", "no number", TM_E_MALFORMED},
    {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":4,\"vocab\":[[\"a\",0]]}}", "unk_id is no token",
     TM_E_MALFORMED},
    {WITH("\"added_tokens\":[{\"id\":1}]"), "no content", TM_E_MALFORMED},
    {WITH("\"normalizer\":{\"type\":\"X\"}"), "'X' is not known", TM_E_INCOMPATIBLE},
    {WITH("\"pre_tokenizer\":{\"type\":\"X\"}"), "'X' is not known", TM_E_INCOMPATIBLE},
    {WITH("\"decoder\":{\"type\":\"X\"}"), "'X' is not known", TM_E_INCOMPATIBLE},
    {WITH("\"post_processor\":{\"type\":\"X\"}"), "'X' is not known", TM_E_INCOMPATIBLE},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":"
          "[{\"SpecialToken\":{\"id\":\"<s>\"}}]}"),
     "without ids", TM_E_MALFORMED},
};

START_TEST(bad_files_are_refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_tokenizer *t = NULL;
        struct tm_err err;
        tm_status status = tm_tokenizer_from_json(tm_view_str(bad[i].text), "t.json", &t, &err);
        ck_assert_msg(status == bad[i].status, "%s: %s", bad[i].text, err.why);
        ck_assert_msg(strstr(err.why, bad[i].word) != NULL, "%s: %s", bad[i].text, err.why);
        ck_assert_msg(err.where[0] != 0, "%s", bad[i].text);
        ck_assert_ptr_null(t);
    }
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    static const char *const files[] = {bpe, unigram};
    for (int file = 0; file < 2; file++) {
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            struct tm_tokenizer *t = NULL;
            struct tm_err err;
            struct tm_buf ids;
            tm_buf_init(&ids, 4096);
            tm_mem_fail_at(n);
            tm_status status = tm_tokenizer_from_json(tm_view_str(files[file]), "t", &t, &err);
            if (status == TM_OK) {
                status = tm_tokenizer_encode(t, tm_view_str("ab \xff"), 0, &ids, &err);
            }
            failed = tm_mem_failed();
            tm_mem_fail_at(0);
            ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
            tm_buf_deinit(&ids);
            tm_tokenizer_destroy(&t);
            ck_assert_uint_eq(tm_mem_live_blocks(), live);
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_json");
    TCase *tc = tcase_create("tokenizer_json");
    tcase_add_test(tc, byte_level_bpe);
    tcase_add_test(tc, unigram_model);
    tcase_add_test(tc, an_unknown_token_is_special_by_its_text);
    tcase_add_test(tc, unknown_ids_are_named);
    tcase_add_test(tc, bad_files_are_refused);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}
