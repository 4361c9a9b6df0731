/* SPDX-License-Identifier: Apache-2.0 */
#include "model/llama2c_vocab.h"

#include <string.h>

#include "base/bytes.h"
#include "model/gguf_meta.h"
#include "tests/support/suite.h"

static void put(struct tm_buf *buf, float score, const char *text)
{
    ck_assert_int_eq(tm_buf_put_u32(buf, tm_f32_bits(score)), TM_OK);
    ck_assert_int_eq(tm_buf_put_u32(buf, (uint32_t)strlen(text)), TM_OK);
    ck_assert_int_eq(tm_buf_put_str(buf, text), TM_OK);
}

static void make(struct tm_buf *buf)
{
    tm_buf_init(buf, 4096);
    ck_assert_int_eq(tm_buf_put_u32(buf, 7), TM_OK);
    put(buf, 0, "<unk>");
    put(buf, 0, "\n<s>\n");
    put(buf, 0, "\n</s>\n");
    put(buf, 0, "<0x0A>");
    put(buf, -1.5f, " a b");
    put(buf, -2.0f, "");
}

static void expect_item(struct tm_cursor *cursor, const char *text)
{
    struct tm_view item;
    ck_assert(tm_gguf_string_next(cursor, &item));
    ck_assert_msg(tm_view_eq_str(item, text), "%s", text);
}

START_TEST(becomes_gguf)
{
    struct tm_buf file, blob;
    struct tm_gguf_kv kv;
    struct tm_err err;
    uint64_t id = 9;
    make(&file);
    tm_buf_init(&blob, 4096);
    ck_assert_int_eq(tm_buf_put_u64(&blob, TM_LLAMA2C_VOCAB_PAIRS), TM_OK);
    ck_assert_int_eq(tm_llama2c_vocab_put(tm_buf_view(&file), 6, &blob), TM_OK);
    struct tm_view view = tm_buf_view(&blob);
    ck_assert_int_eq(tm_gguf_meta_check(view, &err), TM_OK);
    ck_assert(tm_gguf_meta_find(view, "tokenizer.ggml.tokens", &kv) && kv.item_count == 6);
    struct tm_cursor cursor = tm_cursor_of(kv.value);
    static const char *const texts[] = {"<unk>",
                                        "<s>",
                                        "</s>",
                                        "<0x0A>",
                                        "\xe2\x96\x81"
                                        "a"
                                        "\xe2\x96\x81"
                                        "b",
                                        ""};
    for (size_t i = 0; i < 6; i++) {
        expect_item(&cursor, texts[i]);
    }
    static const uint32_t types[] = {2, 3, 3, 6, 1, 3};
    ck_assert(tm_gguf_meta_find(view, "tokenizer.ggml.token_type", &kv) && kv.item_count == 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(tm_get_u32(kv.value.data + 4 * i), types[i]);
    }
    ck_assert(tm_gguf_meta_find(view, "tokenizer.ggml.scores", &kv));
    ck_assert_uint_eq(tm_get_u32(kv.value.data + 16), tm_f32_bits(-1.5f));
    ck_assert(tm_gguf_meta_find(view, "tokenizer.ggml.eos_token_id", &kv));
    ck_assert(tm_gguf_kv_u64(&kv, &id) && id == 2);
    tm_buf_deinit(&blob);
    tm_buf_deinit(&file);
}
END_TEST

START_TEST(is_whole_or_nothing)
{
    struct tm_buf file, blob;
    make(&file);
    tm_buf_init(&blob, 4096);
    ck_assert_int_eq(tm_buf_put_u8(&blob, 7), TM_OK);
    for (size_t bytes = 0; bytes < file.bytes; bytes++) {
        ck_assert_int_eq(tm_llama2c_vocab_put(tm_view_of(file.data, bytes), 6, &blob),
                         TM_E_MALFORMED);
    }
    ck_assert_int_eq(tm_llama2c_vocab_put(tm_buf_view(&file), 5, &blob), TM_E_MALFORMED);
    ck_assert_int_eq(tm_llama2c_vocab_put(tm_buf_view(&file), 7, &blob), TM_E_MALFORMED);
    tm_set_u32(file.data + 8, UINT32_MAX); /* bytes of the first token */
    ck_assert_int_eq(tm_llama2c_vocab_put(tm_buf_view(&file), 6, &blob), TM_E_MALFORMED);
    ck_assert_uint_eq(blob.bytes, 1);
    tm_buf_deinit(&file);
    make(&file);
    blob.max_bytes = 300;
    ck_assert_int_eq(tm_llama2c_vocab_put(tm_buf_view(&file), 6, &blob), TM_E_LIMIT);
    ck_assert_uint_eq(blob.bytes, 1);
    tm_buf_deinit(&blob);
    tm_buf_deinit(&file);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("llama2c_vocab");
    TCase *tcase = tcase_create("llama2c_vocab");
    tcase_add_test(tcase, becomes_gguf);
    tcase_add_test(tcase, is_whole_or_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
