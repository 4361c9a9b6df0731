/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/tensor_kind.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(names_of_the_families)
{
    static const struct {
        const char *name, *kind;
    } cases[] = {
        {"model.embed_tokens.weight", "embed"},
        {"token_embd.weight", "embed"},
        {"tok_embeddings.weight", "embed"},
        {"transformer.wte.weight", "embed"},
        {"model.layers.3.self_attn.q_proj.weight", "q"},
        {"blk.3.attn_q.weight", "q"},
        {"layers.3.attention.wq.weight", "q"},
        {"model.layers.3.self_attn.q_norm.weight", "norm"},
        {"blk.3.attn_q_norm.weight", "norm"},
        {"blk.3.attn_q.bias", "bias"},
        {"model.layers.3.self_attn.k_proj.weight", "k"},
        {"blk.3.attn_k.weight", "k"},
        {"model.layers.3.self_attn.v_proj.weight", "v"},
        {"blk.3.attn_v.weight", "v"},
        {"blk.3.attn_qkv.weight", "qkv"},
        {"h.3.attn.c_attn.weight", "qkv"},
        {"model.layers.3.self_attn.o_proj.weight", "o"},
        {"blk.3.attn_output.weight", "o"},
        {"layers.3.attention.wo.weight", "o"},
        {"h.3.attn.c_proj.weight", "o"},
        {"model.layers.3.mlp.gate_proj.weight", "gate"},
        {"blk.3.ffn_gate.weight", "gate"},
        {"blk.3.ffn_gate_exps.weight", "gate"},
        {"blk.3.ffn_gate_inp.weight", "other"},
        {"layers.3.feed_forward.w1.weight", "gate"},
        {"model.layers.3.mlp.up_proj.weight", "up"},
        {"blk.3.ffn_up.weight", "up"},
        {"layers.3.feed_forward.w3.weight", "up"},
        {"h.3.mlp.c_fc.weight", "up"},
        {"model.layers.3.mlp.down_proj.weight", "down"},
        {"blk.3.ffn_down.weight", "down"},
        {"layers.3.feed_forward.w2.weight", "down"},
        {"h.3.mlp.c_proj.weight", "down"},
        {"model.norm.weight", "norm"},
        {"output_norm.weight", "norm"},
        {"h.3.ln_1.weight", "norm"},
        {"lm_head.weight", "head"},
        {"output.weight", "head"},
        {"blk.3.ssm_conv1d.weight", "other"},
        {"", "other"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum tm_tensor_kind kind = tm_tensor_kind_of(tm_view_str(cases[i].name));
        ck_assert_msg(strcmp(tm_tensor_kind_name(kind), cases[i].kind) == 0, "%s: %s",
                      cases[i].name, tm_tensor_kind_name(kind));
    }
}
END_TEST

START_TEST(every_kind_has_words)
{
    for (unsigned kind = 0; kind < TM_KIND_COUNT; kind++) {
        ck_assert_uint_le(strlen(tm_tensor_kind_name(kind)), 6); /* a column of the text's map */
        ck_assert_uint_gt(strlen(tm_tensor_kind_text(kind)), 3);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tensor_kind");
    TCase *tc = tcase_create("tensor_kind");
    tcase_add_test(tc, names_of_the_families);
    tcase_add_test(tc, every_kind_has_words);
    suite_add_tcase(suite, tc);
    return suite;
}
