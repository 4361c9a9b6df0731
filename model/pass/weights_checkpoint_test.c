/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights_checkpoint.h"

#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

START_TEST(a_folder_is_the_model_in_it)
{
    struct test_dir dir = test_dir_make();
    struct tiny_model *m = tiny_new("qwen2");
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_weights file, memory;
    struct tm_err err = {0};
    tiny_write_folder(&dir, m);
    ck_assert_msg(tm_checkpoint_open(dir.path, &checkpoint, &err) == TM_OK, "%s", err.why);
    struct tm_weights_source source = tm_weights_of_checkpoint(checkpoint);
    ck_assert_uint_eq(source.tensor_count, m->count);
    ck_assert_msg(tm_weights_load(&source, &file, &err) == TM_OK, "%s", err.why);
    ck_assert_int_eq(tm_weights_load(&m->source, &memory, &err), TM_OK);
    ck_assert_mem_eq(&file.arch, &memory.arch, sizeof file.arch);
    ck_assert_uint_eq(file.bytes, memory.bytes);
    for (size_t i = 0; i < TM_LINEAR_COUNT; i++) {
        const struct tm_matrix *a = &file.layers[1].linear[i], *b = &memory.layers[1].linear[i];
        ck_assert_mem_eq(a->data, b->data, a->rows * a->row_bytes);
    }
    ck_assert_mem_eq(file.layers[2].bias[TM_LINEAR_K], memory.layers[2].bias[TM_LINEAR_K],
                     TINY_KV_HEADS * TINY_HEAD_DIM * sizeof(float));
    tm_weights_deinit(&file);
    tm_weights_deinit(&memory);
    tm_checkpoint_close(&checkpoint);
    tiny_free(m);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(weights_without_a_configuration)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_arch arch;
    struct tm_err err = {0};
    const char *path =
        st_put(&dir, "w.safetensors",
               "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
    struct tm_weights_source source = tm_weights_of_checkpoint(checkpoint);
    ck_assert_int_eq(tm_weights_arch(&source, &arch, &err), TM_E_INCOMPATIBLE);
    ck_assert_str_eq(err.where, path);
    tm_checkpoint_close(&checkpoint);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("weights_checkpoint");
    tcase_add_test(tcase, a_folder_is_the_model_in_it);
    tcase_add_test(tcase, weights_without_a_configuration);
    Suite *suite = suite_create("weights_checkpoint");
    suite_add_tcase(suite, tcase);
    return suite;
}
