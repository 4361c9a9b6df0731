/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/export_figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"

static char dir[64], path[96];
static struct tm_package *package;
static struct tm_decoder *decoder;
static struct tm_export_pairs pairs;
static struct tm_err err;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/export_figures-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m.tmpk", dir);
}

static void teardown(void)
{
    tm_decoder_destroy(&decoder);
    tm_package_close(&package);
    ck_assert_int_eq(tm_dir_remove_tree(dir, NULL), TM_OK);
}

/* A package of one compressed and one kept tensor, with this text as its figures (NULL: none). */
static tm_status make(const char *figures)
{
    static const float values[4 * 32] = {1, -1, 0.5f};
    struct tensor_package tp;
    tp_begin(&tp);
    tp_weights(&tp, "w", "int.1(bits=4,group=32)", 4, 32, 4, values);
    tp_kept(&tp, "norm", TM_F32, (struct tm_shape){.rank = 1, .dim = {32}}, 1000, values);
    if (figures != NULL) {
        tp_attach(&tp, TM_PACKAGE_FIGURES, tm_view_str(figures), 1000);
    }
    tp_write(&tp, path);
    tp_end(&tp);
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    ck_assert_int_eq(tm_decoder_new(package, &decoder, &err), TM_OK);
    return tm_export_figures(package, decoder, &pairs, &err);
}

static const char *value_of(const char *key)
{
    for (size_t i = 0; pairs.pairs[i] != NULL; i += 2) {
        if (strcmp(pairs.pairs[i], key) == 0) {
            return pairs.pairs[i + 1];
        }
    }
    return "absent";
}

START_TEST(of_the_package)
{
    char id[TM_DIGEST_TEXT], bits[TM_NUM_TEXT];
    ck_assert_int_eq(make(NULL), TM_OK);
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    uint64_t bytes = 0;
    for (uint32_t c = 0; c < meta->chunk_count; c++) {
        bytes += meta->chunks[c].bytes;
    }
    ck_assert_uint_eq(pairs.count, 4);
    ck_assert_str_eq(value_of("tmill.package_id"), tm_digest_hex(tm_package_id(package), id));
    ck_assert_int_eq(strncmp(value_of("tmill.owner"), "tmpub1", 6), 0);
    ck_assert_str_eq(value_of("tmill.bits_per_weight"),
                     tm_format_f64(8.0 * (double)bytes / (4 * 32 + 32), bits));
    ck_assert_str_ne(value_of("tmill.relative_error"), "absent");
}
END_TEST

START_TEST(of_its_figures)
{
    ck_assert_int_eq(make("{\"text_sha256\":"
                          "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
                          "\"perplexity\":20.25,\"perplexity_error\":1,\"base\":{\"ratio\":1.125,"
                          "\"ratio_error\":0.01,\"kl_mean\":0.0625,\"kl_error\":0.001,"
                          "\"kl_99\":0.5,\"same_top\":0.875}}"),
                     TM_OK);
    ck_assert_uint_eq(pairs.count, 13);
    ck_assert_str_eq(value_of("tmill.perplexity"), "20.25");
    ck_assert_str_eq(value_of("tmill.perplexity_ratio"), "1.125");
    ck_assert_str_eq(value_of("tmill.kl_mean"), "0.0625");
    ck_assert_str_eq(value_of("tmill.same_top"), "0.875");
    ck_assert_uint_eq(strlen(value_of("tmill.text_sha256")), 64);
}
END_TEST

START_TEST(figures_without_a_base_and_none)
{
    ck_assert_int_eq(make("{\"perplexity\":20.25,\"text_sha256\":7}"), TM_OK);
    ck_assert_uint_eq(pairs.count, 5);
    teardown();
    setup();
    ck_assert_int_eq(make("no JSON at all"), TM_OK);
    ck_assert_uint_eq(pairs.count, 4);
}
END_TEST

START_TEST(without_memory)
{
    ck_assert_int_eq(make("{\"perplexity\":20.25}"), TM_OK);
    size_t before = tm_mem_live_blocks();
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_export_figures(package, decoder, &pairs, &err), TM_E_NOMEM);
    tm_mem_fail_at(0);
    ck_assert_uint_eq(tm_mem_live_blocks(), before);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("export_figures");
    TCase *tc = tcase_create("export_figures");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, of_the_package);
    tcase_add_test(tc, of_its_figures);
    tcase_add_test(tc, figures_without_a_base_and_none);
    tcase_add_test(tc, without_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
