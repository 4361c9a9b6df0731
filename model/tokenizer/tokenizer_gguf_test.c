/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

#define MARK "\xe2\x96\x81"

#define BLANK "\xc4\xa0" /* as byte-level vocabularies write it */
#define BLANK_AB BLANK "ab"
#define MARK_A MARK "a"
static const char *const bpe_tokens[] = {"a", "b", "ab", BLANK_AB, BLANK, "<s>", ""};
static const char *const spm_tokens[] = {"<unk>", "<s>", "</s>", MARK, "a", MARK_A, "b"};

static void strings(struct tm_buf *out, const char *key, const char *const *texts, uint64_t count)
{
    g_key(out, key, 9);
    put_u32(out, 8);
    put_u64(out, count);
    for (uint64_t i = 0; i < count; i++) {
        g_str(out, texts[i]);
    }
}

static void numbers(struct tm_buf *out, const char *key, uint32_t type, const uint32_t *values,
                    uint64_t count)
{
    g_key(out, key, 9);
    put_u32(out, type);
    put_u64(out, count);
    for (uint64_t i = 0; i < count; i++) {
        put_u32(out, values[i]);
    }
}

static void begin(struct tm_buf *out, uint64_t keys)
{
    tm_buf_init(out, 1u << 16);
    put_u64(out, keys);
}

static void make_bpe_with(struct tm_buf *out, const char *pre, bool add_bos)
{
    static const char *const merges[] = {"a b", "\xc4\xa0 ab"};
    static const uint32_t kinds[] = {1, 1, 1, 1, 1, 3, 1};
    begin(out, add_bos ? 7 : 6);
    g_kv_str(out, "tokenizer.ggml.model", "gpt2");
    g_kv_str(out, "tokenizer.ggml.pre", pre);
    strings(out, "tokenizer.ggml.tokens", bpe_tokens, 7);
    numbers(out, "tokenizer.ggml.token_type", 5, kinds, 7);
    strings(out, "tokenizer.ggml.merges", merges, 2);
    g_kv_u32(out, "tokenizer.ggml.bos_token_id", 5);
    if (add_bos) {
        g_kv_u32(out, "tokenizer.ggml.add_bos_token", 1);
    }
}

static void make_bpe(struct tm_buf *out, const char *pre)
{
    make_bpe_with(out, pre, true);
}

static void make_spm(struct tm_buf *out, const char *model)
{
    static const uint32_t kinds[] = {2, 3, 3, 1, 1, 1, 1};
    uint32_t scores[7];
    for (uint32_t i = 0; i < 7; i++) {
        scores[i] = tm_f32_bits(i == 5 ? -0.5f : -(float)i);
    }
    begin(out, 6);
    g_kv_str(out, "tokenizer.ggml.model", model);
    strings(out, "tokenizer.ggml.tokens", spm_tokens, 7);
    numbers(out, "tokenizer.ggml.scores", 6, scores, 7);
    numbers(out, "tokenizer.ggml.token_type", 5, kinds, 7);
    g_kv_u32(out, "tokenizer.ggml.bos_token_id", 1);
    g_kv_u32(out, "tokenizer.ggml.eos_token_id", 2);
}

static struct tm_tokenizer *parse(struct tm_buf *blob)
{
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    tm_status status = tm_tokenizer_from_gguf(tm_buf_view(blob), "m.gguf", &t, &err);
    ck_assert_msg(status == TM_OK, "%s", err.why);
    tm_buf_deinit(blob);
    return t;
}

