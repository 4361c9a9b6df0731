/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/speaker.h"

#include <signal.h>

#include "node/common/program.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

static struct test_dir dir;
static struct tm_err err;

static void setup(void)
{
    struct tiny_model *m = tiny_new("gemma3_text"); /* it has windows */
    dir = test_dir_make();
    tiny_write_folder(&dir, m);
    tiny_free(m);
    tm_stop_signal = 0;
}

static void teardown(void)
{
    test_dir_remove(&dir);
    tm_stop_signal = 0;
}

static void open_speaker(uint64_t context, struct tm_speaker *out)
{
    struct tm_speaker_options options = {.path = dir.path, .context = context, .threads = 1};
    ck_assert_msg(tm_speaker_open(&options, out, &err) == TM_OK, "%s", err.why);
}

/* Reads the ids and writes `most` tokens; the text. */
static const char *speak(struct tm_speaker *s, const uint32_t *ids, size_t count, uint64_t most,
                         struct tm_answer *answer)
{
    static char text[256];
    struct tm_buf out;
    tm_buf_init(&out, sizeof text - 1);
    *answer = (struct tm_answer){.most = most, .end_id = UINT32_MAX, .text = &out};
    ck_assert_msg(tm_speaker_read(s, ids, count, &err) == TM_OK, "%s", err.why);
    ck_assert_msg(tm_speaker_answer(s, answer, &err) == TM_OK, "%s", err.why);
    memcpy(text, out.data, out.bytes);
    text[out.bytes] = '\0';
    tm_buf_deinit(&out);
    return text;
}

static const uint32_t first[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
static const uint32_t other[] = {1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25, 26, 27};
static const uint32_t begin[] = {1, 2, 3};

/* Whatever it had in mind before, it says what one says that has read nothing else. */
START_TEST(what_was_read_before_changes_nothing)
{
    const struct {
        const uint32_t *ids;
        size_t count;
        uint64_t kept; /* tokens that need not be read */
    } steps[] = {{first, 10, 0}, {other, 13, 5}, {begin, 3, 2}, {first, 10, 3}, {first, 10, 9}};
    struct tm_speaker s;
    open_speaker(0, &s);
    struct tm_answer answer;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct tm_speaker fresh;
        open_speaker(0, &fresh);
        char expected[256];
        uint64_t read = s.read;
        ck_assert_int_eq(tm_speaker_read(&s, steps[i].ids, steps[i].count, &err), TM_OK);
        ck_assert_uint_eq(s.read - read, steps[i].count - steps[i].kept);
        ck_assert_int_eq(tm_speaker_read(&fresh, steps[i].ids, steps[i].count, &err), TM_OK);
        ck_assert_mem_eq(s.logits, fresh.logits, TINY_VOCAB * sizeof *s.logits);
        snprintf(expected, sizeof expected, "%s",
                 speak(&fresh, steps[i].ids, steps[i].count, 12, &answer));
        ck_assert_str_eq(speak(&s, steps[i].ids, steps[i].count, 12, &answer), expected);
        ck_assert_uint_eq(answer.tokens, 12);
        ck_assert_str_eq(answer.end, "length");
        tm_speaker_close(&fresh);
    }
    tm_speaker_close(&s);
    tm_speaker_close(&s);
}
END_TEST

START_TEST(ends)
{
    struct tm_speaker s;
    open_speaker(12, &s);
    struct tm_answer answer;
    char text[256];
    snprintf(text, sizeof text, "%s", speak(&s, first, 10, 99, &answer));
    ck_assert_str_eq(answer.end, "context");
    ck_assert_uint_eq(answer.tokens, 3); /* the last is not read again */
    ck_assert_uint_eq(strlen(text), 3);
    ck_assert_str_eq(speak(&s, first, 10, 0, &answer), "");
    ck_assert_str_eq(answer.end, "length");
    /* Its first letter as the end of a turn. */
    struct tm_buf out;
    tm_buf_init(&out, 64);
    ck_assert(text[0] >= 'a' && text[0] <= 'z');
    answer = (struct tm_answer){.most = 9, .end_id = (uint32_t)(text[0] - 'a'), .text = &out};
    ck_assert_int_eq(tm_speaker_read(&s, first, 10, &err), TM_OK);
    ck_assert_int_eq(tm_speaker_answer(&s, &answer, &err), TM_OK);
    ck_assert_str_eq(answer.end, "end of text");
    ck_assert_uint_eq(out.bytes, 0);
    tm_buf_deinit(&out);
    tm_speaker_close(&s);
}
END_TEST

START_TEST(a_signal_leaves_what_there_is)
{
    struct tm_speaker s;
    open_speaker(0, &s);
    struct tm_answer answer;
    char whole[256];
    snprintf(whole, sizeof whole, "%s", speak(&s, first, 10, 5, &answer));
    struct tm_buf out;
    tm_buf_init(&out, 64);
    answer = (struct tm_answer){.most = 5, .end_id = UINT32_MAX, .text = &out};
    ck_assert_int_eq(tm_speaker_read(&s, first, 10, &err), TM_OK);
    tm_stop_signal = SIGINT;
    ck_assert_int_eq(tm_speaker_answer(&s, &answer, &err), TM_E_STOPPED);
    ck_assert_str_eq(answer.end, "stopped");
    ck_assert(out.bytes == 1 && out.data[0] == (uint8_t)whole[0]);
    ck_assert_int_eq(tm_speaker_read(&s, other, 13, &err), TM_E_STOPPED);
    tm_stop_signal = 0;
    ck_assert_str_eq(speak(&s, first, 10, 5, &answer), whole);
    tm_buf_deinit(&out);
    tm_speaker_close(&s);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    struct tm_speaker_options options = {.path = dir.path, .context = TINY_CONTEXT + 1};
    struct tm_speaker s;
    ck_assert_int_eq(tm_speaker_open(&options, &s, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, "--context");
    ck_assert_ptr_null(s.pass);
    options.context = 0;
    ck_assert_int_eq(unlink(test_path(&dir, "tokenizer.json")), 0);
    ck_assert_int_eq(tm_speaker_open(&options, &s, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.why, "the model has no tokenizer");
    options.path = "/nowhere";
    ck_assert_int_eq(tm_speaker_open(&options, &s, &err), TM_E_NOT_FOUND);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("speaker");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_was_read_before_changes_nothing);
    tcase_add_test(tcase, ends);
    tcase_add_test(tcase, a_signal_leaves_what_there_is);
    tcase_add_test(tcase, what_cannot_be_opened);
    Suite *suite = suite_create("speaker");
    suite_add_tcase(suite, tcase);
    return suite;
}
