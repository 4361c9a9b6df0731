/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

#include "tests/support/suite.h"

START_TEST(os_clock)
{
    const struct tm_clock *clock = tm_clock_os();
    uint64_t before = tm_clock_ms(clock);
    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
    uint64_t after = tm_clock_ms(clock);
    ck_assert_uint_ge(after - before, 19);
    ck_assert_uint_lt(after - before, 60000);
    int64_t wall = tm_clock_wall_s(clock);
    int64_t reference = (int64_t)time(NULL);
    ck_assert_int_ge(wall, reference - 2);
    ck_assert_int_le(wall, reference + 2);
}
END_TEST

START_TEST(simulated_clock)
{
    struct tm_clock_sim sim = {.now_ms = 5, .wall_s = -7};
    struct tm_clock clock = tm_clock_of_sim(&sim);
    ck_assert_uint_eq(tm_clock_ms(&clock), 5);
    ck_assert_int_eq(tm_clock_wall_s(&clock), -7);
    sim.now_ms = UINT64_MAX;
    sim.wall_s = 1;
    ck_assert_uint_eq(tm_clock_ms(&clock), UINT64_MAX);
    ck_assert_int_eq(tm_clock_wall_s(&clock), 1);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("clock");
    TCase *tc = tcase_create("clock");
    tcase_add_test(tc, os_clock);
    tcase_add_test(tc, simulated_clock);
    suite_add_tcase(suite, tc);
    return suite;
}
