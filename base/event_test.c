/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static char line[70000];

/* The line behind its time stamp, whose form is checked. */
static const char *format(enum tm_level level, const char *event, const struct tm_field *fields,
                          size_t count)
{
    struct tm_buf out;
    tm_buf_init(&out, sizeof line - 1);
    ck_assert_int_eq(tm_event_format(&out, level, event, fields, count), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    memcpy(line, out.data, out.bytes + 1);
    tm_buf_deinit(&out);
    static const char form[] = "ts=dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        ck_assert(form[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == form[i]);
    }
    return line + sizeof form - 1;
}

START_TEST(lines)
{
    struct tm_field fields[] = {{"node", "ab12", 0}, {"units", NULL, UINT64_MAX}};
    ck_assert_str_eq(format(TM_LEVEL_WARN, "node.banned", fields, 2),
                     "level=warn event=node.banned node=ab12 units=18446744073709551615");
    ck_assert_str_eq(format(TM_LEVEL_DEBUG, "a.b", NULL, 0), "level=debug event=a.b");
    ck_assert_str_eq(format(TM_LEVEL_INFO, "a", NULL, 0), "level=info event=a");
    ck_assert_str_eq(format(TM_LEVEL_ERROR, "a", NULL, 0), "level=error event=a");
}
END_TEST

START_TEST(quoting)
{
    static const struct {
        const char *text;
        const char *value;
    } cases[] = {
        {"plain-/.:1", "plain-/.:1"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"c:\\d", "\"c:\\\\d\""},
        {"a\nlevel=error", "\"a\\x0alevel=error\""},
        {"\x1b[2J", "\"\\x1b[2J\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},
        {"\xc3\xa4", "\"\xc3\xa4\""},
        {"\xff", "\"\\xff\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_field field = {"k", cases[i].text, 0};
        char wanted[128];
        snprintf(wanted, sizeof wanted, "level=info event=e k=%s", cases[i].value);
        ck_assert_str_eq(format(TM_LEVEL_INFO, "e", &field, 1), wanted);
    }
}
END_TEST

START_TEST(failed_format_changes_nothing)
{
    struct tm_field field = {"k", "a value \x01 to quote", 0};
    size_t max = 0;
    tm_status status = TM_E_LIMIT;
    for (; status != TM_OK; max++) {
        struct tm_buf out;
        tm_buf_init(&out, max + 3);
        ck_assert_int_eq(tm_buf_put_str(&out, "old"), TM_OK);
        status = tm_event_format(&out, TM_LEVEL_INFO, "e", &field, 1);
        ck_assert(status == TM_OK || (status == TM_E_LIMIT && out.bytes == 3));
        tm_buf_deinit(&out);
    }
    ck_assert_uint_gt(max, 40);
}
END_TEST

struct seen {
    size_t count;
    char last[64];
};

static void remember(void *context, enum tm_level level, const char *event,
                     const struct tm_field *fields, size_t count)
{
    struct seen *seen = context;
    seen->count++;
    snprintf(seen->last, sizeof seen->last, "%d %s %zu %s", (int)level, event, count,
             count > 0 ? fields[0].key : "");
}

START_TEST(levels)
{
    struct seen seen = {0, ""};
    struct tm_sink sink = {remember, &seen, TM_LEVEL_WARN};
    TM_EVENT(&sink, TM_LEVEL_INFO, "quiet", {"k", "v", 0});
    ck_assert_uint_eq(seen.count, 0);
    TM_EVENT(&sink, TM_LEVEL_ERROR, "loud", {"k", "v", 0}, {"l", NULL, 3});
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_str_eq(seen.last, "3 loud 2 k");
    TM_EVENT(NULL, TM_LEVEL_ERROR, "nowhere", {"k", "v", 0});
    ck_assert_uint_eq(seen.count, 1);
}
END_TEST

/* Whatever happens to a line, its event is told. */
START_TEST(stream_without_memory)
{
    FILE *stream = tmpfile();
    ck_assert_ptr_nonnull(stream);
    struct tm_sink sink = tm_sink_stream(stream, TM_LEVEL_DEBUG);
    tm_mem_fail_at(1);
    TM_EVENT(&sink, TM_LEVEL_INFO, "first", {"k", "v", 0});
    tm_mem_fail_at(0);
    static char huge[70000];
    memset(huge, 'x', sizeof huge - 1);
    TM_EVENT(&sink, TM_LEVEL_INFO, "second", {"k", huge, 0});
    TM_EVENT(&sink, TM_LEVEL_INFO, "third", {"k", "v", 0});
    static const char *const ends[] = {" event=first truncated=1\n", " event=second truncated=1\n",
                                       " event=third k=v\n"};
    rewind(stream);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof line, stream));
        ck_assert_ptr_nonnull(strstr(line, ends[i]));
    }
    ck_assert_ptr_null(fgets(line, sizeof line, stream));
    fclose(stream);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

static void *emit_many(void *context)
{
    const struct tm_sink *sink = context;
    for (uint64_t i = 0; i < 500; i++) {
        TM_EVENT(sink, TM_LEVEL_INFO, "tick", {"text", "some words", 0}, {"i", NULL, i});
    }
    return NULL;
}

START_TEST(lines_of_threads_stay_whole)
{
    FILE *stream = tmpfile();
    ck_assert_ptr_nonnull(stream);
    struct tm_sink sink = tm_sink_stream(stream, TM_LEVEL_INFO);
    pthread_t workers[4];
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, emit_many, &sink), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(workers[i], NULL);
    }
    rewind(stream);
    size_t count = 0;
    while (fgets(line, sizeof line, stream) != NULL) {
        ck_assert_int_eq(strncmp(line, "ts=", 3), 0);
        ck_assert_ptr_nonnull(strstr(line, " level=info event=tick text=\"some words\" i="));
        ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
        count++;
    }
    ck_assert_uint_eq(count, 2000);
    fclose(stream);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("event");
    TCase *tc = tcase_create("event");
    tcase_add_test(tc, lines);
    tcase_add_test(tc, quoting);
    tcase_add_test(tc, failed_format_changes_nothing);
    tcase_add_test(tc, levels);
    tcase_add_test(tc, stream_without_memory);
    tcase_add_test(tc, lines_of_threads_stay_whole);
    suite_add_tcase(suite, tc);
    return suite;
}
