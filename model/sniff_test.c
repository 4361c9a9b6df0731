/* SPDX-License-Identifier: Apache-2.0 */
#include "model/sniff.h"

#include "tests/support/model_files.h"
#include "tests/support/suite.h"

#define ROW(text, status, word)                                                                    \
    {                                                                                              \
        text, sizeof text - 1, status, word                                                        \
    }

static const struct {
    const char *bytes;
    size_t count;
    tm_status status;
    const char *word;
} refused[] = {
    ROW("", TM_E_MALFORMED, "empty"),
    ROW("abcde", TM_E_MALFORMED, "5 bytes"),
    ROW("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", TM_E_MALFORMED,
        "Git LFS pointer"),
    ROW("version https://git-lfs.github.com/spec/v1\n", TM_E_MALFORMED, "git lfs pull"),
    ROW("<!DOCTYPE html><html>", TM_E_MALFORMED, "web page"),
    ROW("\xef\xbb\xbf \n<HTML lang=en>", TM_E_MALFORMED, "web page"),
    ROW("<?xml version=\"1.0\"?><Error>", TM_E_MALFORMED, "web page"),
    ROW("\x08\x06\x12\x18onnxruntime", TM_E_INCOMPATIBLE, "ONNX"),
    ROW("FUGG\0\0\0\x03", TM_E_INCOMPATIBLE, "endian"),
    ROW("tjgg\x03\0\0\0\0\0\0\0", TM_E_INCOMPATIBLE, "old GGML"),
    ROW("\x93NUMPY\x01\0", TM_E_MALFORMED, "NumPy"),
    ROW("\x89HDF\r\n\x1a\n0000", TM_E_INCOMPATIBLE, "HDF5"),
    ROW("\x1f\x8b\x08\0\0\0\0\0\0", TM_E_MALFORMED, "gzip"),
    ROW("\x28\xb5\x2f\xfd\0\0\0\0\0", TM_E_MALFORMED, "zstd"),
    ROW("\xff\xfe\xfd\xfcxxxxxxxx", TM_E_MALFORMED, "ff fe fd fc"),
    ROW("just a text file\n", TM_E_MALFORMED, "neither safetensors, GGUF nor PyTorch"),
};

START_TEST(names_what_it_is)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        enum tm_file_kind kind;
        struct tm_err err = {.status = TM_OK};
        tm_status status = tm_sniff(tm_view_of(refused[i].bytes, refused[i].count),
                                    refused[i].count, "m.bin", &kind, &err);
        ck_assert_msg(status == refused[i].status, "%zu: %s", i, refused[i].word);
        ck_assert_says(&err, refused[i].word);
        ck_assert_says(&err, "m.bin");
    }
}
END_TEST

START_TEST(knows_its_own)
{
    static const struct {
        const char *bytes;
        size_t count;
        enum tm_file_kind kind;
    } rows[] = {
        {"GGUF\x03\0\0\0", 8, TM_FILE_GGUF},
        {"GGUF", 4, TM_FILE_GGUF},
        {"\x02\0\0\0\0\0\0\0{}", 10, TM_FILE_SAFETENSORS},
        {"\x80\x02\0\0\0\0\0\0{}", 10, TM_FILE_SAFETENSORS}, /* looks like a pickle too */
        {"PK\x03\x04\0\0\0\0{}", 10, TM_FILE_SAFETENSORS},   /* and like a zip archive */
        {"\x02\0\0\0\0\0\0\0", 8, TM_FILE_SAFETENSORS},
        {"\x04\0\0\0\0\0\0\0\n {}", 12, TM_FILE_SAFETENSORS}, /* told apart, then refused */
        {"PK\x03\x04xxxx", 8, TM_FILE_PYTORCH},
        {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9\x20", 10, TM_FILE_PYTORCH},
        {"\x80\x02\0\0\0\0\0\0 {}", 11, TM_FILE_PYTORCH}, /* no room for 640 bytes */
        {"cos\nsystem\n", 10, TM_FILE_PYTORCH},           /* to be refused by name */
        {"(dp0\n.", 7, TM_FILE_PYTORCH},
        {"{\"weight_map\":{}}", 17, TM_FILE_JSON},
        {" \n{}", 4, TM_FILE_JSON},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum tm_file_kind kind = TM_FILE_JSON;
        struct tm_err err;
        ck_assert_msg(tm_sniff(tm_view_of(rows[i].bytes, rows[i].count), rows[i].count, "m", &kind,
                               &err) == TM_OK,
                      "%zu", i);
        ck_assert_int_eq(kind, rows[i].kind);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("sniff");
    TCase *tcase = tcase_create("sniff");
    tcase_add_test(tcase, names_what_it_is);
    tcase_add_test(tcase, knows_its_own);
    suite_add_tcase(suite, tcase);
    return suite;
}
