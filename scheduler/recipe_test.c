/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/recipe.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

START_TEST(builtin)
{
    static const char *const names[] = {"int8", "int4", "ternary", "keep"};
    for (size_t i = 0; i < 4; i++) {
        struct tm_recipe *recipe = NULL;
        ck_assert_int_eq(tm_recipe_builtin(names[i], &recipe, NULL), TM_OK);
        ck_assert_str_eq(tm_recipe_name(recipe), names[i]);
        struct tm_recipe_match m = tm_recipe_find(recipe, tm_view_str("blk.0.attn_q.weight"));
        ck_assert_str_eq(m.codec, names[i]);
        ck_assert(!m.exact);
        tm_recipe_destroy(&recipe);
        ck_assert_ptr_null(recipe);
        tm_recipe_destroy(&recipe);
    }
    struct tm_recipe *recipe = NULL;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_recipe_builtin("int5", &recipe, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.where, "int5");
    ck_assert(strstr(err.hint, "int8, int4, ternary") != NULL);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

static const char good[] = "schema = 1\n"
                           "rule = [ { match = \"*\", codec = \"int4\" },\n"
                           "  { match = \"*norm*\", codec = \"keep\" },\n"
                           "  { match = \"blk.?.ffn*\", codec = \"int8\" },\n"
                           "  { match = \"blk.1.ffn_up\", codec = \"ternary\" } ]\n";

START_TEST(last_rule_wins)
{
    static const struct {
        const char *name, *codec;
        bool exact;
        uint32_t rule;
    } cases[] = {
        {"token_embd.weight", "int4", false, 0},     {"blk.1.attn_norm.weight", "keep", false, 1},
        {"blk.1.ffn_norm.weight", "int8", false, 2}, /* both match: the later */
        {"blk.10.ffn_down", "int4", false, 0},       /* "?" is one character */
        {"blk.1.ffn_up", "ternary", true, 3},        {"blk.1.ffn_up2", "int8", false, 2},
    };
    struct tm_recipe *recipe = NULL;
    ck_assert_int_eq(tm_recipe_parse(tm_view_str(good), "r.toml", &recipe, NULL), TM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_recipe_match m = tm_recipe_find(recipe, tm_view_str(cases[i].name));
        ck_assert_str_eq(m.codec, cases[i].codec);
        ck_assert_int_eq(m.exact, cases[i].exact);
        ck_assert_uint_eq(m.rule, cases[i].rule);
    }
    tm_recipe_destroy(&recipe);
}
END_TEST

START_TEST(no_rule_matches)
{
    static const char text[] = "schema = 1\n[[rule]]\nmatch = \"a\"\ncodec = \"int4\"\n";
    struct tm_recipe *recipe = NULL;
    ck_assert_int_eq(tm_recipe_parse(tm_view_str(text), "r.toml", &recipe, NULL), TM_OK);
    ck_assert_ptr_null(tm_recipe_find(recipe, tm_view_str("b")).codec);
    ck_assert_ptr_nonnull(tm_recipe_find(recipe, tm_view_str("a")).codec);
    tm_recipe_destroy(&recipe);
}
END_TEST

static const struct {
    const char *text, *where, *why;
} refusals[] = {
    {"rule = []\n", "r.toml:1:1", "schema is missing"},
    {"schema = 2\n", "r.toml:1:", ""},
    {"schema = 1\n", "r.toml:1:1", "array of rules"},
    {"schema = 1\nrule = []\n", "r.toml:2:", "array of rules"},
    {"schema = 1\nrule = 3\n", "r.toml:2:", "array of rules"},
    {"schema = 1\nrule = [ 3 ]\n", "r.toml:2:", "no table"},
    {"schema = 1\nrule = [ { match = \"*\" } ]\n", "r.toml:2:", "both match and codec"},
    {"schema = 1\nrule = [ { codec = \"int4\" } ]\n", "r.toml:2:", "both match and codec"},
    {"schema = 1\nrule = [ { match = \"\", codec = \"int4\" } ]\n", "r.toml:2:", "match must be"},
    {"schema = 1\nrule = [ { match = 1, codec = \"int4\" } ]\n", "r.toml:2:", "match must be"},
    {"schema = 1\nrule = [ { match = \"*\", codec = 4 } ]\n", "r.toml:2:", "codec must be"},
    {"schema = 1\nrule = [ { match = \"*\", codec = \"a\\u0000\" } ]\n",
     "r.toml:2:", "NUL is not allowed"},
    {"schema = 1\nrule = [ { match = \"*\", codec = \"int4\", bits = 3 } ]\n",
     "r.toml:2:", "no such key"},
    {"schema = 1\nrules = []\n", "r.toml:2:", "no such key"},
    {"schema = \n", "r.toml:1:", ""},
};

START_TEST(refused)
{
    struct tm_recipe *recipe = NULL;
    struct tm_err err = {0};
    tm_status status = tm_recipe_parse(tm_view_str(refusals[_i].text), "r.toml", &recipe, &err);
    ck_assert(status == TM_E_USAGE || status == TM_E_MALFORMED);
    ck_assert_ptr_null(recipe);
    ck_assert_msg(strncmp(err.where, refusals[_i].where, strlen(refusals[_i].where)) == 0, "%s",
                  err.where);
    ck_assert_msg(strstr(err.why, refusals[_i].why) != NULL, "%s", err.why);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(globs)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"**", "abc", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"a*c", "ac", true},
        {"a*c", "abbc", true},
        {"a*c", "abcd", false},
        {"*b*", "abc", true},
        {"*bc", "abcbc", true},
        {"a?c", "abc", true},
        {"a?*", "a", false},
        {"?", "\xc3\xa9", true},
        {"??", "\xc3\xa9", false},
        {"?", "\xf0\x9f\x98\x80", true},
        {"*a",
         "\xc3\xa9"
         "a",
         true},
        {"a.b", "axb", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(tm_glob_match(tm_view_str(cases[i].pattern), tm_view_str(cases[i].name)) ==
                          cases[i].matches,
                      "'%s' on '%s'", cases[i].pattern, cases[i].name);
    }
}
END_TEST

