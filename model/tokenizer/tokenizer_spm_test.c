/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "tests/support/spm_file.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

#define MARK "\xe2\x96\x81"

/* <unk> <s> and a few pieces; ids are the order. */
static void make(struct tm_buf *out, uint64_t model_type, bool prefix, bool remove)
{
    tm_buf_init(out, 1u << 16);
    spm_piece(out, "<unk>", 0.0f, 2);
    spm_piece(out, "<s>", 0.0f, 3);
    spm_piece(out, MARK, -3.0f, 1);
    spm_piece(out, "a", -2.0f, 1);
    spm_piece(out, "b", -2.0f, 1);
    spm_piece(out, MARK "a", -1.0f, 1);
    spm_piece(out, "ab", -1.5f, 1);
    spm_piece(out, "<sep>", 0.0f, 4);
    spm_piece(out, "unused", 0.0f, 5);
    spm_trainer(out, model_type);
    spm_normalizer(out, prefix, remove);
}

static struct tm_tokenizer *parse(uint64_t model_type, bool prefix, bool remove)
{
    struct tm_buf file;
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    make(&file, model_type, prefix, remove);
    tm_status status = tm_tokenizer_from_spm(tm_buf_view(&file), "t.model", &t, &err);
    ck_assert_msg(status == TM_OK, "%s", err.why);
    tm_buf_deinit(&file);
    return t;
}

START_TEST(blanks_are_kept_or_joined)
{
    struct tm_tokenizer *t = parse(2, true, true);
    expect_ids(t, "a  ab ", 0, "5 5 4", "a ab");
    expect_ids(t, "  ", 0, "", "");
    expect_ids(t, "a" MARK "\n", 0, "5 2 0", "a  \xe2\x81\x87 "); /* the mark is not at the end */
    tm_tokenizer_destroy(&t);
    t = parse(2, false, false);
    expect_ids(t, "ab  ", 0, "6 2 2", "ab  ");
    expect_ids(t, " ab", 0, "5 4", " ab");
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(user_defined_pieces_are_whole)
{
    struct tm_tokenizer *t = parse(2, true, true);
    /* no second blank behind it: the text was normalised as one */
    expect_ids(t, "a<sep>b", 0, "5 7 4", "a<sep>b");
    tm_tokenizer_destroy(&t);
    t = parse(1, true, true);
    expect_ids(t, "a<sep>b", 0, "5 7 4", "a<sep>b");
    expect_ids(t, "ab", 0, "5 4", "ab"); /* -3 beats -3 -1.5 */
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(control_pieces)
{
    struct tm_tokenizer *t = parse(2, true, true);
    expect_ids(t, "a", TM_TOKENIZE_FRAME, "1 5", "a");
    expect_ids(t, "<s>a", TM_TOKENIZE_SPECIALS, "1 5", "a");
    ck_assert_uint_eq(tm_tokenizer_bos(t), 1);
    ck_assert_uint_eq(tm_tokenizer_eos(t), UINT32_MAX);
    tm_tokenizer_destroy(&t);
}
END_TEST

static void refuse(struct tm_view file, tm_status wanted, const char *word)
{
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    ck_assert_int_eq(tm_tokenizer_from_spm(file, "t.model", &t, &err), wanted);
    ck_assert_msg(strstr(err.why, word) != NULL, "%s", err.why);
    ck_assert_str_eq(err.where, "t.model");
    ck_assert_ptr_null(t);
}

START_TEST(bad_files_are_refused)
{
    struct tm_buf file;
    make(&file, 3, true, true);
    refuse(tm_buf_view(&file), TM_E_INCOMPATIBLE, "neither unigram nor BPE");
    tm_buf_deinit(&file);
    refuse(tm_view_str(""), TM_E_MALFORMED, "no pieces");
    refuse(tm_view_str("\x0a\x7f"), TM_E_MALFORMED, "cut off");
    refuse(tm_view_str("\x0b"), TM_E_MALFORMED, "cut off"); /* a group: not in proto3 */
    refuse(tm_view_str("\x12\x02\x18\xff"), TM_E_MALFORMED, "trainer_spec is cut off");
    refuse(tm_view_of("\x0a\x07\x0a\x00\x15\x00\x00\xc0\x7f", 9), TM_E_MALFORMED, "no number");
    /* every cut ends cleanly */
    make(&file, 2, true, true);
    for (size_t bytes = 0; bytes < file.bytes; bytes++) {
        struct tm_tokenizer *t = NULL;
        struct tm_err err;
        tm_status status = tm_tokenizer_from_spm(tm_view_of(file.data, bytes), "t", &t, &err);
        ck_assert(status == TM_OK || status == TM_E_MALFORMED);
        tm_tokenizer_destroy(&t);
    }
    tm_buf_deinit(&file);
}
END_TEST

START_TEST(memory_runs_out)
{
    struct tm_buf file;
    make(&file, 1, true, true);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_tokenizer *t = NULL;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_tokenizer_from_spm(tm_buf_view(&file), "t", &t, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_tokenizer_destroy(&t);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&file);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tokenizer_spm");
    TCase *tc = tcase_create("tokenizer_spm");
    tcase_add_test(tc, blanks_are_kept_or_joined);
    tcase_add_test(tc, user_defined_pieces_are_whole);
    tcase_add_test(tc, control_pieces);
    tcase_add_test(tc, bad_files_are_refused);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}
