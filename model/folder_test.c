/* SPDX-License-Identifier: Apache-2.0 */
#include "model/folder.h"

#include <unistd.h>

#include "model/checkpoint.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

/* What is chosen among these names; NULL ends them. */
static void expect_choice(const char *const *names, tm_status wanted, const char *word)
{
    struct tm_dir_list list = {.names = (char **)(uintptr_t)names};
    struct tm_err err;
    char out[TM_PATH_MAX];
    while (names[list.count] != NULL) {
        list.count++;
    }
    tm_status status = tm_folder_find_model("d", &list, out, &err);
    ck_assert_msg(status == wanted, "%s for %s", tm_status_name(status), word);
    if (status == TM_OK) {
        ck_assert_str_eq(out, word);
    } else {
        ck_assert_says(&err, word);
    }
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(choices)
{
    expect_choice(NAMES("config.json"), TM_E_NOT_FOUND, "no model in it");
    expect_choice(NAMES("a.gguf", "model.safetensors", "model.safetensors.index.json"), TM_OK,
                  "d/model.safetensors");
    expect_choice(NAMES("consolidated.safetensors", "model.safetensors.index.json"), TM_OK,
                  "d/model.safetensors.index.json");
    expect_choice(NAMES("diffusion.safetensors.index.json", "x-00001-of-00002.safetensors"), TM_OK,
                  "d/diffusion.safetensors.index.json");
    expect_choice(NAMES("adapter.safetensors", "config.json"), TM_OK, "d/adapter.safetensors");
    expect_choice(NAMES("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"),
                  TM_E_NOT_FOUND, "no index");
    expect_choice(NAMES("m.gguf"), TM_OK, "d/m.gguf");
    expect_choice(NAMES("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"), TM_OK,
                  "d/m-00001-of-00002.gguf");
    expect_choice(NAMES("m-00001-of-00002.gguf", "n-00002-of-00002.gguf"), TM_E_USAGE, "2 files");
    expect_choice(NAMES("a.gguf", "b.gguf"), TM_E_USAGE, "a.gguf");
    expect_choice(NAMES("config.json", "pytorch_model.bin"), TM_OK, "d/pytorch_model.bin");
    expect_choice(NAMES(".safetensors"), TM_E_NOT_FOUND, "no model in it");
}
END_TEST

static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";

static tm_status open_dir(const struct test_dir *dir, struct tm_checkpoint **checkpoint,
                          struct tm_err *err)
{
    return tm_checkpoint_open(dir->path, checkpoint, err);
}

START_TEST(neighbours_are_carried)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    st_put(&dir, "model.safetensors", header, 4);
    st_put(&dir, "extra.safetensors", header, 4);
    test_put_text(&dir, "config.json", "{\"model_type\": \"llama\", \"x\": 0.1}\n");
    test_put_text(&dir, "LICENSE.md", "free\n");
    test_put_text(&dir, "README.md", "read\n");
    test_put_text(&dir, "merges.txt", "#version: 0.2\na b\n");
    test_put_text(&dir, "tokenizer.json",
                  "{\"model\":{\"vocab\":{\"a\":0,\"\\u0061\":1},\"merges\":[\"a b\"]}}");
    ck_assert_int_eq(open_dir(&dir, &checkpoint, &err), TM_OK);
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    ck_assert_str_eq(inventory->arch, "llama");
    ck_assert_uint_eq(inventory->attachment_count, 4);
    ck_assert_uint_eq(tm_inventory_attachment(inventory, "README.md"), 4);
    ck_assert_uint_eq(inventory->token_count, 1);
    ck_assert_uint_eq(inventory->merge_count, 1);
    ck_assert_uint_eq(inventory->warning_count, 2);
    ck_assert_ptr_nonnull(strstr(inventory->warnings[0], "extra.safetensors"));
    ck_assert_ptr_nonnull(strstr(inventory->warnings[1], "1 of 1 tokens"));
    struct tm_buf text;
    tm_buf_init(&text, 1000);
    ck_assert_int_eq(tm_checkpoint_attachment(checkpoint,
                                              tm_inventory_attachment(inventory, "config.json"),
                                              &text, &err),
                     TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&text), "{\"model_type\": \"llama\", \"x\": 0.1}\n"));
    tm_buf_deinit(&text);
    tm_checkpoint_close(&checkpoint);
    /* The file alone is the file alone. */
    ck_assert_int_eq(tm_checkpoint_open(test_path(&dir, "model.safetensors"), &checkpoint, &err),
                     TM_OK);
    ck_assert_uint_eq(tm_checkpoint_inventory(checkpoint)->attachment_count, 0);
    ck_assert_str_eq(tm_checkpoint_inventory(checkpoint)->arch, "");
    tm_checkpoint_close(&checkpoint);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(broken_neighbours_are_named)
{
    static const struct {
        const char *name, *text, *word;
    } rows[] = {
        {"config.json", "{\"model_type\":", "config.json"},
        {"config.json", "[]", "not an object"},
        {"config.json", "{\"a\":1,\"a\":2}", "duplicate"},
        {"config.json", "version https://git-lfs.github.com/spec/v1\n", "LFS"},
        {"tokenizer.json", "version https://git-lfs.github.com/spec/v1\n", "LFS"},
        {"tokenizer.json", "{\"model\":{\"vocab\":{},\"merges\":{}}}", "tokenizer.json"},
        {"tokenizer.model", "version https://git-lfs.github.com/spec/v1\n", "tokenizer.model"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_dir dir = test_dir_make();
        struct tm_checkpoint *checkpoint = NULL;
        struct tm_err err;
        st_put(&dir, "model.safetensors", header, 4);
        test_put_text(&dir, rows[i].name, rows[i].text);
        ck_assert_int_eq(open_dir(&dir, &checkpoint, &err), TM_E_MALFORMED);
        ck_assert_says(&err, rows[i].word);
        ck_assert_says(&err, rows[i].name);
        test_dir_remove(&dir);
    }
}
END_TEST

/* A Hugging Face cache: the snapshot holds links into a folder of blobs. */
START_TEST(links)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    st_put(&dir, "blob", header, 4);
    ck_assert_int_eq(tm_dir_make(test_path(&dir, "snapshot"), 0755, &err), TM_OK);
    ck_assert_int_eq(symlink("../blob", test_path(&dir, "snapshot/model.safetensors")), 0);
    ck_assert_int_eq(tm_checkpoint_open(test_path(&dir, "snapshot"), &checkpoint, &err), TM_OK);
    ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "blob")));
    tm_checkpoint_close(&checkpoint);
    ck_assert_int_eq(unlink(test_path(&dir, "blob")), 0);
    ck_assert_int_eq(tm_checkpoint_open(test_path(&dir, "snapshot"), &checkpoint, &err),
                     TM_E_NOT_FOUND);
    ck_assert_says(&err, "model.safetensors");
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("folder");
    TCase *tcase = tcase_create("folder");
    tcase_add_test(tcase, choices);
    tcase_add_test(tcase, neighbours_are_carried);
    tcase_add_test(tcase, broken_neighbours_are_named);
    tcase_add_test(tcase, links);
    suite_add_tcase(suite, tcase);
    return suite;
}
