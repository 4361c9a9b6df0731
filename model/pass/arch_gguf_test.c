/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "model/gguf_meta.h"
#include "model/pass/arch.h"
#include "tests/support/suite.h"
#include "tests/support/model_files.h"

/* A blob of metadata: its count is put in at the end. */
struct blob {
    struct tm_buf buf;
    uint64_t pairs;
};

static void add_u32(struct blob *b, const char *key, uint32_t value)
{
    g_kv_u32(&b->buf, key, value);
    b->pairs++;
}

static void add_f32(struct blob *b, const char *key, float value)
{
    g_key(&b->buf, key, TM_GGUF_F32);
    put_u32(&b->buf, tm_f32_bits(value));
    b->pairs++;
}

static void add_str(struct blob *b, const char *key, const char *value)
{
    g_kv_str(&b->buf, key, value);
    b->pairs++;
}

static struct blob small(const char *arch)
{
    struct blob b = {.pairs = 0};
    tm_buf_init(&b.buf, 1 << 16);
    put_u64(&b.buf, 0);
    add_str(&b, "general.architecture", arch);
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {{"block_count", 28},          {"embedding_length", 1536},
                   {"context_length", 32768},    {"feed_forward_length", 8960},
                   {"attention.head_count", 12}, {"attention.head_count_kv", 2}};
    for (size_t i = 0; i < 6; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", arch, numbers[i].name);
        add_u32(&b, key, numbers[i].value);
    }
    return b;
}

static tm_status finish(struct blob *b, struct tm_arch *arch, struct tm_err *err)
{
    tm_set_u64(b->buf.data, b->pairs);
    ck_assert_int_eq(tm_gguf_meta_check(tm_buf_view(&b->buf), err), TM_OK);
    tm_status status = tm_arch_from_gguf(tm_buf_view(&b->buf), "m.gguf", arch, err);
    tm_buf_deinit(&b->buf);
    return status;
}

START_TEST(qwen2)
{
    struct blob b = small("qwen2");
    struct tm_arch a;
    struct tm_err err = {0};
    add_f32(&b, "qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
    add_f32(&b, "qwen2.rope.freq_base", 1e6f);
    ck_assert_msg(finish(&b, &a, &err) == TM_OK, "%s", err.why);
    ck_assert_int_eq(a.kind, TM_ARCH_QWEN2);
    ck_assert_int_eq(a.style, TM_STYLE_GGUF);
    ck_assert_uint_eq(a.layers, 28);
    ck_assert_uint_eq(a.dim, 1536);
    ck_assert_uint_eq(a.hidden, 8960);
    ck_assert_uint_eq(a.heads, 12);
    ck_assert_uint_eq(a.kv_heads, 2);
    ck_assert_uint_eq(a.head_dim, 128);
    ck_assert_uint_eq(a.context, 32768);
    ck_assert_uint_eq(a.vocab, 0);
    ck_assert_float_eq(a.norm_eps, 1e-6f);
    ck_assert_double_eq(a.rope_base, 1e6);
    ck_assert(!a.rope_interleaved);
}
END_TEST

START_TEST(gemma3)
{
    struct blob b = small("gemma3");
    struct tm_arch a;
    struct tm_err err = {0};
    add_u32(&b, "gemma3.attention.sliding_window", 512);
    add_u32(&b, "gemma3.attention.key_length", 256);
    add_u32(&b, "gemma3.attention.value_length", 256);
    add_str(&b, "gemma3.rope.scaling.type", "linear");
    add_f32(&b, "gemma3.rope.scaling.factor", 8.0f);
    ck_assert_msg(finish(&b, &a, &err) == TM_OK, "%s", err.why);
    ck_assert_uint_eq(a.window, 512);
    ck_assert_uint_eq(a.global_every, 6);
    ck_assert_uint_eq(a.head_dim, 256);
    ck_assert_int_eq(a.rope.kind, TM_ROPE_LINEAR);
    ck_assert_double_eq(a.rope.factor, 8.0);
    ck_assert_double_eq(a.rope_local_base, 10000.0);
    ck_assert(a.post_norms && !a.norm_plus_one);
}
END_TEST

static void refuses(struct blob *b, tm_status status, const char *why)
{
    struct tm_arch a;
    struct tm_err err = {0};
    ck_assert_int_eq(finish(b, &a, &err), status);
    ck_assert_msg(strstr(err.why, why) != NULL, "%s", err.why);
}

START_TEST(refused)
{
    struct blob b = small("falcon");
    refuses(&b, TM_E_INCOMPATIBLE, "the architecture \"falcon\" has no graph");
    b = small("llama");
    add_str(&b, "llama.rope.scaling.type", "yarn");
    refuses(&b, TM_E_INCOMPATIBLE, "rotary scaling of type \"yarn\" has no graph");
    b = small("llama");
    add_u32(&b, "llama.rope.dimension_count", 64);
    refuses(&b, TM_E_INCOMPATIBLE, "heads of 128 of which 64 are rotated");
    b = small("llama");
    add_u32(&b, "llama.attention.value_length", 64);
    refuses(&b, TM_E_INCOMPATIBLE, "with values of 64");
    b = (struct blob){.pairs = 0};
    tm_buf_init(&b.buf, 1 << 16);
    put_u64(&b.buf, 0);
    refuses(&b, TM_E_MALFORMED, "its metadata has no general.architecture");
    b = (struct blob){.pairs = 0};
    tm_buf_init(&b.buf, 1 << 16);
    put_u64(&b.buf, 0);
    add_str(&b, "general.architecture", "llama");
    refuses(&b, TM_E_MALFORMED, "a number of layers of 0");
}
END_TEST

START_TEST(counts_by_layer)
{
    struct blob b = {.pairs = 0};
    tm_buf_init(&b.buf, 1 << 16);
    put_u64(&b.buf, 0);
    add_str(&b, "general.architecture", "llama");
    g_key(&b.buf, "llama.feed_forward_length", TM_GGUF_ARRAY);
    put_u32(&b.buf, TM_GGUF_U32);
    put_u64(&b.buf, 1);
    put_u32(&b.buf, 100);
    b.pairs++;
    refuses(&b, TM_E_INCOMPATIBLE, "layers of different llama.feed_forward_length have no graph");
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("arch_gguf");
    tcase_add_test(tcase, qwen2);
    tcase_add_test(tcase, gemma3);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, counts_by_layer);
    Suite *suite = suite_create("arch_gguf");
    suite_add_tcase(suite, tcase);
    return suite;
}
