/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static struct tm_json_doc *parse(const char *text)
{
    struct tm_json_doc *doc = NULL;
    struct tm_err err = {.status = TM_OK};
    if (tm_json_parse(tm_view_str(text), "test", &doc, &err) != TM_OK) {
        ck_abort_msg("%s: %s", text, err.why);
    }
    return doc;
}

START_TEST(kinds)
{
    static const struct {
        const char *text;
        enum tm_json_kind kind;
    } cases[] = {
        {" null ", TM_JSON_NULL}, {"true", TM_JSON_BOOL},   {"-7", TM_JSON_INT},
        {"1.5e3", TM_JSON_REAL},  {"\"\"", TM_JSON_STRING}, {"[]\n", TM_JSON_ARRAY},
        {"{}", TM_JSON_OBJECT},   {"0", TM_JSON_INT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_json_doc *doc = parse(cases[i].text);
        ck_assert_int_eq(tm_json_kind(tm_json_root(doc)), cases[i].kind);
        ck_assert_uint_eq(tm_json_count(tm_json_root(doc)), 0);
        tm_json_free(&doc);
        ck_assert_ptr_null(doc);
    }
    ck_assert_str_eq(tm_json_kind_name(TM_JSON_OBJECT), "an object");
}
END_TEST

START_TEST(values)
{
    struct tm_json_doc *doc =
        parse("{\"s\":\"a\\u0000\\u00e4\\ud83d\\ude00\",\"i\":-9223372036854775808,"
              "\"u\":9223372036854775807,\"f\":0.1,\"t\":true,\"n\":null}");
    const struct tm_json *root = tm_json_root(doc);
    struct tm_view s = {NULL, 0};
    int64_t i = 5;
    uint64_t u = 5;
    double f = 5;
    bool b = false;
    ck_assert(tm_json_str(tm_json_get(root, "s"), &s));
    ck_assert_uint_eq(s.bytes, 8);
    ck_assert_mem_eq(s.data, "a\0\xc3\xa4\xf0\x9f\x98\x80", 9);
    ck_assert(!tm_json_u64(tm_json_get(root, "i"), &u));
    ck_assert_uint_eq(u, 5);
    ck_assert(tm_json_i64(tm_json_get(root, "i"), &i));
    ck_assert_int_eq(i, INT64_MIN);
    ck_assert(tm_json_u64(tm_json_get(root, "u"), &u));
    ck_assert_uint_eq(u, INT64_MAX);
    ck_assert(!tm_json_i64(tm_json_get(root, "f"), &i));
    ck_assert(tm_json_f64(tm_json_get(root, "f"), &f));
    ck_assert(f == 0.1);
    ck_assert(tm_json_f64(tm_json_get(root, "u"), &f));
    ck_assert(tm_json_bool(tm_json_get(root, "t"), &b) && b);
    ck_assert(!tm_json_bool(tm_json_get(root, "n"), &b));
    ck_assert(!tm_json_str(tm_json_get(root, "n"), &s));
    ck_assert_ptr_null(tm_json_get(root, "absent"));
    ck_assert_ptr_null(tm_json_get(NULL, "s"));
    ck_assert_ptr_null(tm_json_get(tm_json_get(root, "s"), "s"));
    ck_assert_ptr_null(tm_json_at(root, 0));
    ck_assert_ptr_null(tm_json_at(NULL, 0));
    ck_assert_uint_eq(tm_json_count(NULL), 0);
    ck_assert(!tm_json_str(NULL, &s) && !tm_json_u64(NULL, &u) && !tm_json_f64(NULL, &f) &&
              !tm_json_bool(NULL, &b));
    tm_json_free(&doc);
    tm_json_free(&doc);
}
END_TEST

START_TEST(big_integers_are_reals)
{
    struct tm_json_doc *doc = parse("[9223372036854775808,-9223372036854775809,"
                                    "1000000000000000019884624838656,9223372036854775807]");
    static const double wanted[] = {0x1p63, -0x1p63, 1e30};
    for (size_t i = 0; i < 3; i++) {
        const struct tm_json *item = tm_json_at(tm_json_root(doc), i);
        double f = 0;
        uint64_t u = 0;
        ck_assert_int_eq(tm_json_kind(item), TM_JSON_REAL);
        ck_assert(tm_json_f64(item, &f) && f == wanted[i]);
        ck_assert(!tm_json_u64(item, &u));
    }
    ck_assert_int_eq(tm_json_kind(tm_json_at(tm_json_root(doc), 3)), TM_JSON_INT);
    tm_json_free(&doc);
}
END_TEST

START_TEST(nul_bytes_are_refused)
{
    static const char *const texts[] = {"11\0", "11\0\r", "\0[]", "[\0]", "\"a\0\""};
    static const size_t bytes[] = {3, 4, 3, 3, 4};
    for (size_t i = 0; i < 5; i++) {
        struct tm_json_doc *doc = NULL;
        struct tm_err err;
        ck_assert_int_eq(tm_json_parse(tm_view_of(texts[i], bytes[i]), "t", &doc, &err),
                         TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.why, "NUL byte"));
    }
}
END_TEST

