/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pickle_globals.h"

#include "tests/support/suite.h"

static bool find(const char *module, const char *name, uint32_t *out)
{
    return tm_global_find(tm_view_str(module), tm_view_str(name), out);
}

START_TEST(what_checkpoints_use_is_there)
{
    uint32_t at = 0;
    ck_assert(find("torch._utils", "_rebuild_tensor_v2", &at));
    ck_assert_int_eq(tm_global_at(at)->kind, TM_GLOBAL_TENSOR_V2);
    ck_assert(find("torch", "HalfStorage", &at));
    ck_assert_int_eq(tm_global_at(at)->dtype, TM_F16);
    ck_assert(find("collections", "OrderedDict", &at));
    ck_assert(find("builtins", "dict", &at) && find("__builtin__", "dict", &at));
}
END_TEST

START_TEST(what_runs_code_is_not)
{
    static const char *const names[][2] = {{"os", "system"},
                                           {"posix", "system"},
                                           {"nt", "system"},
                                           {"builtins", "eval"},
                                           {"builtins", "exec"},
                                           {"__builtin__", "getattr"},
                                           {"builtins", "open"},
                                           {"builtins", "__import__"},
                                           {"builtins", "compile"},
                                           {"subprocess", "Popen"},
                                           {"runpy", "_run_code"},
                                           {"importlib", "import_module"},
                                           {"torch.storage", "_load_from_bytes"},
                                           {"torch.jit", "load"},
                                           {"torch", "load"},
                                           {"torch.hub", "load"},
                                           {"functools", "partial"},
                                           {"operator", "attrgetter"},
                                           {"pickle", "loads"},
                                           {"_pickle", "loads"},
                                           {"numpy", "load"},
                                           {"collections", "OrderedDict "},
                                           {"collections", "ordereddict"},
                                           {"", "dict"},
                                           {"torch", ""},
                                           {"torch._utils", "_rebuild_tensor_v2\n"}};
    uint32_t at;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(!find(names[i][0], names[i][1], &at), "%s.%s", names[i][0], names[i][1]);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pickle_globals");
    TCase *tc = tcase_create("pickle_globals");
    tcase_add_test(tc, what_checkpoints_use_is_there);
    tcase_add_test(tc, what_runs_code_is_not);
    suite_add_tcase(suite, tc);
    return suite;
}
