/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/covariance.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

#define PAIRS 37

/* The sums by their definition, from values that lie token by token. */
static int64_t product_of(const int16_t *x, uint32_t cols, uint32_t i, uint32_t j)
{
    int64_t sum = 0;
    for (size_t t = 0; t < (size_t)2 * PAIRS; t++) {
        sum += (int64_t)x[t * cols + i] * x[t * cols + j];
    }
    return sum;
}

static int16_t *values_of(uint32_t cols, int64_t most)
{
    struct tm_rng rng;
    tm_rng_init(&rng, cols);
    int16_t *x = tm_calloc((size_t)2 * PAIRS * cols, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < (size_t)2 * PAIRS * cols; i++) {
        int64_t value = (int64_t)tm_rng_below(&rng, (uint64_t)(2 * most + 1)) - most;
        /* Now and then the largest there is: all in one column, so that 32 bits overflow. */
        x[i] = (int16_t)(i % cols == 3 ? most : value);
    }
    return x;
}

static int16_t *panels_of_values(const struct tm_cov_shape *shape, const int16_t *x, uint32_t *most)
{
    size_t panels = tm_cov_panels(shape);
    int16_t *out = tm_calloc(panels * PAIRS * 2 * TM_COV_PANEL, sizeof *out);
    ck_assert_ptr_nonnull(out);
    memset(most, 0, panels * sizeof *most);
    for (uint32_t c = 0; c < shape->cols; c++) {
        for (size_t t = 0; t < (size_t)2 * PAIRS; t++) {
            size_t panel = c / TM_COV_PANEL, value = (size_t)abs(x[t * shape->cols + c]);
            out[((panel * PAIRS + t / 2) * TM_COV_PANEL + c % TM_COV_PANEL) * 2 + t % 2] =
                x[t * shape->cols + c];
            most[panel] = value > most[panel] ? (uint32_t)value : most[panel];
        }
    }
    return out;
}

static void check_sums(uint32_t cols, uint32_t width_max, int64_t most_value, size_t threads)
{
    struct tm_cov_shape shape = tm_cov_shape_of(cols, width_max);
    uint32_t most[16];
    int16_t *x = values_of(cols, most_value), *panels = panels_of_values(&shape, x, most);
    int64_t *sums = tm_calloc(tm_cov_values(&shape), sizeof *sums);
    struct tm_team *team = NULL;
    ck_assert_ptr_nonnull(sums);
    ck_assert_int_eq(tm_team_new(threads, 1, &team), TM_OK);
    struct tm_cov_batch batch = {&shape, PAIRS, panels, most};
    tm_cov_add(team, &batch, sums);
    tm_cov_add(team, &batch, sums);
    for (uint32_t b = 0; b < tm_cov_blocks(&shape); b++) {
        uint32_t first = tm_cov_block_first(&shape, b), end = first + tm_cov_block_cols(&shape, b);
        for (uint32_t i = first; i < end; i++) {
            for (uint32_t j = i; j < end; j++) {
                ck_assert_int_eq(*tm_cov_at(&shape, sums, i, j), 2 * product_of(x, cols, i, j));
            }
        }
    }
    tm_team_destroy(&team);
    tm_free(x);
    tm_free(panels);
    tm_free(sums);
}

START_TEST(sums_are_exact_with_every_kernel)
{
    FOR_EACH_KERNEL(kernel)
    {
        for (int64_t most = 1; most <= TM_COV_VALUE_MAX; most = most * 181 + 6) {
            check_sums(5, 0, most, 1);
            check_sums(64, 0, most, 2);
            check_sums(99, 40, most, 3);
        }
        check_sums(99, 16, TM_COV_VALUE_MAX, 2);
        check_sums(33, 0, TM_COV_VALUE_MAX, 2);
    }
}
END_TEST

START_TEST(shapes)
{
    struct tm_cov_shape one = tm_cov_shape_of(576, 4096), cut = tm_cov_shape_of(8960, 4096);
    ck_assert_uint_eq(one.width, 576);
    ck_assert_uint_eq(tm_cov_blocks(&one), 1);
    ck_assert_uint_eq(tm_cov_values(&one), (size_t)36 * 37 / 2 * 256);
    ck_assert_uint_eq(tm_cov_blocks(&cut), 3);
    ck_assert_uint_eq(cut.width, 2992);
    ck_assert_uint_eq(tm_cov_block_first(&cut, 2), 5984);
    ck_assert_uint_eq(tm_cov_block_cols(&cut, 2), 2976);
    struct tm_cov_shape narrow = tm_cov_shape_of(40, 1);
    ck_assert_uint_eq(narrow.width, 16);
    ck_assert_uint_eq(tm_cov_blocks(&narrow), 3);
    ck_assert_uint_eq(tm_cov_block_cols(&narrow, 2), 8);
}
END_TEST

START_TEST(how_much_32_bits_hold)
{
    const uint32_t most = TM_COV_VALUE_MAX * TM_COV_VALUE_MAX;
    ck_assert_uint_eq(tm_cov_pairs_at_once(most), 1);
    ck_assert_uint_eq(tm_cov_pairs_at_once(1u << 24), 63);
    ck_assert_uint_ge(tm_cov_pairs_at_once(0), 1u << 30);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("covariance");
    TCase *tcase = tcase_create("covariance");
    tcase_add_test(tcase, sums_are_exact_with_every_kernel);
    tcase_add_test(tcase, shapes);
    tcase_add_test(tcase, how_much_32_bits_hold);
    suite_add_tcase(suite, tcase);
    return suite;
}