/* The definition, by recursion, against the loop. */
static bool slow_match(const char *p, const char *n)
{
    if (*p == '\0') {
        return *n == '\0';
    }
    if (*p == '*') {
        return slow_match(p + 1, n) || (*n != '\0' && slow_match(p, n + 1));
    }
    return *n != '\0' && (*p == '?' || *p == *n) && slow_match(p + 1, n + 1);
}

START_TEST(globs_against_definition)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 3);
    unsigned matched = 0;
    for (int round = 0; round < 20000; round++) {
        char pattern[8], name[10];
        size_t p = (size_t)tm_rng_below(&rng, sizeof pattern), n = (size_t)tm_rng_below(&rng, 10);
        for (size_t i = 0; i < p; i++) {
            pattern[i] = "ab?*"[tm_rng_below(&rng, 4)];
        }
        for (size_t i = 0; i < n; i++) {
            name[i] = "ab"[tm_rng_below(&rng, 2)];
        }
        pattern[p] = name[n] = '\0';
        bool got = tm_glob_match(tm_view_str(pattern), tm_view_str(name));
        ck_assert_msg(got == slow_match(pattern, name), "'%s' on '%s'", pattern, name);
        matched += got ? 1 : 0;
    }
    ck_assert_uint_gt(matched, 1000);
}
END_TEST

/* Many stars on a long name that just misses: quadratic at most, so this ends at once. */
START_TEST(glob_is_not_exponential)
{
    char name[4001];
    memset(name, 'a', 4000);
    name[4000] = '\0';
    ck_assert(!tm_glob_match(tm_view_str("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), tm_view_str(name)));
}
END_TEST

START_TEST(allocation_failures)
{
    for (uint64_t n = 1;; n++) {
        struct tm_recipe *recipe = NULL;
        tm_mem_fail_at(n);
        tm_status status = tm_recipe_parse(tm_view_str(good), "r.toml", &recipe, NULL);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_recipe_destroy(&recipe);
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
        if (!failed) {
            ck_assert_uint_gt(n, 10);
            break;
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("recipe");
    TCase *tc = tcase_create("recipe");
    tcase_add_test(tc, builtin);
    tcase_add_test(tc, last_rule_wins);
    tcase_add_test(tc, no_rule_matches);
    tcase_add_loop_test(tc, refused, 0, (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(tc, globs);
    tcase_add_test(tc, globs_against_definition);
    tcase_add_test(tc, glob_is_not_exponential);
    tcase_add_test(tc, allocation_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
