/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights.h"

#include <math.h>

#include "model/pass/dot.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_model.h"

static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3_text"};
#define ARCHS (sizeof archs / sizeof archs[0])

START_TEST(what_is_loaded)
{
    for (size_t a = 0; a < ARCHS; a++) {
        struct tiny_model *m = tiny_new(archs[a]);
        struct tm_weights w;
        struct tm_err err = {0};
        ck_assert_msg(tm_weights_load(&m->source, &w, &err) == TM_OK, "%s", err.why);
        ck_assert_str_eq(tm_arch_name(w.arch.kind), a == 3 ? "gemma3" : archs[a]);
        ck_assert_uint_eq(w.embedding.rows, TINY_VOCAB);
        ck_assert_uint_eq(w.layers[2].linear[TM_LINEAR_DOWN].cols, 24); /* 20 and zeros */
        float row[24];
        tm_matrix_row(&w.layers[2].linear[TM_LINEAR_DOWN], 5, row);
        struct tiny_tensor *down = tiny_find(m, "model.layers.2.mlp.down_proj.weight");
        for (size_t i = 0; i < 24; i++) {
            float want = i < TINY_HIDDEN
                             ? tm_f32_from_bits(tm_get_u32(down->data + 4 * (5 * TINY_HIDDEN + i)))
                             : 0.0f;
            ck_assert(row[i] == want && !signbit(row[i]) == !signbit(want));
        }
        bool tied = a == 1 || a == 3;
        ck_assert((w.head.data == w.embedding.data) == tied);
        ck_assert((w.layers[0].bias[TM_LINEAR_Q] != NULL) == (a == 1));
        ck_assert((w.layers[0].q_norm != NULL) == (a >= 2));
        float first = tm_f32_from_bits(tm_get_u32(tiny_find(m, "model.norm.weight")->data));
        ck_assert_float_eq(w.output_norm[0], a == 3 ? first + 1.0f : first);
        tm_weights_deinit(&w);
        tm_weights_deinit(&w); /* empty */
        tiny_free(m);
    }
}
END_TEST

/* The model with one thing wrong must give `status` and a reason that holds `why`. */
static void refused(struct tiny_model *m, tm_status status, const char *why)
{
    struct tm_weights w;
    struct tm_err err = {0};
    size_t before = tm_mem_live_bytes();
    ck_assert_int_eq(tm_weights_load(&m->source, &w, &err), status);
    ck_assert_msg(strstr(err.why, why) != NULL || strstr(err.where, why) != NULL, "%s: %s",
                  err.where, err.why);
    ck_assert_ptr_null(w.layers);
    ck_assert_uint_eq(tm_mem_live_bytes(), before);
    tiny_free(m);
}

START_TEST(damaged_models)
{
    struct tiny_model *m = tiny_new("llama");
    tiny_rename(m, "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up.weight");
    refused(m, TM_E_INCOMPATIBLE, "model.layers.1.mlp.up.weight");
    m = tiny_new("llama");
    tiny_rename(m, "model.layers.1.mlp.up_proj.weight",
                "vision_tower.layers.1.mlp.up_proj.weight"); /* ignored, and so missing */
    refused(m, TM_E_MALFORMED, "the tensor model.layers.1.mlp.up_proj.weight is missing");
    m = tiny_new("llama");
    tiny_rename(m, "model.layers.2.input_layernorm.weight",
                "model.layers.3.input_layernorm.weight");
    refused(m, TM_E_INCOMPATIBLE, "model.layers.3.input_layernorm.weight");
    m = tiny_new("qwen3");
    tiny_find(m, "model.layers.0.self_attn.q_norm.weight")->shape.dim[0] = 8;
    refused(m, TM_E_MALFORMED, "its shape is [8]; the graph needs [1, 16]");
    m = tiny_new("gemma3_text");
    tm_set_u32(tiny_find(m, "model.layers.0.self_attn.v_proj.weight")->data + 4 * (TINY_DIM + 1),
               0x7fc00000u);
    refused(m, TM_E_MALFORMED, "row 1 holds NaN or infinity");
    m = tiny_new("llama");
    tiny_rename(m, "model.embed_tokens.weight", "vision_tower.embed");
    refused(m, TM_E_MALFORMED, "the tensor model.embed_tokens.weight is missing");
    m = tiny_new("llama");
    tiny_rename(m, "model.layers.0.self_attn.q_proj.weight",
                "model.layers.0.self_attn.q_norm.weight");
    refused(m, TM_E_MALFORMED, "q_proj.weight is missing");
    m = tiny_new("llama");
    snprintf(m->config, sizeof m->config, "{}");
    refused(m, TM_E_MALFORMED, "there is no model_type in it");
}
END_TEST

static tm_status no_attachment(void *context, const char *name, struct tm_buf *out,
                               struct tm_err *err)
{
    (void)context, (void)name, (void)out, (void)err;
    return TM_E_NOTHING;
}

START_TEST(no_configuration)
{
    struct tiny_model *m = tiny_new("llama");
    m->source.attachment = no_attachment;
    refused(m, TM_E_INCOMPATIBLE, "there is no configuration with the weights");
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
    struct tiny_model *m = tiny_new("gemma3_text");
    size_t before = tm_mem_live_bytes();
    for (uint64_t n = 1;; n++) {
        struct tm_weights w;
        struct tm_err err = {0};
        tm_mem_fail_at(n);
        tm_status status = tm_weights_load(&m->source, &w, &err);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_weights_deinit(&w);
        ck_assert_uint_eq(tm_mem_live_bytes(), before);
        if (!failed) {
            ck_assert_uint_gt(n, 100);
            break;
        }
    }
    tiny_free(m);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("weights");
    tcase_add_test(tcase, what_is_loaded);
    tcase_add_test(tcase, damaged_models);
    tcase_add_test(tcase, no_configuration);
    tcase_add_test(tcase, memory_runs_out_anywhere);
    Suite *suite = suite_create("weights");
    suite_add_tcase(suite, tcase);
    return suite;
}
