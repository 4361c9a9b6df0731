/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/kernel_check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cpu.h"
#include "tests/support/suite.h"

static const uint16_t reference[] = {1, 2, 3, 4};

/* Runs the comparison in a child; its exit status in *status, what it said on stderr in text. */
static void compare_in_child(const struct tm_kernel_outputs *outputs, int *status, char text[256])
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        tm_kernel_compare(outputs);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t got = 1; got > 0 && used < 255; used += (size_t)got) {
        got = read(ends[0], text + used, 255 - used);
        ck_assert_int_ge(got, 0);
    }
    text[used] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, status, 0), child);
}

START_TEST(equal_outputs_pass)
{
    int status;
    char text[256];
    const struct tm_kernel_outputs same = {"f", reference, reference, 0, 4, 2};
    compare_in_child(&same, &status, text);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_str_eq(text, "");
    tm_kernel_compare(&(struct tm_kernel_outputs){"f", NULL, NULL, 0, 0, 2});
}
END_TEST

/* The last element counts, and nothing behind it. */
START_TEST(a_difference_is_named)
{
    static const uint8_t kernel[] = {1, 2, 3, 4, 5}, other[] = {1, 2, 3, 9, 8};
    int status;
    char text[256], want[256];
    ck_assert_int_eq(tm_kernel_force(TM_KERNEL_REF), TM_OK);
    const struct tm_kernel_outputs short_of_it = {"f", kernel, other, 0, 3, 1};
    compare_in_child(&short_of_it, &status, text);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    const struct tm_kernel_outputs with_it = {"f", kernel, other, 64, 2, 2};
    compare_in_child(&with_it, &status, text);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    snprintf(want, sizeof want,
             "kernel ref of f: element 65 is 03 04, the reference gives 03 09\n");
    text[strcspn(text, "\n") + 1] = '\0'; /* an emulator has words of its own for an abort */
    ck_assert_str_eq(text, want);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("kernel_check");
    TCase *tc = tcase_create("kernel_check");
    tcase_add_test(tc, equal_outputs_pass);
    tcase_add_test(tc, a_difference_is_named);
    suite_add_tcase(suite, tc);
    return suite;
}
