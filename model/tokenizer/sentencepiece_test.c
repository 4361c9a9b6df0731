/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/sentencepiece.h"

#include "base/mem.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

/* Puts one piece of each kind, ids from 1 on. */
static struct tm_tokenizer *with_kinds(enum tm_tokenizer_model model)
{
    static const char *const texts[] = {"n", "<unk>", "<c>", "<u>", "gone", "<0x41>"};
    struct tm_tokenizer *t = tm_tokenizer_new();
    ck_assert_ptr_nonnull(t);
    t->model = model;
    for (uint32_t kind = 1; kind <= 6; kind++) {
        struct tm_view text = tm_view_str(texts[kind - 1]);
        ck_assert_int_eq(tm_spm_put(t, kind, text, -1.0, kind, NULL), TM_OK);
    }
    return t;
}

START_TEST(every_kind_finds_its_place)
{
    struct tm_tokenizer *t = with_kinds(TM_TOKENIZER_BPE);
    ck_assert_uint_eq(tm_vocab_find(&t->vocab, tm_view_str("n")), 1);
    ck_assert_uint_eq(t->bpe.unknown, 2);
    ck_assert_uint_eq(tm_added_count(&t->added), 3); /* unknown, control, user-defined */
    ck_assert(tm_added_at(&t->added, 0)->special && tm_added_at(&t->added, 1)->special);
    ck_assert(!tm_added_at(&t->added, 2)->special && tm_added_at(&t->added, 2)->normalized);
    ck_assert_uint_eq(tm_vocab_find(&t->vocab, tm_view_str("gone")), TM_NO_TOKEN);
    ck_assert_uint_eq(tm_vocab_find(&t->vocab, tm_view_str("<0x41>")), 6);
    tm_tokenizer_destroy(&t);
    t = with_kinds(TM_TOKENIZER_UNIGRAM);
    ck_assert_uint_eq(tm_added_count(&t->added), 2); /* the unknown and the control piece */
    ck_assert(t->vocab.entries[4].score >= TM_UNIGRAM_ALWAYS);
    ck_assert(t->vocab.entries[6].score <= TM_UNIGRAM_NEVER);
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(runs_of_blanks_are_found_before_marks_are_put)
{
    struct tm_tokenizer *t = with_kinds(TM_TOKENIZER_BPE);
    struct tm_spm_settings settings = {.escape_whitespaces = true};
    struct tm_err err;
    ck_assert_int_eq(tm_spm_put(t, 7, tm_view_str("  "), 0, TM_PIECE_USER_DEFINED, &err), TM_OK);
    ck_assert_int_eq(tm_spm_settle(t, &settings, &err), TM_OK);
    ck_assert_int_eq(tm_tokenizer_seal(t, &err), TM_OK);
    expect_ids(t, "n  n", 0, "1 7 1", "n  n");
    expect_ids(t, "n<unk>", TM_TOKENIZE_SPECIALS, "1 2", "n");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(bad_pieces_are_refused)
{
    struct tm_tokenizer *t = with_kinds(TM_TOKENIZER_BPE);
    struct tm_err err;
    ck_assert_int_eq(tm_spm_put(t, 1, tm_view_str("x"), 0, TM_PIECE_NORMAL, &err), TM_E_MALFORMED);
    ck_assert_int_eq(tm_spm_put(t, 9, tm_view_str(""), 0, TM_PIECE_CONTROL, &err), TM_E_MALFORMED);
    ck_assert_int_eq(tm_spm_put(t, TM_VOCAB_MAX, tm_view_str("x"), 0, TM_PIECE_NORMAL, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "too large"));
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(a_wrong_map_is_refused)
{
    struct tm_tokenizer *t = with_kinds(TM_TOKENIZER_BPE);
    struct tm_spm_settings settings = {.charsmap = tm_view_str("abc")};
    struct tm_err err;
    ck_assert_int_eq(tm_spm_settle(t, &settings, &err), TM_E_MALFORMED);
    tm_tokenizer_destroy(&t);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("sentencepiece");
    TCase *tc = tcase_create("sentencepiece");
    tcase_add_test(tc, every_kind_finds_its_place);
    tcase_add_test(tc, runs_of_blanks_are_found_before_marks_are_put);
    tcase_add_test(tc, bad_pieces_are_refused);
    tcase_add_test(tc, a_wrong_map_is_refused);
    suite_add_tcase(suite, tc);
    return suite;
}
