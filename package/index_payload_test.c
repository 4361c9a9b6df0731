/* SPDX-License-Identifier: Apache-2.0
 * The payload's text and every reason for which one is refused. */
#include "package/index_payload.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static struct tm_err err;

#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ID2 "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ENTRY(name, counter, id)                                                                   \
    "{\"name\":\"" name "\",\"counter\":" counter ",\"package_id\":\"" id                          \
    "\",\"bytes\":500,\"path\":\"packages/" id ".tmpk\",\"notes\":\"\"}"
#define PAYLOAD(list) "{\"schema\":\"tmill.index/1\",\"version\":3,\"releases\":[" list "]}"

static tm_status parse(const char *text, struct tm_index *out)
{
    return tm_index_payload_parse(tm_view_str(text), "index.json", out, &err);
}

START_TEST(test_round_trip)
{
    static const char text[] =
        PAYLOAD(ENTRY("a", "1", ID) "," ENTRY("a", "2", ID2) "," ENTRY("b.c-d_E", "1", ID));
    struct tm_index index;
    struct tm_buf out;
    ck_assert_int_eq(parse(text, &index), TM_OK);
    ck_assert_uint_eq(index.version, 3);
    ck_assert_uint_eq(index.count, 3);
    ck_assert_str_eq(index.releases[1].name, "a");
    ck_assert_uint_eq(index.releases[1].counter, 2);
    ck_assert_uint_eq(index.releases[1].package_id.b[0], 0xff);
    ck_assert_uint_eq(index.releases[1].bytes, 500);
    ck_assert_str_eq(index.releases[1].path, "packages/" ID2 ".tmpk");
    tm_buf_init(&out, 4096);
    ck_assert_int_eq(tm_index_payload_write(&index, &out), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), text));
    tm_buf_deinit(&out);
    tm_index_deinit(&index);
    ck_assert_int_eq(parse(PAYLOAD(""), &index), TM_OK);
    ck_assert_uint_eq(index.count, 0);
    tm_index_deinit(&index);
}
END_TEST

