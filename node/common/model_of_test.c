/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/model_of.h"

#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"
#include "tests/support/tiny_folder.h"

/* The model with everything kept as it is. */
static const char *write_package(const struct test_dir *dir, const struct tiny_model *m)
{
    struct tensor_package tp;
    const char *path = test_path(dir, "m.tmpk");
    tp_begin(&tp);
    for (size_t i = 0; i < m->count; i++) {
        const struct tiny_tensor *t = &m->tensors[i];
        float values[TINY_VOCAB * TINY_DIM * 2];
        for (size_t k = 0; k < t->elements; k++) {
            values[k] = tm_f32_from_bits(tm_get_u32(t->data + 4 * k));
        }
        tp_kept(&tp, t->name, TM_F32, t->shape, 10000, values);
    }
    tp_attach(&tp, "config.json", tm_view_str(m->config), 1000);
    tp_write(&tp, path);
    tp_end(&tp);
    return path;
}

static void same_weights(const struct tm_weights *a, const struct tm_weights *b)
{
    ck_assert_mem_eq(&a->arch, &b->arch, sizeof a->arch);
    ck_assert_mem_eq(a->embedding.data, b->embedding.data,
                     a->embedding.rows * a->embedding.row_bytes);
    for (size_t i = 0; i < TM_LINEAR_COUNT; i++) {
        const struct tm_matrix *x = &a->layers[2].linear[i], *y = &b->layers[2].linear[i];
        ck_assert_mem_eq(x->data, y->data, x->rows * x->row_bytes);
    }
}

START_TEST(packages_and_models_are_the_same)
{
    struct test_dir dir = test_dir_make();
    struct tiny_model *m = tiny_new("qwen3");
    struct tm_model folder, package;
    struct tm_err err = {0};
    tiny_write_folder(&dir, m);
    ck_assert_msg(tm_model_of(dir.path, NULL, &folder, &err) == TM_OK, "%s", err.why);
    ck_assert_ptr_nonnull(folder.tokenizer);
    const char *path = write_package(&dir, m);
    ck_assert_msg(tm_model_of(path, NULL, &package, &err) == TM_OK, "%s", err.why);
    ck_assert_ptr_null(package.tokenizer); /* it carries none */
    same_weights(&folder.weights, &package.weights);
    tm_model_deinit(&folder);
    tm_model_deinit(&package);
    tm_model_deinit(&package);
    tiny_free(m);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(what_cannot_be_loaded)
{
    struct test_dir dir = test_dir_make();
    struct tiny_model *m = tiny_new("llama");
    struct tm_model model;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_model_of(test_path(&dir, "none"), NULL, &model, &err), TM_E_NOT_FOUND);
    snprintf(m->config, sizeof m->config, "{\"model_type\": \"bert\"}");
    const char *path = write_package(&dir, m);
    ck_assert_int_eq(tm_model_of(path, NULL, &model, &err), TM_E_INCOMPATIBLE);
    ck_assert_str_eq(err.where, path);
    ck_assert_ptr_null(model.weights.layers);
    tiny_write_folder(&dir, m);
    test_put_text(&dir, "tokenizer.json", "{");
    ck_assert_int_eq(tm_model_of(dir.path, NULL, &model, &err), TM_E_MALFORMED);
    tiny_free(m);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("model_of");
    tcase_add_test(tcase, packages_and_models_are_the_same);
    tcase_add_test(tcase, what_cannot_be_loaded);
    Suite *suite = suite_create("model_of");
    suite_add_tcase(suite, tcase);
    return suite;
}
