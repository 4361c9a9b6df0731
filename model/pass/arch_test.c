/* SPDX-License-Identifier: Apache-2.0
 * Names and limits; the readers have tests of their own. */
#include "model/pass/arch.h"

#include <math.h>
#include <string.h>

#include "tests/support/suite.h"

static struct tm_arch good(void)
{
    struct tm_arch arch;
    tm_arch_defaults(TM_ARCH_LLAMA, TM_STYLE_GGUF, &arch);
    arch.layers = 2;
    arch.dim = 64;
    arch.hidden = 172;
    arch.heads = 8;
    arch.context = 512;
    return arch;
}

START_TEST(names)
{
    enum tm_arch_kind kind = TM_ARCH_COUNT;
    ck_assert(tm_arch_parse(tm_view_str("qwen3"), &kind) && kind == TM_ARCH_QWEN3);
    ck_assert(tm_arch_parse(tm_view_str("gemma3_text"), &kind) && kind == TM_ARCH_GEMMA3);
    ck_assert(!tm_arch_parse(tm_view_str("qwen"), &kind));
    ck_assert(!tm_arch_parse(tm_view_str("bert"), &kind));
    ck_assert_str_eq(tm_arch_name(TM_ARCH_QWEN2), "qwen2");
}
END_TEST

START_TEST(windows)
{
    struct tm_arch arch = good();
    ck_assert(!tm_arch_has_window(&arch, 0));
    arch.window = 512;
    ck_assert(tm_arch_has_window(&arch, 5));
    arch.global_every = 6;
    ck_assert(tm_arch_has_window(&arch, 4) && !tm_arch_has_window(&arch, 5));
}
END_TEST

START_TEST(derived_numbers)
{
    struct tm_arch arch = good();
    struct tm_err err = {0};
    ck_assert_int_eq(tm_arch_check(&arch, "m", &err), TM_OK);
    ck_assert_uint_eq(arch.kv_heads, 8);
    ck_assert_uint_eq(arch.head_dim, 8);
    ck_assert_float_eq(arch.attention_scale, 1.0f / sqrtf(8.0f));
    ck_assert_float_eq(arch.embed_scale, 1.0f);
    ck_assert(arch.rope_interleaved);
    struct tm_arch gemma;
    tm_arch_defaults(TM_ARCH_GEMMA3, TM_STYLE_HF, &gemma);
    gemma.layers = 62;
    gemma.dim = 5376;
    gemma.hidden = 21504;
    gemma.heads = 32;
    gemma.kv_heads = 16;
    gemma.head_dim = 128;
    gemma.context = 131072;
    ck_assert_int_eq(tm_arch_check(&gemma, "m", &err), TM_OK);
    ck_assert_float_eq(gemma.attention_scale, 1.0f / sqrtf(168.0f));
    ck_assert_float_eq(gemma.embed_scale, sqrtf(5376.0f));
    ck_assert(gemma.norm_plus_one && gemma.gelu && !gemma.rope_interleaved);
}
END_TEST

/* One number wrong: malformed, and the reason holds `why`. */
static void wrong(struct tm_arch arch, const char *why)
{
    struct tm_err err = {0};
    ck_assert_int_eq(tm_arch_check(&arch, "m", &err), TM_E_MALFORMED);
    ck_assert_msg(strstr(err.why, why) != NULL, "%s", err.why);
    ck_assert_str_eq(err.where, "m");
}

START_TEST(impossible_numbers)
{
#define WRONG(member, value, why)                                                                  \
    do {                                                                                           \
        struct tm_arch arch = good();                                                              \
        arch.member = (value);                                                                     \
        wrong(arch, why);                                                                          \
    } while (0)
    WRONG(layers, 0, "layers of 0");
    WRONG(layers, 1025, "layers of 1025");
    WRONG(dim, 0, "a width of 0");
    WRONG(dim, 68, "a multiple of 8) of 68");
    WRONG(hidden, 1u << 30, "a gate width of 1073741824");
    WRONG(heads, 0, "heads of 0");
    WRONG(context, 0, "a context of 0");
    WRONG(kv_heads, 3, "heads of keys of 3");
    WRONG(kv_heads, 16, "heads of keys of 16");
    WRONG(head_dim, 12, "a multiple of 8) of 12");
    WRONG(head_dim, 2048, "a multiple of 8) of 2048");
    WRONG(norm_eps, -1.0f, "epsilon of -1");
    WRONG(norm_eps, NAN, "epsilon of");
    WRONG(rope_base, 1.0, "rotary base of 1");
    WRONG(rope_base, (double)INFINITY, "rotary base of");
    WRONG(rope.kind, TM_ROPE_LINEAR, "a rotary factor of 0");
    struct tm_arch arch = good();
    arch.rope = (struct tm_rope_scaling){.kind = TM_ROPE_LLAMA3,
                                         .factor = 8.0,
                                         .low_factor = 4.0,
                                         .high_factor = 4.0,
                                         .original_context = 100.0};
    wrong(arch, "a high rotary factor of 4");
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("arch");
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, windows);
    tcase_add_test(tcase, derived_numbers);
    tcase_add_test(tcase, impossible_numbers);
    Suite *suite = suite_create("arch");
    suite_add_tcase(suite, tcase);
    return suite;
}
