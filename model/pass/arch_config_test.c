/* SPDX-License-Identifier: Apache-2.0
 * config.json as the model families write it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/pass/arch.h"
#include "tests/support/suite.h"

#define SMALL                                                                                      \
    "\"num_hidden_layers\": 30, \"hidden_size\": 576, \"intermediate_size\": 1536, "               \
    "\"num_attention_heads\": 9, \"num_key_value_heads\": 3, \"vocab_size\": 49152, "              \
    "\"max_position_embeddings\": 8192, \"rms_norm_eps\": 1e-05"

static tm_status read_config(const char *type, const char *more, struct tm_arch *arch,
                             struct tm_err *err)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"model_type\": \"%s\", " SMALL "%s}", type, more);
    return tm_arch_from_config(tm_view_str(text), "config.json", arch, err);
}

static struct tm_arch reads(const char *type, const char *more)
{
    struct tm_arch arch;
    struct tm_err err = {0};
    ck_assert_msg(read_config(type, more, &arch, &err) == TM_OK, "%s", err.why);
    return arch;
}

static void refuses(const char *type, const char *more, tm_status status, const char *why)
{
    struct tm_arch arch;
    struct tm_err err = {0};
    ck_assert_int_eq(read_config(type, more, &arch, &err), status);
    ck_assert_msg(strstr(err.why, why) != NULL, "%s", err.why);
    ck_assert_str_eq(err.where, "config.json");
}

START_TEST(llama)
{
    struct tm_arch a = reads("llama", ", \"rope_theta\": 100000, \"hidden_act\": \"silu\", "
                                      "\"rope_scaling\": null, \"tie_word_embeddings\": true");
    ck_assert_int_eq(a.kind, TM_ARCH_LLAMA);
    ck_assert_int_eq(a.style, TM_STYLE_HF);
    ck_assert_uint_eq(a.layers, 30);
    ck_assert_uint_eq(a.dim, 576);
    ck_assert_uint_eq(a.hidden, 1536);
    ck_assert_uint_eq(a.heads, 9);
    ck_assert_uint_eq(a.kv_heads, 3);
    ck_assert_uint_eq(a.head_dim, 64);
    ck_assert_uint_eq(a.vocab, 49152);
    ck_assert_uint_eq(a.context, 8192);
    ck_assert_float_eq(a.norm_eps, 1e-5f);
    ck_assert_double_eq(a.rope_base, 100000.0);
    ck_assert(!a.rope_interleaved && !a.gelu && !a.head_norms && a.window == 0);
}
END_TEST

START_TEST(scaling)
{
    struct tm_arch a = reads("llama", ", \"rope_scaling\": {\"rope_type\": \"llama3\", "
                                      "\"factor\": 32.0, \"low_freq_factor\": 1.0, "
                                      "\"high_freq_factor\": 4.0, "
                                      "\"original_max_position_embeddings\": 8192}");
    ck_assert_int_eq(a.rope.kind, TM_ROPE_LLAMA3);
    ck_assert_double_eq(a.rope.factor, 32.0);
    ck_assert_double_eq(a.rope.low_factor, 1.0);
    ck_assert_double_eq(a.rope.high_factor, 4.0);
    ck_assert_double_eq(a.rope.original_context, 8192.0);
    a = reads("llama", ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}");
    ck_assert_int_eq(a.rope.kind, TM_ROPE_LINEAR);
    a = reads("llama", ", \"rope_scaling\": {\"rope_type\": \"default\"}");
    ck_assert_int_eq(a.rope.kind, TM_ROPE_PLAIN);
    refuses("qwen2", ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4}", TM_E_INCOMPATIBLE,
            "rotary scaling of type \"yarn\" has no graph");
    refuses("llama", ", \"rope_scaling\": {}", TM_E_MALFORMED, "rope_scaling has no type");
    refuses("llama", ", \"rope_scaling\": {\"type\": \"linear\"}", TM_E_MALFORMED,
            "a rotary factor of 0");
}
END_TEST

START_TEST(windows)
{
    struct tm_arch a = reads("qwen2", ", \"sliding_window\": 32768, "
                                      "\"use_sliding_window\": false");
    ck_assert_uint_eq(a.window, 0);
    refuses("qwen2", ", \"sliding_window\": 32768, \"use_sliding_window\": true", TM_E_INCOMPATIBLE,
            "a sliding window in this architecture has no graph");
    a = reads("gemma3_text", ", \"head_dim\": 256, \"sliding_window\": 512, "
                             "\"rope_local_base_freq\": 10000, \"query_pre_attn_scalar\": 256, "
                             "\"hidden_activation\": \"gelu_pytorch_tanh\", \"layer_types\": ["
                             "\"sliding_attention\", \"full_attention\", \"sliding_attention\", "
                             "\"full_attention\"]");
    ck_assert_uint_eq(a.window, 512);
    ck_assert_uint_eq(a.global_every, 2);
    ck_assert_float_eq(a.attention_scale, 1.0f / 16.0f);
    ck_assert(a.gelu && a.head_norms && a.post_norms && a.norm_plus_one);
    refuses("gemma3_text", ", \"layer_types\": [\"full_attention\", \"sliding_attention\"]",
            TM_E_INCOMPATIBLE, "layer_types without a period have no graph");
    refuses("gemma3_text", ", \"layer_types\": [\"linear_attention\"]", TM_E_INCOMPATIBLE,
            "layers of type \"linear_attention\" have no graph");
    refuses("gemma3_text", ", \"layer_types\": [3]", TM_E_INCOMPATIBLE, "layer_types");
}
END_TEST

START_TEST(refused)
{
    refuses("bert", "", TM_E_INCOMPATIBLE, "the architecture \"bert\" has no graph");
    refuses("llama", ", \"hidden_act\": \"gelu\"", TM_E_INCOMPATIBLE,
            "the activation \"gelu\" has no graph here");
    refuses("gemma3_text", ", \"final_logit_softcapping\": 30.0", TM_E_INCOMPATIBLE,
            "final_logit_softcapping has no graph");
    refuses("llama", ", \"head_dim\": -1", TM_E_MALFORMED, "head_dim is no count");
    refuses("llama", ", \"head_dim\": 9999999999", TM_E_MALFORMED, "head_dim is no count");
    struct tm_arch arch;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_arch_from_config(tm_view_str("{\"model_type\": 3}"), "c", &arch, &err),
                     TM_E_MALFORMED);
    ck_assert_int_eq(tm_arch_from_config(tm_view_str("{"), "c", &arch, &err), TM_E_MALFORMED);
}
END_TEST

START_TEST(text_of_a_model_that_sees)
{
    struct tm_arch arch;
    struct tm_err err = {0};
    ck_assert_int_eq(
        tm_arch_from_config(tm_view_str("{\"model_type\": \"gemma3\", \"text_config\": {" SMALL ", "
                                        "\"head_dim\": 64}}"),
                            "c", &arch, &err),
        TM_OK);
    ck_assert_uint_eq(arch.dim, 576);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("arch_config");
    tcase_add_test(tcase, llama);
    tcase_add_test(tcase, scaling);
    tcase_add_test(tcase, windows);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, text_of_a_model_that_sees);
    Suite *suite = suite_create("arch_config");
    suite_add_tcase(suite, tcase);
    return suite;
}
