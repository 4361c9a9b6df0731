/* SPDX-License-Identifier: Apache-2.0 */
#include "base/toml.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static const char text[] = "s = \"x\"\ni = 5\nneg = -5\nf = 0.5\nb = true\n[t]\nk = 1\n";
static struct tm_toml *root;

static void setup(void)
{
    ck_assert_int_eq(tm_toml_parse(tm_view_str(text), "r.toml", &root, NULL), TM_OK);
}

static void teardown(void)
{
    tm_toml_free(&root);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

START_TEST(found)
{
    const char *s = NULL;
    uint64_t u = 0;
    double f = 0;
    bool b = false;
    ck_assert_int_eq(tm_toml_get_str(root, "s", "r", &s, NULL), TM_OK);
    ck_assert_str_eq(s, "x");
    ck_assert_int_eq(tm_toml_get_u64(root, "i", "r", 5, 5, &u, NULL), TM_OK);
    ck_assert_uint_eq(u, 5);
    ck_assert_int_eq(tm_toml_get_f64(root, "f", "r", 0, 1, &f, NULL), TM_OK);
    ck_assert(f == 0.5);
    ck_assert_int_eq(tm_toml_get_f64(root, "i", "r", 0, 10, &f, NULL), TM_OK);
    ck_assert(f == 5);
    ck_assert_int_eq(tm_toml_get_bool(root, "b", "r", &b, NULL), TM_OK);
    ck_assert(b);
}
END_TEST

START_TEST(absent)
{
    const char *s = "kept";
    uint64_t u = 7;
    double f = 7;
    bool b = true;
    ck_assert_int_eq(tm_toml_get_str(root, "no", "r", &s, NULL), TM_OK);
    ck_assert_int_eq(tm_toml_get_u64(root, "no", "r", 0, 1, &u, NULL), TM_OK);
    ck_assert_int_eq(tm_toml_get_f64(root, "no", "r", 0, 1, &f, NULL), TM_OK);
    ck_assert_int_eq(tm_toml_get_bool(root, "no", "r", &b, NULL), TM_OK);
    ck_assert_str_eq(s, "kept");
    ck_assert(u == 7 && f == 7 && b);
    ck_assert_ptr_null(tm_toml_get(NULL, "s"));
    ck_assert_ptr_null(tm_toml_get(tm_toml_get(root, "s"), "s"));
}
END_TEST

START_TEST(wrong)
{
    struct tm_err err;
    char line[512];
    const char *s = NULL;
    uint64_t u = 7;
    double f = 7;
    bool b = false;
    ck_assert_int_eq(tm_toml_get_str(root, "i", "r.toml", &s, &err), TM_E_USAGE);
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line),
                     "r.toml:2:5: key 'i': a string is needed here, not an integer");
    ck_assert_int_eq(tm_toml_get_u64(root, "s", "r.toml", 0, 9, &u, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_toml_get_u64(root, "f", "r.toml", 0, 9, &u, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_toml_get_u64(root, "neg", "r.toml", 0, 9, &u, &err), TM_E_USAGE);
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line),
                     "r.toml:3:7: key 'neg': -5 is not between 0 and 9");
    ck_assert_int_eq(tm_toml_get_u64(root, "i", "r.toml", 6, 9, &u, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_toml_get_u64(root, "i", "r.toml", 0, 4, &u, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_toml_get_f64(root, "b", "r.toml", 0, 1, &f, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_toml_get_f64(root, "f", "r.toml", 0.75, 1.5, &f, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "0.5 is not between 0.75 and 1.5");
    ck_assert_int_eq(tm_toml_get_bool(root, "t", "r.toml", &b, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "a boolean is needed here, not a table");
    ck_assert(s == NULL && u == 7 && f == 7 && !b);
}
END_TEST

START_TEST(known_keys)
{
    static const char *const all[] = {"s", "i", "neg", "f", "b", "t", NULL};
    static const char *const some[] = {"s", "i", "neg", "b", "t", NULL};
    static const char *const none[] = {NULL};
    struct tm_err err;
    char line[512];
    ck_assert_int_eq(tm_toml_check_keys(root, all, "r.toml", &err), TM_OK);
    ck_assert_int_eq(tm_toml_check_keys(root, some, "r.toml", &err), TM_E_USAGE);
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line),
                     "r.toml:4:5: key 'f': there is no such key; known keys: s, i, neg, b, t");
    ck_assert_int_eq(tm_toml_check_keys(root, none, "r.toml", NULL), TM_E_USAGE);
}
END_TEST

START_TEST(put_string)
{
    struct tm_buf out;
    tm_buf_init(&out, 200);
    ck_assert_int_eq(tm_toml_put_str(&out, tm_view_str("a\"\\\n\t\x01\x7f\xc2\x85\xc3\xa4\xff")),
                     TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out),
                             "\"a\\\"\\\\\\n\\t\\u0001\\u007f\\u0085\xc3\xa4\\ufffd\""));
    tm_buf_deinit(&out);
    tm_buf_init(&out, 200);
    ck_assert_int_eq(tm_toml_put_str(&out, tm_view_str("\xe2\x80\xae\xf3\xa0\x80\xa1")), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "\"\\u202e\\U000e0021\""));
    tm_buf_deinit(&out);
    for (size_t max = 0; max < 6; max++) {
        tm_buf_init(&out, max);
        ck_assert_int_eq(tm_toml_put_str(&out, tm_view_str("\x01z")), TM_E_LIMIT);
        tm_buf_deinit(&out);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("toml");
    TCase *tc = tcase_create("look-ups");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, found);
    tcase_add_test(tc, absent);
    tcase_add_test(tc, wrong);
    tcase_add_test(tc, known_keys);
    tcase_add_test(tc, put_string);
    suite_add_tcase(suite, tc);
    return suite;
}
