/* SPDX-License-Identifier: Apache-2.0
 * Signals that interrupt: a timer fires again and again while a call waits for a child. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/support/suite.h"

#define TICK_US 2000
#define TICKS 10

static volatile sig_atomic_t ticks;
static char folder[] = "/tmp/tm-os-XXXXXX";
static char path[64];

static void on_tick(int number)
{
    (void)number;
    ticks++;
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/tm-os-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_tick; /* no SA_RESTART: calls are interrupted */
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ticks = 0;
}

static void teardown(void)
{
    struct itimerval off = {0};
    setitimer(ITIMER_REAL, &off, NULL);
    unlink(path);
    rmdir(folder);
}

static void start_ticks(void)
{
    struct itimerval every = {.it_interval = {0, TICK_US}, .it_value = {0, TICK_US}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
}

/* In the child: long enough for the parent to be interrupted some times. */
static void linger(void)
{
    for (int i = 0; i < TICKS; i++) {
        usleep(TICK_US);
    }
}

START_TEST(open_waits_for_a_fifo_through_signals)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    pid_t child = fork();
    if (child == 0) {
        linger();
        _exit(open(path, O_WRONLY) >= 0 ? 0 : 1);
    }
    start_ticks();
    int fd = tm_os_open(path, O_RDONLY, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(ticks, 0);
    ck_assert_int_eq(tm_os_close(fd), 0);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}
END_TEST

START_TEST(flock_waits_through_signals)
{
    int pipes[2];
    char byte = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    int fd = tm_os_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    pid_t child = fork();
    if (child == 0) {
        int own = open(path, O_RDWR);
        if (own < 0 || flock(own, LOCK_EX) != 0 || write(pipes[1], "x", 1) != 1) {
            _exit(1);
        }
        linger();
        _exit(0);
    }
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1); /* the child holds it */
    start_ticks();
    ck_assert_int_eq(tm_os_flock(fd, LOCK_EX), 0);
    ck_assert_int_gt(ticks, 0);
    ck_assert_int_eq(tm_os_fsync(fd), 0);
    ck_assert_int_eq(tm_os_close(fd), 0);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

START_TEST(errors_are_errors)
{
    ck_assert_int_eq(tm_os_open(path, O_RDONLY, 0), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(tm_os_openat(AT_FDCWD, path, O_RDONLY, 0), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(tm_os_flock(-1, LOCK_EX), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(tm_os_fsync(-1), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(tm_os_close(-1), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("os");
    TCase *tests = tcase_create("os");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, open_waits_for_a_fifo_through_signals);
    tcase_add_test(tests, flock_waits_through_signals);
    tcase_add_test(tests, errors_are_errors);
    suite_add_tcase(suite, tests);
    return suite;
}