START_TEST(members_keep_file_order)
{
    char text[4096] = "{";
    size_t used = 1;
    for (int i = 0; i < 200; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"k%d\":%d", i > 0 ? "," : "",
                                 (i * 73) % 200, i);
    }
    snprintf(text + used, sizeof text - used, "}");
    struct tm_json_doc *doc = parse(text);
    void *iter = NULL;
    struct tm_view key;
    const struct tm_json *value = NULL;
    int64_t count = 0;
    while (tm_json_next(tm_json_root(doc), &iter, &key, &value)) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, "k%d", (int)(count * 73) % 200);
        ck_assert(tm_view_eq_str(key, wanted));
        int64_t got = -1;
        ck_assert(tm_json_i64(value, &got) && got == count);
        count++;
    }
    ck_assert_int_eq(count, 200);
    tm_json_free(&doc);
    doc = parse("[1]");
    iter = NULL;
    ck_assert(!tm_json_next(tm_json_root(doc), &iter, &key, &value));
    tm_json_free(&doc);
}
END_TEST

/* Each with a part of the reason that must be in the line. */
START_TEST(refused)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "line 1 column 1 (byte 0)"},
        {"{", "line 1 column 2 (byte 1)"},
        {"[1,]", "line 1"},
        {"[1] x", "end of file expected"},
        {"{} {}", "end of file expected"},
        {"{\"a\":1,\n \"a\":2}", "duplicate key \"a\" at line 2 column 5 (byte 12)"},
        {"{\"x\\\"y\":1,\"\\u0078\\\"y\":2}", "duplicate key \"\\u0078\\\"y\""},
        {"[12345678901234567890,{\"b\":1,\"b\":2}]", "duplicate key \"b\" at line 1 column 33"},
        {"[12345678901234567890,}", "line 1 column 24 (byte 23)"},
        {"{\"a\\u0000b\":1}", "NUL byte in object key"},
        {"[01]", "line 1"},
        {"[1.]", "line 1"},
        {"[.5]", "line 1"},
        {"[+1]", "line 1"},
        {"[1e999]", "real number overflow"},
        {"NaN", "line 1"},
        {"[Infinity]", "line 1"},
        {"'a'", "line 1"},
        {"\"\xff\"", "unable to decode byte"},
        {"\"\xc0\x80\"", "unable to decode byte"},
        {"\"a\nb\"", "line 1"},
        {"\"\\ud800\"", "line 1"},
        {"\"\\x\"", "line 1"},
        {"\"abc", "line 1"},
        {"\"abc\\", "line 1"},
        {"\xef\xbb\xbf{}", "line 1"},
        {"{\"a\" 1}", "line 1"},
        {"{a:1}", "line 1"},
        {"// c\n1", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_json_doc *doc = NULL;
        struct tm_err err = {.status = TM_OK};
        tm_status status = tm_json_parse(tm_view_str(cases[i].text), "f.json", &doc, &err);
        if (status != TM_E_MALFORMED || strstr(err.why, cases[i].why) == NULL) {
            ck_abort_msg("%s: status %d, %s", cases[i].text, status, err.why);
        }
        ck_assert_str_eq(err.where, "f.json");
        ck_assert_ptr_null(doc);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(nesting)
{
    for (size_t depth = 63; depth <= 66; depth++) {
        char text[200] = "";
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        struct tm_json_doc *doc = NULL;
        struct tm_err err = {.status = TM_OK};
        tm_status status = tm_json_parse(tm_view_str(text), "deep", &doc, &err);
        ck_assert_int_eq(status, depth <= 64 ? TM_OK : TM_E_MALFORMED);
        if (status != TM_OK) {
            ck_assert_ptr_nonnull(strstr(err.why, "deeper than 64 levels at line 1 column 65"));
        }
        tm_json_free(&doc);
    }
    /* Brackets in strings do not count, also behind escaped quotes. */
    char text[400] = "\"\\\"";
    memset(text + 3, '[', 200);
    text[203] = '"';
    struct tm_json_doc *doc = parse(text);
    tm_json_free(&doc);
}
END_TEST

START_TEST(allocation_failures)
{
    static const char text[] =
        "{\"name\":\"a long enough string to need memory of its own\",\"big\":"
        "1000000000000000019884624838656,\"list\":[1,2.5,\"x\",{\"k\":null}],\"a\":1,\"b\":2,"
        "\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}";
    struct tm_json_doc *warm = parse("{}");
    tm_json_free(&warm);
    size_t before = tm_mem_live_blocks();
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        struct tm_json_doc *doc = NULL;
        struct tm_err err = {.status = TM_OK};
        tm_mem_fail_at(n);
        tm_status status = tm_json_parse(tm_view_str(text), "f", &doc, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_int_eq(doc == NULL, failed);
        ck_assert(!failed || err.status == TM_E_NOMEM);
        tm_json_free(&doc);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    ck_assert_uint_gt(n, 20);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("json");
    TCase *tc = tcase_create("read");
    tcase_add_test(tc, kinds);
    tcase_add_test(tc, values);
    tcase_add_test(tc, big_integers_are_reals);
    tcase_add_test(tc, nul_bytes_are_refused);
    tcase_add_test(tc, members_keep_file_order);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, nesting);
    tcase_add_test(tc, allocation_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
