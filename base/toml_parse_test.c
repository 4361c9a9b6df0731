/* SPDX-License-Identifier: Apache-2.0 */
#include "base/toml.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static struct tm_toml *parse(const char *text)
{
    struct tm_toml *root = NULL;
    struct tm_err err = {.status = TM_OK};
    if (tm_toml_parse(tm_view_str(text), "t", &root, &err) != TM_OK) {
        ck_abort_msg("%s\n%s %s", text, err.where, err.why);
    }
    return root;
}

/* "a.b.0.c" from the root: names in tables, numbers in arrays. */
static const struct tm_toml *walk(const struct tm_toml *node, const char *path)
{
    char part[64];
    while (node != NULL && *path != '\0') {
        size_t bytes = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)bytes, path);
        if (node->kind == TM_TOML_ARRAY) {
            size_t index = (size_t)(part[0] - '0');
            node = index < node->list.count ? node->list.items[index] : NULL;
        } else {
            node = tm_toml_get(node, part);
        }
        path += bytes + (path[bytes] == '.' ? 1 : 0);
    }
    return node;
}

START_TEST(strings)
{
    static const struct {
        const char *text;
        const char *value;
    } cases[] = {
        {"k = \"\"", ""},
        {"k=''", ""},
        {"k = \"a\\tb\\n\\\"\\\\\\u00e4\\U0001f600\" # c", "a\tb\n\"\\\xc3\xa4\xf0\x9f\x98\x80"},
        {"k = 'C:\\dir\\'", "C:\\dir\\"},
        {"k = \"a # b\"", "a # b"},
        {"\"k\" = 'a\tb'", "a\tb"},
        {"'k' = \"\xe2\x82\xac\"", "\xe2\x82\xac"},
        {"\tk\t=\t\"x\"\t\r\n", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_toml *root = parse(cases[i].text);
        const struct tm_toml *node = tm_toml_get(root, "k");
        ck_assert_ptr_nonnull(node);
        ck_assert_int_eq(node->kind, TM_TOML_STRING);
        ck_assert_str_eq(node->string.data, cases[i].value);
        ck_assert_uint_eq(node->string.bytes, strlen(cases[i].value));
        tm_toml_free(&root);
        ck_assert_ptr_null(root);
    }
}
END_TEST

START_TEST(integers)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"k = 0", 0},
        {"k = +7", 7},
        {"k = -0", 0},
        {"k = 1_000_000", 1000000},
        {"k = 9223372036854775807", INT64_MAX},
        {"k = -9_223_372_036_854_775_808", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_toml *root = parse(cases[i].text);
        ck_assert_int_eq(tm_toml_get(root, "k")->kind, TM_TOML_INT);
        ck_assert_int_eq(tm_toml_get(root, "k")->integer, cases[i].value);
        tm_toml_free(&root);
    }
}
END_TEST

START_TEST(floats_and_booleans)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"k = 1.0", 1.0},
        {"k = +1.5", 1.5},
        {"k = -0.01", -0.01},
        {"k = 5e+22", 5e22},
        {"k = 1e06", 1e6},
        {"k = -2E-2", -0.02},
        {"k = 6.626e-34", 6.626e-34},
        {"k = 9_224.25", 9224.25},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_toml *root = parse(cases[i].text);
        ck_assert_int_eq(tm_toml_get(root, "k")->kind, TM_TOML_FLOAT);
        ck_assert(tm_toml_get(root, "k")->real == cases[i].value);
        tm_toml_free(&root);
    }
    struct tm_toml *root = parse("t = true\nf = false");
    ck_assert(tm_toml_get(root, "t")->kind == TM_TOML_BOOL && tm_toml_get(root, "t")->boolean);
    ck_assert(tm_toml_get(root, "f")->kind == TM_TOML_BOOL && !tm_toml_get(root, "f")->boolean);
    tm_toml_free(&root);
}
END_TEST

