/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/line_reader.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "node/common/program.h"
#include "tests/support/suite.h"

#define LINE_MAX 10000

static int ends[2];
static struct tm_line_reader reader;

static void setup(void)
{
    ck_assert_int_eq(pipe(ends), 0);
    tm_line_reader_init(&reader, ends[0], LINE_MAX);
    tm_stop_signal = 0;
}

static void teardown(void)
{
    tm_line_reader_deinit(&reader);
    close(ends[0]);
    tm_stop_signal = 0;
}

static void put(const char *text)
{
    ck_assert_int_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(const char *text)
{
    struct tm_view line;
    struct tm_err err;
    ck_assert_int_eq(tm_line_reader_next(&reader, &line, &err), TM_OK);
    ck_assert_msg(tm_view_eq_str(line, text), "%.*s, not %s", (int)line.bytes,
                  (const char *)line.data, text);
}

static void expect_end(tm_status status, struct tm_err *err)
{
    struct tm_view line;
    ck_assert_int_eq(tm_line_reader_next(&reader, &line, err), status);
}

START_TEST(lines_in_any_pieces)
{
    struct tm_err err;
    put("one\ntwo\r\n\n\nthr");
    expect("one");
    expect("two");
    expect("");
    expect("");
    put("ee\nlast");
    expect("three");
    close(ends[1]);
    expect("last");
    expect_end(TM_E_NOTHING, &err);
    expect_end(TM_E_NOTHING, &err);
}
END_TEST

START_TEST(nothing_at_all)
{
    struct tm_err err;
    close(ends[1]);
    expect_end(TM_E_NOTHING, &err);
}
END_TEST

START_TEST(long_lines)
{
    static char text[LINE_MAX + 2];
    struct tm_err err;
    memset(text, 'x', LINE_MAX);
    text[LINE_MAX] = '\n';
    put(text);
    text[LINE_MAX] = '\0';
    expect(text);
    for (int i = 0; i < 2; i++) {
        put(text);
    }
    expect_end(TM_E_USAGE, &err);
    ck_assert_str_eq(err.why, "it has more than 10000 bytes");
    close(ends[1]);
}
END_TEST

static void on_alarm(int number)
{
    tm_stop_signal = number;
}

START_TEST(a_signal_ends_the_wait)
{
    struct tm_err err;
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    put("half a li");
    alarm(1);
    expect_end(TM_E_STOPPED, &err); /* it waits for the rest of the line */
    ck_assert_int_eq(tm_stop_signal, SIGALRM);
    ck_assert_str_eq(err.why, "asked to stop");
    tm_stop_signal = 0;
    put("another\n");
    expect("another");
    close(ends[1]);
}
END_TEST

START_TEST(what_cannot_be_read)
{
    struct tm_err err;
    close(ends[1]);
    reader.fd = ends[1];
    expect_end(TM_E_IO, &err);
    ck_assert_str_eq(err.where, "standard input");
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("line_reader");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, lines_in_any_pieces);
    tcase_add_test(tcase, nothing_at_all);
    tcase_add_test(tcase, long_lines);
    tcase_add_test(tcase, a_signal_ends_the_wait);
    tcase_add_test(tcase, what_cannot_be_read);
    Suite *suite = suite_create("line_reader");
    suite_add_tcase(suite, tcase);
    return suite;
}
