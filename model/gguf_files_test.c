/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_files.h"

#include "base/mem.h"
#include "model/checkpoint.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

START_TEST(split_names)
{
    struct tm_split_name name;
    ck_assert(tm_split_name_parse("m-00002-of-00003.gguf", &name));
    ck_assert(name.prefix_bytes == 1 && name.part == 2 && name.count == 3);
    ck_assert(tm_split_name_parse("-00001-of-00001.gguf", &name) && name.prefix_bytes == 0);
    static const char *const bad[] = {"m.gguf",
                                      "m-00000-of-00003.gguf",
                                      "m-00004-of-00003.gguf",
                                      "m-0001-of-00003.gguf",
                                      "m-000x1-of-00003.gguf",
                                      "m_00001-of-00003.gguf",
                                      "m-00001-of-00003.ggml",
                                      "00001-of-00003.gguf",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!tm_split_name_parse(bad[i], &name), "%s", bad[i]);
    }
}
END_TEST

static const uint64_t ne[] = {4};

/* split.no, split.count and split.tensors.count; one tensor. The first part has the model's keys.
 */
static void put_part(const struct test_dir *dir, const char *name, const char *tensor, uint32_t no,
                     uint32_t count, uint32_t tensors)
{
    struct tm_buf buf;
    g_begin(&buf, 3, 1, no == 0 ? 4 : 3);
    if (no == 0) {
        g_kv_str(&buf, "general.architecture", "llama");
    }
    g_key(&buf, "split.no", 2);
    put_bytes(&buf, (uint8_t[]){(uint8_t)no, 0}, 2);
    g_key(&buf, "split.count", 2);
    put_bytes(&buf, (uint8_t[]){(uint8_t)count, 0}, 2);
    g_kv_u32(&buf, "split.tensors.count", tensors);
    g_tensor(&buf, tensor, 1, ne, 24, 0);
    g_pad(&buf, 32);
    put_data(&buf, 4);
    test_put_buf(dir, name, &buf);
    tm_buf_deinit(&buf);
}

static void expect(const struct test_dir *dir, const char *name, tm_status wanted, const char *word)
{
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_checkpoint_open(test_path(dir, name), &checkpoint, &err);
    ck_assert_msg(status == wanted, "%s: %s", tm_status_name(status), err.why);
    if (wanted != TM_OK) {
        ck_assert_says(&err, word);
    } else {
        const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
        ck_assert_uint_eq(inventory->tensor_count, 3);
        ck_assert_str_eq(inventory->tensors[0].name, "z");
        ck_assert_str_eq(inventory->tensors[1].name, "y");
        ck_assert_str_eq(inventory->tensors[2].name, "x");
        ck_assert_str_eq(inventory->arch, "llama");
        ck_assert_uint_eq(inventory->attachment_count, 1);
    }
    tm_checkpoint_close(&checkpoint);
}

#define PART(n) "m-0000" #n "-of-00003.gguf"

START_TEST(parts)
{
    struct test_dir dir = test_dir_make();
    put_part(&dir, PART(1), "z", 0, 3, 3);
    put_part(&dir, PART(2), "y", 1, 3, 3);
    expect(&dir, PART(1), TM_E_NOT_FOUND, PART(3));
    put_part(&dir, PART(3), "x", 2, 3, 3);
    expect(&dir, PART(1), TM_OK, NULL);
    expect(&dir, PART(2), TM_OK, NULL);
    expect(&dir, PART(3), TM_OK, NULL);
    put_part(&dir, PART(3), "x", 2, 4, 3);
    expect(&dir, PART(1), TM_E_MALFORMED, "split.count 4");
    put_part(&dir, PART(3), "x", 1, 3, 3);
    expect(&dir, PART(1), TM_E_MALFORMED, "split.no is 1");
    put_part(&dir, PART(3), "x", 2, 3, 4);
    expect(&dir, PART(1), TM_E_MALFORMED, "split.tensors.count is 4 here and 3");
    put_part(&dir, PART(3), "z", 2, 3, 3);
    expect(&dir, PART(1), TM_E_MALFORMED, "duplicate");
    test_put_text(&dir, PART(3), "{}");
    expect(&dir, PART(1), TM_E_MALFORMED, "no GGUF file");
    put_part(&dir, PART(1), "z", 0, 3, 4);
    put_part(&dir, PART(2), "y", 1, 3, 4);
    put_part(&dir, PART(3), "x", 2, 3, 4);
    expect(&dir, PART(1), TM_E_MALFORMED, "hold 3 tensors");
    put_part(&dir, "renamed.gguf", "z", 0, 3, 3);
    expect(&dir, "renamed.gguf", TM_E_MALFORMED, "does not say which one");
    put_part(&dir, "n-00002-of-00003.gguf", "z", 0, 3, 3);
    expect(&dir, "n-00002-of-00003.gguf", TM_E_MALFORMED, "disagree");
    test_dir_remove(&dir);
}
END_TEST

START_TEST(large_headers_are_read_in_steps)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    struct tm_buf buf;
    g_begin(&buf, 3, 1, 1);
    g_key(&buf, "tokenizer.ggml.tokens", 9);
    put_u32(&buf, 8);
    put_u64(&buf, 100000);
    for (uint32_t i = 0; i < 100000; i++) {
        char text[16];
        snprintf(text, sizeof text, "t%u", i % 99999);
        g_str(&buf, text);
    }
    g_tensor(&buf, "a", 1, ne, 24, 0);
    g_pad(&buf, 32);
    put_data(&buf, 4);
    ck_assert_uint_gt(buf.bytes, 1u << 20);
    const char *path = test_put_buf(&dir, "m.gguf", &buf);
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    ck_assert_uint_eq(inventory->token_count, 100000);
    ck_assert_uint_eq(inventory->warning_count, 1);
    ck_assert_ptr_nonnull(strstr(inventory->warnings[0], "1 of 100000 tokens"));
    ck_assert_uint_eq(inventory->attachments[0].offset, 16);
    tm_checkpoint_close(&checkpoint);
    tm_buf_deinit(&buf);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(keys_of_the_wrong_kind)
{
    static const char *const keys[] = {"general.architecture", "split.count", "split.no",
                                       "tokenizer.ggml.tokens", "tokenizer.ggml.merges"};
    struct test_dir dir = test_dir_make();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct tm_checkpoint *checkpoint = NULL;
        struct tm_err err;
        struct tm_buf buf;
        g_begin(&buf, 3, 0, 1);
        g_key(&buf, keys[i], 6); /* a float fits none of them */
        put_u32(&buf, 0x3f800000);
        const char *path = test_put_buf(&dir, "m.gguf", &buf);
        ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_E_MALFORMED);
        ck_assert_says(&err, keys[i]);
        tm_buf_deinit(&buf);
    }
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("gguf_files");
    TCase *tcase = tcase_create("gguf_files");
    tcase_add_test(tcase, split_names);
    tcase_add_test(tcase, parts);
    tcase_add_test(tcase, large_headers_are_read_in_steps);
    tcase_add_test(tcase, keys_of_the_wrong_kind);
    suite_add_tcase(suite, tcase);
    return suite;
}
