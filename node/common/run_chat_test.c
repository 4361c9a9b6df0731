/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/run_chat.h"

#include "node/common/program.h"
#include "node/common/run_command.h"
#include "tests/support/captured.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

#define TEMPLATE                                                                                   \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\\\n' + "                 \
    "message['content'] + '<|im_end|>' + '\\\\n'}}{% endfor %}{% if add_generation_prompt %}"      \
    "{{ '<|im_start|>assistant\\\\n' }}{% endif %}"

static tm_status run(const struct tm_command *command, const struct tm_parsed *parsed,
                     struct tm_err *err)
{
    return tm_run_run(command, parsed, parsed->arguments[0], NULL, err);
}

static const struct tm_option options[] = {TM_RUN_COMMAND_OPTIONS, {0}};
static const struct tm_command command = {"run", "MODEL", 1, 1, "runs", NULL, NULL, options, run};
static const struct tm_command *const commands[] = {&command, NULL};
static const struct tm_program program = {"prog", "runs", commands, "config.toml"};

static struct test_dir dir;
static struct captured got;

/* Letters, and the marks of ChatML. */
static void write_tokenizer(void)
{
    struct tm_buf text;
    tm_buf_init(&text, 4096);
    ck_assert_int_eq(tm_buf_put_str(&text, "{\"model\":{\"type\":\"BPE\",\"vocab\":{"), TM_OK);
    for (int i = 0; i < TINY_VOCAB - 3; i++) {
        ck_assert_int_eq(tm_buf_printf(&text, "\"%c\":%d,", i < 26 ? 'a' + i : 'A' + i - 26, i),
                         TM_OK);
    }
    ck_assert_int_eq(tm_buf_put_str(&text, "\"\\n\":38,\"<|im_start|>\":39,\"<|im_end|>\":40},"
                                           "\"merges\":[]},\"added_tokens\":["),
                     TM_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tm_buf_printf(&text,
                                       "%s{\"id\":%d,\"content\":\"<|im_%s|>\",\"special\":true,"
                                       "\"normalized\":false}",
                                       i == 0 ? "" : ",", 39 + i, i == 0 ? "start" : "end"),
                         TM_OK);
    }
    ck_assert_int_eq(tm_buf_put_str(&text, "]}"), TM_OK);
    test_put_buf(&dir, "tokenizer.json", &text);
    tm_buf_deinit(&text);
    test_put_text(&dir, "tokenizer_config.json", "{\"chat_template\":\"" TEMPLATE "\"}");
}

static void setup(void)
{
    struct tiny_model *m = tiny_new("llama");
    dir = test_dir_make();
    tiny_write_folder(&dir, m);
    tiny_free(m);
    write_tokenizer();
}

static void teardown(void)
{
    test_dir_remove(&dir);
}

#define RUN(...)                                                                                   \
    captured_run(&program, (char *[]){"prog", "run", dir.path, "--chat", __VA_ARGS__, NULL}, &got)

static void input(const char *text)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    rewind(file);
    fflush(file);
    ck_assert_int_eq(dup2(fileno(file), 0), 0);
    fclose(file);
}

static size_t times(const char *text, const char *word)
{
    size_t count = 0;
    while ((text = strstr(text, word)) != NULL) {
        count++;
        text += strlen(word);
    }
    return count;
}

START_TEST(one_turn)
{
    char first[sizeof got.out];
    RUN("-p", "hello", "-n", "4");
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_ptr_nonnull(strstr(got.err, "1 answers, 4 tokens at "));
    memcpy(first, got.out, sizeof first);
    ck_assert_uint_eq(strlen(first), 5); /* one letter a token, and a newline */
    RUN("-p", "hello", "-n", "4", "--system", "be", "-q");
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_str_eq(got.err, "");
    ck_assert_str_ne(got.out, first);
}
END_TEST

START_TEST(each_line_is_a_turn)
{
    input("ab\n\ncd\n");
    RUN("-n", "2", "--json");
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_str_eq(got.err, "");
    ck_assert_ptr_nonnull(strstr(got.out, "\"schema\": \"tmill.chat/1\""));
    ck_assert_ptr_nonnull(strstr(got.out, "\"template\": \"ChatML\""));
    ck_assert_uint_eq(times(got.out, "\"text\""), 2); /* an empty line is none */
    /* <|im_start|>user\n ab <|im_end|>\n <|im_start|>assistant\n, then an answer of two of which
     * the last is not read yet, <|im_end|>\n, and the same again. */
    ck_assert_ptr_nonnull(strstr(got.out, "\"read_tokens\": 21"));
    ck_assert_ptr_nonnull(strstr(got.out, "\"read_tokens\": 24"));
}
END_TEST

START_TEST(the_end_of_the_context)
{
    input("ab\ncd\nef\ngh\n");
    RUN("-n", "2", "-c", "48", "-q");
    ck_assert_int_eq(got.code, 2);
    ck_assert_uint_eq(captured_lines(got.err), 1);
    ck_assert_ptr_nonnull(strstr(got.err, "the context of 48 tokens is full"));
    ck_assert_ptr_nonnull(strstr(got.err, "--context"));
    ck_assert_uint_eq(captured_lines(got.out), 2); /* the third question did not fit */
    RUN("-p", "ab", "-c", "23");                   /* the answer is cut */
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "the context of 23 tokens is full"));
}
END_TEST

START_TEST(what_is_refused)
{
    test_put_text(&dir, "tokenizer_config.json", "{\"chat_template\":\"{{ x }}\"}");
    RUN("-p", "a");
    ck_assert_int_eq(got.code, 8);
    ck_assert_ptr_nonnull(strstr(got.err, "none of the known forms"));
    ck_assert_ptr_nonnull(strstr(got.err, dir.path));
    test_put_text(&dir, "tokenizer_config.json", "{}");
    RUN("-p", "a");
    ck_assert_int_eq(got.code, 3);
    ck_assert_ptr_nonnull(strstr(got.err, "the model has no chat template"));
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("run_chat");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, one_turn);
    tcase_add_test(tcase, each_line_is_a_turn);
    tcase_add_test(tcase, the_end_of_the_context);
    tcase_add_test(tcase, what_is_refused);
    Suite *suite = suite_create("run_chat");
    suite_add_tcase(suite, tcase);
    return suite;
}