START_TEST(structure)
{
    struct tm_toml *root = parse("# first\n"
                                 "a.b.c = 1\n"
                                 "a.b.d = 2\n"
                                 "list = [1, [2, 3], # c\n  \"x\",\n]\n"
                                 "inline = { x = 1, y.z = 2, e = {}, l = [\n1\n] }\n"
                                 "[t.u.v]\n"
                                 "k = 1\n"
                                 "[t]\n"
                                 "k = 2\n"
                                 "[ t . \"w x\" ]\n"
                                 "k = 3\n"
                                 "[[s]]\n"
                                 "n = 1\n"
                                 "[s.sub]\n"
                                 "m = 1\n"
                                 "[[s]]\n"
                                 "n = 2\n"
                                 "[[s.in]]\n"
                                 "o = 5\n"
                                 "[a.e]\n"
                                 "f = 4\n"
                                 "[empty]");
    static const struct {
        const char *path;
        int64_t value;
    } cases[] = {
        {"a.b.c", 1},      {"a.b.d", 2},      {"list.0", 1},  {"list.1.1", 3},   {"inline.x", 1},
        {"inline.y.z", 2}, {"inline.l.0", 1}, {"t.u.v.k", 1}, {"t.k", 2},        {"t.w x.k", 3},
        {"s.0.n", 1},      {"s.0.sub.m", 1},  {"s.1.n", 2},   {"s.1.in.0.o", 5}, {"a.e.f", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct tm_toml *node = walk(root, cases[i].path);
        if (node == NULL || node->kind != TM_TOML_INT || node->integer != cases[i].value) {
            ck_abort_msg("%s is not %d", cases[i].path, (int)cases[i].value);
        }
    }
    ck_assert_uint_eq(walk(root, "list")->list.count, 3);
    ck_assert_uint_eq(walk(root, "s")->list.count, 2);
    ck_assert_ptr_null(walk(root, "s.1.sub"));
    ck_assert_uint_eq(walk(root, "inline.e")->list.count, 0);
    ck_assert_uint_eq(walk(root, "empty")->list.count, 0);
    ck_assert_uint_eq(walk(root, "t.k")->line, 13);
    ck_assert_uint_eq(walk(root, "t.k")->column, 5);
    ck_assert_uint_eq(walk(root, "list.2")->line, 5);
    ck_assert_uint_eq(walk(root, "list.2")->column, 3);
    ck_assert_uint_eq(walk(root, "empty")->column, 2);
    tm_toml_free(&root);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* Text, where the error must point, and a part of the reason. */
struct refusal {
    const char *text;
    const char *where;
    const char *why;
};

static const struct refusal bad_structure[] = {
    {"k", "t:1:2", "'=' is missing"},
    {"k =", "t:1:4", "a value is missing"},
    {"= 1", "t:1:1", "a key is missing"},
    {"a = 1 b = 2", "t:1:7", "line should end"},
    {"a = 1\na = 2", "t:2:1", "duplicate key 'a', first at line 1"},
    {"a.b = 1\na.b = 2", "t:2:3", "duplicate key 'b'"},
    {"a = 1\na.b = 2", "t:2:1", "nothing can be added to 'a'"},
    {"a = {}\na.b = 2", "t:2:1", "nothing can be added to 'a'"},
    {"a = {}\n[a.b]", "t:2:2", "nothing can be added to 'a'"},
    {"a = {x=1,x=2}", "t:1:10", "duplicate key 'x'"},
    {"[a]\n[a]", "t:2:2", "duplicate table 'a', first at line 1"},
    {"a.b=1\n[a]", "t:2:2", "duplicate table 'a'"},
    {"a=1\n[a]", "t:2:2", "duplicate table 'a'"},
    {"[a.b]\n[a]\nb.c=1", "t:3:1", "nothing can be added to 'b'"},
    {"[a]\n[[a]]", "t:2:3", "this is no [[list]]: 'a'"},
    {"a=[1]\n[[a]]", "t:2:3", "this is no [[list]]: 'a'"},
    {"a=[{}]\n[a.b]", "t:2:2", "nothing can be added to 'a'"},
    {"[[a]]\n[a]", "t:2:2", "duplicate table 'a'"},
    {"[[a]]\n[a.b]\n[a.b]", "t:3:4", "duplicate table 'b'"},
    {"[a", "t:1:3", "']' is missing"},
    {"[[a]", "t:1:5", "']' is missing"},
    {"[]", "t:1:2", "a key is missing"},
    {"[a.]", "t:1:4", "a key is missing"},
    {"[a] b=1", "t:1:5", "line should end"},
};

static const struct refusal bad_values[] = {
    {"k = \"a", "t:1:7", "does not end on its line"},
    {"k = \"a\n\"", "t:1:7", "does not end on its line"},
    {"k = \"a\\q\"", "t:1:8", "unknown escape"},
    {"k = \"\\u12g4\"", "t:1:10", "hexadecimal digit"},
    {"k = \"\\ud800\"", "t:1:12", "no such character"},
    {"k = \"\\U00110000\"", "t:1:16", "no such character"},
    {"k = \"\\u0000\"", "t:1:12", "NUL is not allowed"},
    {"k = \"\x01\"", "t:1:6", "control character"},
    {"k = '\x7f'", "t:1:6", "control character"},
    {"# \x01", "t:1:3", "control character in a comment"},
    {"k = \"\"\"a\"\"\"", "t:1:5", "several lines"},
    {"k = '''a'''", "t:1:5", "several lines"},
    {"k = [1 2]", "t:1:8", "',' or ']'"},
    {"k = [1,,2]", "t:1:8", "not a value"},
    {"k = [1", "t:1:7", "',' or ']'"},
    {"k = [", "t:1:6", "a value is missing"},
    {"k = {a=1,}", "t:1:10", "a key is missing"},
    {"k = {a=1\n}", "t:1:9", "',' or '}'"},
    {"k = 01", "t:1:5", "not a value"},
    {"k = 1__0", "t:1:5", "underscore"},
    {"k = _1", "t:1:5", "underscore"},
    {"k = 1_", "t:1:5", "underscore"},
    {"k = 1._5", "t:1:5", "underscore"},
    {"k = 1.", "t:1:5", "not a value"},
    {"k = .5", "t:1:5", "not a value"},
    {"k = +-1", "t:1:5", "not a value"},
    {"k = 0x1f", "t:1:5", "not a value"},
    {"k = nan", "t:1:5", "not a value"},
    {"k = -inf", "t:1:5", "not a value"},
    {"k = 2026-01-31", "t:1:5", "not a value"},
    {"k = 12:30:00", "t:1:5", "not a value"},
    {"k = truer", "t:1:5", "not a value"},
    {"k = hello", "t:1:5", "not a value"},
    {"k = 9223372036854775808", "t:1:5", "out of range"},
    {"k = 1e999", "t:1:5", "out of range"},
    {"x = 1\nk = \"\xff\"", "t:2:6", "invalid UTF-8"},
    {"a = 1\rb = 2", "t:1:6", "line should end"},
};

static void check_refused(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tm_toml *root = NULL;
        struct tm_err err = {.status = TM_OK};
        tm_status status = tm_toml_parse(tm_view_str(cases[i].text), "t", &root, &err);
        if (status != TM_E_MALFORMED || strcmp(err.where, cases[i].where) != 0 ||
            strstr(err.why, cases[i].why) == NULL) {
            ck_abort_msg("%s\nstatus %d, %s: %s", cases[i].text, status, err.where, err.why);
        }
        ck_assert_ptr_null(root);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

START_TEST(refused)
{
    check_refused(bad_structure, sizeof bad_structure / sizeof bad_structure[0]);
    check_refused(bad_values, sizeof bad_values / sizeof bad_values[0]);
    struct tm_toml *root = NULL;
    struct tm_err err = {.status = TM_OK};
    ck_assert_int_eq(tm_toml_parse(tm_view_of("a\0", 2), "t", &root, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "a NUL byte");
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(nesting)
{
    static const char *const pieces[][3] = {
        {"k=", "[", "]"}, {"k=", "{a=", "}"}, {"", "a.", ""}, {"[", "a.", ""}};
    for (size_t kind = 0; kind < 4; kind++) {
        unsigned deepest = 0;
        for (unsigned depth = 1; depth < 40; depth++) {
            char text[300] = "";
            strncat(text, pieces[kind][0], 10);
            for (unsigned i = 0; i < depth; i++) {
                strncat(text, pieces[kind][1], 10);
            }
            strncat(text, kind == 0 ? "" : kind == 1 ? "1" : kind == 2 ? "b=1" : "b]", 10);
            for (unsigned i = 0; i < depth; i++) {
                strncat(text, pieces[kind][2], 10);
            }
            struct tm_toml *root = NULL;
            struct tm_err err = {.status = TM_OK};
            tm_status status = tm_toml_parse(tm_view_str(text), "t", &root, &err);
            if (status == TM_OK) {
                deepest = depth;
            } else {
                ck_assert_str_eq(err.why, "nested deeper than 16 levels");
            }
            tm_toml_free(&root);
        }
        ck_assert_uint_ge(deepest, 14);
        ck_assert_uint_le(deepest, 16);
    }
}
END_TEST

/* 200 000 keys in one table: linear time, or the test would run into its limit. */
START_TEST(many_keys)
{
    struct tm_buf text;
    tm_buf_init(&text, (size_t)17 << 20);
    for (int i = 0; i < 200000; i++) {
        ck_assert_int_eq(tm_buf_printf(&text, "k%d=%d\n", i, i), TM_OK);
    }
    struct tm_toml *root = NULL;
    ck_assert_int_eq(tm_toml_parse(tm_buf_view(&text), "t", &root, NULL), TM_OK);
    ck_assert_uint_eq(root->list.count, 200000);
    tm_toml_free(&root);
    ck_assert_int_eq(tm_buf_put_str(&text, "k199999=1\n"), TM_OK);
    struct tm_err err;
    ck_assert_int_eq(tm_toml_parse(tm_buf_view(&text), "t", &root, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "duplicate key 'k199999', first at line 200000"));
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(limits)
{
    struct tm_buf text;
    struct tm_toml *root = NULL;
    struct tm_err err;
    tm_buf_init(&text, (size_t)17 << 20);
    uint8_t *at = NULL;
    ck_assert_int_eq(tm_buf_extend(&text, ((size_t)16 << 20) + 1, &at), TM_OK);
    memset(at, '\n', text.bytes);
    ck_assert_int_eq(tm_toml_parse(tm_buf_view(&text), "t", &root, &err), TM_E_LIMIT);
    text.bytes--;
    ck_assert_int_eq(tm_toml_parse(tm_buf_view(&text), "t", &root, &err), TM_OK);
    tm_toml_free(&root);
    tm_buf_clear(&text);
    ck_assert_int_eq(tm_buf_put_str(&text, "k=["), TM_OK);
    for (int i = 0; i < (1 << 20); i++) {
        ck_assert_int_eq(tm_buf_put_str(&text, "1,"), TM_OK);
    }
    ck_assert_int_eq(tm_toml_parse(tm_buf_view(&text), "t", &root, &err), TM_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.why, "more than 1048576 values"));
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(allocation_failures)
{
    static const char text[] = "a.b = \"text\"\nl = [1, 'x', [true]]\ni = {x.y = 1}\n[t.u]\n"
                               "[[s]]\nk = 1\n[[s]]\n[s.v]\n\"q\" = 2.5\n";
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        struct tm_toml *root = NULL;
        struct tm_err err = {.status = TM_OK};
        tm_mem_fail_at(n);
        tm_status status = tm_toml_parse(tm_view_str(text), "t", &root, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert(!failed || err.status == TM_E_NOMEM);
        tm_toml_free(&root);
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
    }
    ck_assert_uint_gt(n, 30);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("toml_parse");
    TCase *tc = tcase_create("parse");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, strings);
    tcase_add_test(tc, integers);
    tcase_add_test(tc, floats_and_booleans);
    tcase_add_test(tc, structure);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, nesting);
    tcase_add_test(tc, many_keys);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, allocation_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
