/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/suite.h"

START_TEST(names_and_support)
{
    ck_assert_str_eq(tm_kernel_name(TM_KERNEL_REF), "ref");
    ck_assert_str_eq(tm_kernel_name(TM_KERNEL_AVX2), "avx2");
    ck_assert_str_eq(tm_kernel_name(TM_KERNEL_NEON), "neon");
    ck_assert(tm_kernel_supported(TM_KERNEL_REF));
    ck_assert(!tm_kernel_supported(TM_KERNEL_COUNT));
    ck_assert(!(tm_kernel_supported(TM_KERNEL_AVX2) && tm_kernel_supported(TM_KERNEL_NEON)));
    ck_assert(tm_kernel_supported(tm_kernel_current()));
}
END_TEST

#if defined(__x86_64__)
/* What the kernel lists in /proc/cpuinfo is what the OS lets programs use. */
START_TEST(avx2_as_the_system_says)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    ck_assert_ptr_nonnull(f);
    char line[8192];
    bool avx2 = false;
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "flags", 5) == 0) {
            line[strcspn(line, "\n")] = ' ';
            avx2 = strstr(line, " avx2 ") != NULL && strstr(line, " fma ") != NULL &&
                   strstr(line, " f16c ") != NULL;
            break;
        }
    }
    fclose(f);
    ck_assert_int_eq(tm_kernel_supported(TM_KERNEL_AVX2), avx2);
}
END_TEST
#endif

START_TEST(forcing)
{
    for (int k = 0; k < TM_KERNEL_COUNT; k++) {
        enum tm_kernel kernel = (enum tm_kernel)k;
        enum tm_kernel before = tm_kernel_current();
        if (tm_kernel_supported(kernel)) {
            ck_assert_int_eq(tm_kernel_force(kernel), TM_OK);
            ck_assert_int_eq(tm_kernel_current(), kernel);
        } else {
            ck_assert_int_eq(tm_kernel_force(kernel), TM_E_USAGE);
            ck_assert_int_eq(tm_kernel_current(), before);
        }
    }
}
END_TEST

START_TEST(environment)
{
    struct tm_err err;
    char line[512];
    enum tm_kernel best = tm_kernel_current();
    unsetenv("TMILL_KERNEL");
    ck_assert_int_eq(tm_kernel_init_from_env(&err), TM_OK);
    setenv("TMILL_KERNEL", "", 1);
    ck_assert_int_eq(tm_kernel_init_from_env(&err), TM_OK);
    ck_assert_int_eq(tm_kernel_current(), best);
    setenv("TMILL_KERNEL", "ref", 1);
    ck_assert_int_eq(tm_kernel_init_from_env(&err), TM_OK);
    ck_assert_int_eq(tm_kernel_current(), TM_KERNEL_REF);
    setenv("TMILL_KERNEL", "avx9", 1);
    ck_assert_int_eq(tm_kernel_init_from_env(&err), TM_E_USAGE);
    tm_err_line(&err, line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "there is no kernel 'avx9'; supported here: ref"));
    bool x86 = tm_kernel_supported(TM_KERNEL_AVX2);
    setenv("TMILL_KERNEL", x86 ? "neon" : "avx2", 1);
    ck_assert_int_eq(tm_kernel_init_from_env(&err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "does not support"));
    ck_assert_int_eq(tm_kernel_current(), TM_KERNEL_REF);
}
END_TEST

START_TEST(resources)
{
    unsigned all = tm_cpu_count();
    ck_assert_uint_ge(all, 1);
    ck_assert_uint_le(all, (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    int first = 0;
    while (!CPU_ISSET(first, &set)) {
        first++;
    }
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
    ck_assert_uint_eq(tm_cpu_count(), 1);
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    ck_assert_uint_gt(tm_memory_bytes(), (uint64_t)16 << 20);
    ck_assert_uint_le(tm_memory_bytes(), physical);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("cpu");
    TCase *tc = tcase_create("cpu");
    tcase_add_test(tc, names_and_support);
#if defined(__x86_64__)
    tcase_add_test(tc, avx2_as_the_system_says);
#endif
    tcase_add_test(tc, forcing);
    tcase_add_test(tc, environment);
    tcase_add_test(tc, resources);
    suite_add_tcase(suite, tc);
    return suite;
}
