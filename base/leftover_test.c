/* SPDX-License-Identifier: Apache-2.0 */
#include "base/leftover.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/suite.h"

static char dir[64];
static struct tm_err err;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/leftover_test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    ck_assert_int_eq(tm_dir_remove_tree(dir, &err), TM_OK);
}

static const char *in_dir(const char *name)
{
    static char path[4][200];
    static unsigned next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", dir, name);
    return out;
}

static void put(const char *name)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static bool there(const char *name)
{
    struct stat st;
    return lstat(in_dir(name), &st) == 0;
}

static const char *const FOREIGN[] = {"a",
                                      "a.tmp-",
                                      "a.tmp-abc12",
                                      "a.tmp-abc1234",
                                      "a.tmp-ABC123",
                                      "a.tmp-abc12.",
                                      "a.tmp_abc123",
                                      ".tmp-abc123",
                                      "a.tmp-abc123.gguf"};
#define FOREIGN_COUNT (sizeof FOREIGN / sizeof FOREIGN[0])

static void check_foreign(void)
{
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        ck_assert_msg(there(FOREIGN[i]), "%s", FOREIGN[i]);
    }
}

START_TEST(test_names)
{
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        put(FOREIGN[i]);
    }
    put("a.tmp-abc123");
    put("a.tmp-000000");
    put("b.tmp-abc123");
    put("aa.tmp-abc123");
    ck_assert_int_eq(mkdir(in_dir("a.tmp-folder"), 0700), 0);
    ck_assert_int_eq(symlink("a", in_dir("a.tmp-link00")), 0);
    ck_assert_int_eq(mkfifo(in_dir("a.tmp-fifo00"), 0600), 0);
    tm_leftover_remove(in_dir("a"));
    check_foreign();
    ck_assert(!there("a.tmp-abc123") && !there("a.tmp-000000"));
    ck_assert(there("b.tmp-abc123") && there("aa.tmp-abc123"));
    tm_leftover_remove_all(dir);
    check_foreign();
    ck_assert(!there("b.tmp-abc123") && !there("aa.tmp-abc123"));
    ck_assert(there("a.tmp-folder") && there("a.tmp-link00") && there("a.tmp-fifo00"));
    tm_leftover_remove(in_dir("no/such/folder"));
    tm_leftover_remove_all(in_dir("nothing"));
}
END_TEST

/* The folder's entries. */
static size_t count(void)
{
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(dir, &list, &err), TM_OK);
    size_t n = list.count;
    tm_dir_list_free(&list);
    return n;
}

START_TEST(test_living_and_killed_writers)
{
    struct tm_file_out *file;
    int status;
    ck_assert_int_eq(tm_file_out_begin(in_dir("a"), 0600, &file, &err), TM_OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct tm_file_out *other;
        _exit(tm_file_out_begin(in_dir("a"), 0600, &other, &err) == TM_OK ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(count(), 2);
    tm_leftover_remove(in_dir("a"));
    ck_assert_uint_eq(count(), 1);
    ck_assert_int_eq(tm_file_out_write(file, "x", 1, &err), TM_OK);
    ck_assert_int_eq(tm_file_out_commit(&file, &err), TM_OK);
    ck_assert(there("a"));
    ck_assert_uint_eq(count(), 1);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("leftover");
    TCase *tc = tcase_create("leftover");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_living_and_killed_writers);
    suite_add_tcase(suite, tc);
    return suite;
}
