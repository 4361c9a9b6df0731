/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights_names.h"

#include "tests/support/suite.h"

static struct tm_arch arch_of(enum tm_arch_kind kind, enum tm_arch_style style)
{
    struct tm_arch arch;
    tm_arch_defaults(kind, style, &arch);
    arch.layers = 12;
    return arch;
}

static enum tm_slot slot(const struct tm_arch *arch, const char *name, uint32_t *layer)
{
    return tm_slot_of(arch, tm_view_str(name), layer);
}

/* Each slot that has a name is found by it, in its layer. */
START_TEST(there_and_back)
{
    for (int kind = 0; kind < TM_ARCH_COUNT; kind++) {
        for (int style = 0; style < 2; style++) {
            struct tm_arch arch = arch_of((enum tm_arch_kind)kind, (enum tm_arch_style)style);
            for (int s = 0; s < TM_SLOTS; s++) {
                char name[96];
                uint32_t layer = 99;
                bool post = s == TM_SLOT_ATTENTION_POST_NORM || s == TM_SLOT_GATE_POST_NORM;
                if (style == TM_STYLE_HF && (s == TM_SLOT_ROPE_FACTORS || (post && kind < 3))) {
                    continue; /* no such tensor there */
                }
                tm_slot_name(&arch, (enum tm_slot)s, 11, name);
                ck_assert_msg(slot(&arch, name, &layer) == (enum tm_slot)s, "%s", name);
                ck_assert_uint_eq(layer, s < TM_LAYER_SLOTS ? 11 : 99);
            }
        }
    }
}
END_TEST

START_TEST(names)
{
    struct tm_arch hf = arch_of(TM_ARCH_LLAMA, TM_STYLE_HF);
    struct tm_arch gguf = arch_of(TM_ARCH_GEMMA3, TM_STYLE_GGUF);
    struct tm_arch gemma = arch_of(TM_ARCH_GEMMA3, TM_STYLE_HF);
    uint32_t layer = 0;
    ck_assert_int_eq(slot(&hf, "model.layers.3.mlp.down_proj.weight", &layer), TM_SLOT_DOWN);
    ck_assert_uint_eq(layer, 3);
    ck_assert_int_eq(slot(&hf, "model.layers.3.post_attention_layernorm.weight", &layer),
                     TM_SLOT_GATE_NORM);
    ck_assert_int_eq(slot(&gemma, "model.layers.3.post_attention_layernorm.weight", &layer),
                     TM_SLOT_ATTENTION_POST_NORM);
    ck_assert_int_eq(slot(&gemma, "language_model.model.norm.weight", &layer), TM_SLOT_OUTPUT_NORM);
    ck_assert_int_eq(slot(&gemma, "vision_tower.a.weight", &layer), TM_SLOT_IGNORED);
    ck_assert_int_eq(slot(&hf, "model.layers.0.self_attn.rotary_emb.inv_freq", &layer),
                     TM_SLOT_IGNORED);
    ck_assert_int_eq(slot(&gguf, "blk.11.post_ffw_norm.weight", &layer), TM_SLOT_GATE_POST_NORM);
    ck_assert_uint_eq(layer, 11);
    static const char *const unknown[] = {"",
                                          "blk.12.attn_q.weight",
                                          "blk.x.attn_q.weight",
                                          "blk.1attn_q.weight",
                                          "blk.01.attn_q.weight",
                                          "blk.1.attn_q.weigh",
                                          "attn_q.weight",
                                          "blk.1.token_embd.weight",
                                          "model.norm.weight"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ck_assert_msg(slot(&gguf, unknown[i], &layer) == TM_SLOT_UNKNOWN, "%s", unknown[i]);
    }
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("weights_names");
    tcase_add_test(tcase, there_and_back);
    tcase_add_test(tcase, names);
    Suite *suite = suite_create("weights_names");
    suite_add_tcase(suite, tcase);
    return suite;
}
