/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/map.h"

#include <math.h>
#include <string.h>

#include "tests/support/report_sample.h"
#include "tests/support/suite.h"

static struct tm_report report;
static struct tm_map map;

static void setup(void)
{
    report_sample(&report);
}

static void teardown(void)
{
    tm_map_deinit(&map);
    tm_report_deinit(&report);
}

START_TEST(rows_are_layers_and_columns_kinds)
{
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    ck_assert_uint_eq(map.layer_count, 3);
    ck_assert_int_eq(map.layers[0], -1);
    ck_assert_int_eq(map.layers[1], 0);
    ck_assert_int_eq(map.layers[2], 7);
    ck_assert_uint_eq(map.kind_count, 4);
    ck_assert_int_eq(map.kinds[0], TM_KIND_EMBED);
    ck_assert_int_eq(map.kinds[3], TM_KIND_NORM);
    ck_assert_uint_eq(tm_map_cell(&map, 0, 0)->tensors, 1);
    ck_assert_uint_eq(tm_map_cell(&map, 0, 1)->tensors, 0);
    ck_assert_double_eq_tol(tm_map_cell(&map, 2, 1)->error, 0.14, 1e-12);
    ck_assert_uint_eq(tm_map_cell(&map, 2, 3)->lossy, 0);
}
END_TEST

START_TEST(steps_are_equal)
{
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    ck_assert_double_eq_tol(map.lowest, 0.1, 1e-12);
    ck_assert_double_eq_tol(map.highest, 0.5, 1e-12);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 0, 0)), 1);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 1, 1)), 2); /* 0.18: from 0.15 on */
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 2, 1)), 1);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 1, 2)), TM_MAP_STEPS);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 1, 3)), 0);
    ck_assert_double_eq_tol(tm_map_step_top(&map, 1), 0.15, 1e-12);
    ck_assert_double_eq_tol(tm_map_step_top(&map, TM_MAP_STEPS), 0.5, 1e-12);
}
END_TEST

START_TEST(tensors_of_one_cell_add_up)
{
    report.tensors[4].layer = 0; /* l.7.q beside l.0.q */
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    const struct tm_map_cell *cell = tm_map_cell(&map, 1, 1);
    ck_assert_uint_eq(cell->tensors, 2);
    ck_assert_uint_eq(cell->weights, 12800);
    ck_assert_double_eq_tol(cell->error, sqrt((0.18 * 0.18 + 0.14 * 0.14) / 2), 1e-12);
}
END_TEST

START_TEST(figures_that_are_none)
{
    report.tensors[2].squared_error = (double)NAN;
    report.tensors[1].squared_sum = 0;
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    ck_assert_double_eq_tol(map.highest, 0.14, 1e-12);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 1, 2)), TM_MAP_STEPS);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 1, 1)), TM_MAP_STEPS);
}
END_TEST

START_TEST(one_error_is_the_lowest_step)
{
    report.tensors[0].lossless = report.tensors[1].lossless = report.tensors[2].lossless = true;
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    ck_assert_uint_eq(tm_map_step(&map, tm_map_cell(&map, 2, 1)), 1);
}
END_TEST

START_TEST(without_tensors_and_without_memory)
{
    for (uint64_t n = 1; n <= 2; n++) {
        size_t before = tm_mem_live_blocks();
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_map_of(&report, &map), TM_E_NOMEM);
        tm_mem_fail_at(0);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    tm_report_deinit(&report);
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    ck_assert_uint_eq(map.layer_count + map.kind_count, 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("map");
    TCase *tc = tcase_create("map");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rows_are_layers_and_columns_kinds);
    tcase_add_test(tc, steps_are_equal);
    tcase_add_test(tc, tensors_of_one_cell_add_up);
    tcase_add_test(tc, figures_that_are_none);
    tcase_add_test(tc, one_error_is_the_lowest_step);
    tcase_add_test(tc, without_tensors_and_without_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
