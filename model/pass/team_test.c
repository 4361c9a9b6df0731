/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/team.h"

#include <stdatomic.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "tests/support/suite.h"

#define COUNT 100

struct seen {
    size_t times[COUNT];
    atomic_size_t threads[4]; /* pieces that each did */
    struct tm_team *team;
};

static void mark(void *context, size_t index, size_t thread)
{
    struct seen *seen = context;
    seen->times[index]++;
    atomic_fetch_add(&seen->threads[thread], 1);
    tm_team_room(seen->team, thread)[0] = (float)index;
    for (volatile int i = 0; i < 300; i++) {
    }
}

START_TEST(every_index_once)
{
    for (size_t threads = 1; threads <= 4; threads++) {
        struct seen seen = {.team = NULL};
        ck_assert_int_eq(tm_team_new(threads, 3, &seen.team), TM_OK);
        ck_assert_uint_eq(tm_team_threads(seen.team), threads);
        ck_assert_uint_eq(tm_team_room_floats(seen.team), 16);
        /* On a busy machine the others may be late; once they must come. */
        size_t runs = 0, at_work = 0, wanted = threads > 1 ? 2 : 1;
        for (; runs < 500 || at_work < wanted; runs++) {
            tm_team_run(seen.team, COUNT, UINT64_MAX, mark, &seen);
            at_work = 0;
            for (size_t i = 0; i < 4; i++) {
                at_work += seen.threads[i] > 0;
            }
        }
        size_t sum = 0;
        for (size_t i = 0; i < COUNT; i++) {
            ck_assert_uint_eq(seen.times[i], runs);
        }
        for (size_t i = 0; i < 4; i++) {
            ck_assert(seen.threads[i] == 0 || i < threads);
            sum += seen.threads[i];
        }
        ck_assert_uint_eq(sum, runs * COUNT);
        tm_team_destroy(&seen.team);
        ck_assert_ptr_null(seen.team);
    }
}
END_TEST

START_TEST(little_work_stays_with_the_caller)
{
    struct seen seen = {.team = NULL};
    ck_assert_int_eq(tm_team_new(3, 0, &seen.team), TM_OK);
    for (size_t i = 0; i < 100; i++) {
        tm_team_run(seen.team, COUNT, 100, mark, &seen);
        tm_team_run(seen.team, 1, UINT64_MAX, mark, &seen);
        tm_team_run(seen.team, 0, UINT64_MAX, mark, &seen);
    }
    ck_assert_uint_eq(seen.threads[0], 100 * (COUNT + 1));
    tm_team_destroy(&seen.team);
}
END_TEST

START_TEST(sizes_and_memory)
{
    struct tm_team *team = NULL;
    ck_assert_uint_eq(tm_team_wanted(0), tm_cpu_count());
    ck_assert_uint_eq(tm_team_wanted(3), 3);
    ck_assert_uint_eq(tm_team_wanted(100000), 256);
    for (uint64_t n = 1; n <= 3; n++) {
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_team_new(2, 8, &team), TM_E_NOMEM);
        tm_mem_fail_at(0);
        ck_assert_ptr_null(team);
    }
    tm_team_destroy(&team);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("team");
    tcase_add_test(tcase, every_index_once);
    tcase_add_test(tcase, little_work_stays_with_the_caller);
    tcase_add_test(tcase, sizes_and_memory);
    Suite *suite = suite_create("team");
    suite_add_tcase(suite, tcase);
    return suite;
}