START_TEST(byte_level)
{
    struct tm_buf blob;
    make_bpe(&blob, "llama-bpe");
    struct tm_tokenizer *t = parse(&blob);
    expect_ids(t, "ab ab", 0, "2 3", "ab ab");
    expect_ids(t, "b<s>", TM_TOKENIZE_FRAME | TM_TOKENIZE_SPECIALS, "5 1 5", "b");
    ck_assert_uint_eq(tm_tokenizer_bos(t), 5);
    ck_assert_ptr_null(tm_tokenizer_note(t));
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(bos_where_the_file_does_not_say)
{
    struct tm_buf blob;
    make_bpe_with(&blob, "llama-bpe", false);
    struct tm_tokenizer *t = parse(&blob);
    expect_ids(t, "ab", TM_TOKENIZE_FRAME, "5 2", "ab");
    tm_tokenizer_destroy(&t);
    make_bpe_with(&blob, "qwen2", false);
    t = parse(&blob);
    expect_ids(t, "ab", TM_TOKENIZE_FRAME, "2", "ab");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(an_unknown_pre_tokenizer_is_told)
{
    struct tm_buf blob;
    make_bpe(&blob, "new\n");
    struct tm_tokenizer *t = parse(&blob);
    expect_ids(t, "ab ab", 0, "2 3", "ab ab");
    ck_assert_ptr_nonnull(strstr(tm_tokenizer_note(t), "'new\\x0a' is not known"));
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(sentencepiece)
{
    struct tm_buf blob;
    make_spm(&blob, "llama");
    struct tm_tokenizer *t = parse(&blob);
    expect_ids(t, "a b", TM_TOKENIZE_FRAME, "1 5 3 6", "a b"); /* BOS by default */
    expect_ids(t, "a  ", 0, "5 3 3", "a  ");
    ck_assert_uint_eq(tm_tokenizer_eos(t), 2);
    tm_tokenizer_destroy(&t);
    make_spm(&blob, "t5");
    t = parse(&blob);
    expect_ids(t, "a b", TM_TOKENIZE_FRAME, "5 3 6", "a b");
    tm_tokenizer_destroy(&t);
}
END_TEST

static void refuse(struct tm_buf *blob, tm_status wanted, const char *word)
{
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    ck_assert_int_eq(tm_tokenizer_from_gguf(tm_buf_view(blob), "m.gguf", &t, &err), wanted);
    ck_assert_msg(strstr(err.why, word) != NULL, "%s", err.why);
    ck_assert_str_eq(err.where, "m.gguf");
    tm_buf_deinit(blob);
}

START_TEST(bad_metadata_is_refused)
{
    static const char *const merges[] = {"a x"};
    static const uint32_t one[] = {0x7fc00000};
    struct tm_buf blob;
    begin(&blob, 0);
    refuse(&blob, TM_E_NOT_FOUND, "none in the file");
    begin(&blob, 1);
    g_kv_str(&blob, "tokenizer.ggml.model", "bert");
    refuse(&blob, TM_E_INCOMPATIBLE, "'bert' is not known");
    begin(&blob, 1);
    g_kv_str(&blob, "tokenizer.ggml.model", "gpt2");
    refuse(&blob, TM_E_MALFORMED, "no list of tokens");
    begin(&blob, 2);
    g_kv_str(&blob, "tokenizer.ggml.model", "gpt2");
    strings(&blob, "tokenizer.ggml.tokens", bpe_tokens, 2);
    refuse(&blob, TM_E_MALFORMED, "no list of merges");
    begin(&blob, 3);
    g_kv_str(&blob, "tokenizer.ggml.model", "gpt2");
    strings(&blob, "tokenizer.ggml.tokens", bpe_tokens, 2);
    strings(&blob, "tokenizer.ggml.merges", merges, 1);
    refuse(&blob, TM_E_MALFORMED, "not there");
    begin(&blob, 3);
    g_kv_str(&blob, "tokenizer.ggml.model", "llama");
    strings(&blob, "tokenizer.ggml.tokens", spm_tokens, 2);
    numbers(&blob, "tokenizer.ggml.scores", 6, one, 1);
    refuse(&blob, TM_E_MALFORMED, "not one for each token");
    begin(&blob, 3);
    g_kv_str(&blob, "tokenizer.ggml.model", "llama");
    strings(&blob, "tokenizer.ggml.tokens", spm_tokens, 1);
    numbers(&blob, "tokenizer.ggml.scores", 6, one, 1);
    refuse(&blob, TM_E_MALFORMED, "score is no number");
}
END_TEST

START_TEST(memory_runs_out)
{
    struct tm_buf blob;
    make_bpe(&blob, "smollm");
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_tokenizer *t = NULL;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_tokenizer_from_gguf(tm_buf_view(&blob), "m.gguf", &t, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_tokenizer_destroy(&t);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&blob);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_gguf");
    TCase *tc = tcase_create("tokenizer_gguf");
    tcase_add_test(tc, byte_level);
    tcase_add_test(tc, bos_where_the_file_does_not_say);
    tcase_add_test(tc, an_unknown_pre_tokenizer_is_told);
    tcase_add_test(tc, sentencepiece);
    tcase_add_test(tc, bad_metadata_is_refused);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}