START_TEST(test_refusals)
{
#define ONE(entry) PAYLOAD(entry)
#define RELEASE(name, counter, id, bytes, path, notes)                                             \
    ONE("{\"name\":" name ",\"counter\":" counter ",\"package_id\":\"" id "\",\"bytes\":" bytes    \
        ",\"path\":\"" path "\",\"notes\":" notes "}")
#define GOOD_PATH "packages/" ID ".tmpk"
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", ""},
        {"[]", "is not of schema"},
        {"{}", "is not of schema"},
        {"{\"schema\":\"tmill.index/2\",\"version\":3,\"releases\":[]}", "is not of schema"},
        {"{\"schema\":\"tmill.index/1\",\"version\":3}", "and nothing else"},
        {"{\"schema\":\"tmill.index/1\",\"version\":3,\"releases\":{}}", "and nothing else"},
        {"{\"schema\":\"tmill.index/1\",\"version\":3,\"releases\":[],\"x\":1}",
         "and nothing else"},
        {"{\"schema\":\"tmill.index/1\",\"version\":3,\"x\":[]}", "and nothing else"},
        {"{\"schema\":\"tmill.index/1\",\"version\":0,\"releases\":[]}", "no version from 1"},
        {"{\"schema\":\"tmill.index/1\",\"version\":-1,\"releases\":[]}", "no version from 1"},
        {"{\"schema\":\"tmill.index/1\",\"version\":1.0,\"releases\":[]}", "no version from 1"},
        {"{\"schema\":\"tmill.index/1\",\"version\":1,\"version\":2,\"releases\":[]}", "duplicate"},
        {ONE("7"), "release 0 must be an object"},
        {ONE("{\"name\":\"a\"}"), "release 0 must be an object"},
        {RELEASE("\"..\"", "1", ID, "5", GOOD_PATH, "\"\""), "no release name"},
        {RELEASE("\"a/b\"", "1", ID, "5", GOOD_PATH, "\"\""), "no release name"},
        {RELEASE("\"a\\u0000b\"", "1", ID, "5", GOOD_PATH, "\"\""), ""},
        {RELEASE("\"\"", "1", ID, "5", GOOD_PATH, "\"\""), "no release name"},
        {RELEASE("\"a\"", "0", ID, "5", GOOD_PATH, "\"\""), "no counter from 1"},
        {RELEASE("\"a\"", "\"1\"", ID, "5", GOOD_PATH, "\"\""), "no counter from 1"},
        {ONE("{\"name\":\"a\",\"counter\":1,\"package_id\":7,\"bytes\":5,\"path\":\"" GOOD_PATH
             "\",\"notes\":\"\"}"),
         "not 64 hex digits"},
        {ONE("{\"name\":\"a\",\"counter\":1,\"package_id\":\"" ID
             "\",\"bytes\":5,\"path\":7,\"notes\":\"\"}"),
         "the path of release 0 is not"},
        {RELEASE("\"a\"", "2", ID, "5", GOOD_PATH, "\"\""), "has counter 2, expected 1"},
        {RELEASE("\"a\"", "1", "12", "5", GOOD_PATH, "\"\""), "not 64 hex digits"},
        {RELEASE("\"a\"", "1", ID, "0", GOOD_PATH, "\"\""), "no size in bytes"},
        {RELEASE("\"a\"", "1", ID, "1e3", GOOD_PATH, "\"\""), "no size in bytes"},
        {RELEASE("\"a\"", "1", ID, "5", "../" GOOD_PATH, "\"\""), "the path of release 0 is not"},
        {RELEASE("\"a\"", "1", ID, "5", "packages/" ID2 ".tmpk", "\"\""),
         "the path of release 0 is not"},
        {RELEASE("\"a\"", "1", ID, "5", GOOD_PATH, "7"), "the notes of release 0"},
        {PAYLOAD(ENTRY("b", "1", ID) "," ENTRY("a", "1", ID)), "release 1 is out of order"},
        {PAYLOAD(ENTRY("a", "1", ID) "," ENTRY("a", "1", ID)), "has counter 1, expected 2"},
        {PAYLOAD(ENTRY("a", "1", ID) "," ENTRY("a", "3", ID)), "has counter 3, expected 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_index index;
        ck_assert_int_eq(parse(cases[i].text, &index), TM_E_MALFORMED);
        ck_assert_msg(strstr(err.why, cases[i].why) != NULL, "%zu: %s", i, err.why);
        ck_assert_ptr_nonnull(strstr(err.where, "index.json"));
        ck_assert_ptr_null(index.releases);
    }
}
END_TEST

START_TEST(test_longest_notes)
{
    char text[1024], notes[257];
    struct tm_index index;
    memset(notes, 'n', 256);
    notes[256] = '\0';
    for (size_t more = 0; more < 2; more++) {
        snprintf(text, sizeof text,
                 PAYLOAD("{\"name\":\"a\",\"counter\":1,\"package_id\":\"" ID
                         "\",\"bytes\":500,\"path\":\"packages/" ID ".tmpk\",\"notes\":\"%s\"}"),
                 notes + (1 - more));
        ck_assert_int_eq(parse(text, &index), more == 0 ? TM_OK : TM_E_MALFORMED);
        tm_index_deinit(&index);
    }
    ck_assert_ptr_nonnull(strstr(err.why, "no text of at most 255 bytes"));
}
END_TEST

START_TEST(test_memory_failures)
{
    size_t live = tm_mem_live_blocks();
    uint64_t n = 0;
    tm_status status;
    do {
        struct tm_index index;
        tm_mem_fail_at(++n);
        status = parse(PAYLOAD(ENTRY("a", "1", ID)), &index);
        tm_mem_fail_at(0);
        ck_assert(status == TM_OK || status == TM_E_NOMEM);
        tm_index_deinit(&index);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    } while (status != TM_OK);
    ck_assert_uint_gt(n, 2);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("index_payload");
    TCase *tc = tcase_create("index_payload");
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_longest_notes);
    tcase_add_test(tc, test_memory_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
