/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static char folder[64];
static char path[TM_PATH_MAX];

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/file_test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(tm_dir_remove_tree(folder, NULL), TM_OK);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static const char *in(const char *name)
{
    ck_assert_int_eq(tm_path_join(path, folder, name), TM_OK);
    return path;
}

static void put(const char *name, const char *text)
{
    ck_assert_int_eq(tm_file_write_atomic(in(name), 0644, tm_view_str(text), NULL), TM_OK);
}

/* The file holds exactly the text. */
static bool holds(const char *name, const char *text)
{
    struct tm_buf data;
    tm_buf_init(&data, 1000);
    bool same =
        tm_file_read(in(name), &data, NULL) == TM_OK && tm_view_eq_str(tm_buf_view(&data), text);
    tm_buf_deinit(&data);
    return same;
}

static size_t entries(void)
{
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(folder, &list, NULL), TM_OK);
    size_t count = list.count;
    tm_dir_list_free(&list);
    return count;
}

/* ---- reading ---- */

START_TEST(read_whole)
{
    struct tm_buf data;
    struct tm_err err;
    put("f", "12345");
    put("empty", "");
    tm_buf_init(&data, 8);
    ck_assert_int_eq(tm_file_read(in("f"), &data, &err), TM_OK);
    ck_assert_int_eq(tm_file_read(in("f"), &data, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.why, "it has 5 bytes, at most 3 are allowed here");
    ck_assert_str_eq(err.where, path);
    ck_assert_int_eq(tm_file_read(in("empty"), &data, &err), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&data), "12345"));
    tm_buf_deinit(&data);
}
END_TEST

START_TEST(read_at)
{
    struct tm_file_in *file = NULL;
    struct tm_err err;
    char out[8] = "";
    put("f", "0123456789");
    ck_assert_int_eq(tm_file_open(in("f"), &file, &err), TM_OK);
    ck_assert_uint_eq(tm_file_bytes(file), 10);
    ck_assert_str_eq(tm_file_path(file), path);
    ck_assert_int_eq(tm_file_read_at(file, 7, out, 3, &err), TM_OK);
    ck_assert_mem_eq(out, "789", 3);
    ck_assert_int_eq(tm_file_read_at(file, 10, out, 0, &err), TM_OK);
    ck_assert_int_eq(tm_file_read_at(file, 8, out, 3, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "3 bytes at byte 8 pass the end of the file at 10");
    ck_assert_int_eq(tm_file_read_at(file, UINT64_MAX, out, 3, &err), TM_E_MALFORMED);
    ck_assert_int_eq(truncate(path, 4), 0);
    ck_assert_int_eq(tm_file_read_at(file, 2, out, 4, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "it shrank from 10 to 4 bytes since it was opened");
    tm_file_close(&file);
    tm_file_close(&file);
}
END_TEST

/* None of these may wait or be read. */
START_TEST(only_regular_files)
{
    struct tm_file_in *file = NULL;
    struct tm_err err;
    ck_assert_int_eq(mkfifo(in("pipe"), 0644), 0);
    ck_assert_int_eq(tm_file_open(path, &file, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "it is a named pipe, not a regular file");
    ck_assert_int_eq(tm_file_open(folder, &file, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "it is a folder, not a regular file");
    ck_assert_int_eq(tm_file_open("/dev/zero", &file, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "it is a device, not a regular file");
    ck_assert_int_eq(tm_file_open(in("none"), &file, &err), TM_E_NOT_FOUND);
    char line[TM_PATH_MAX];
    char wanted[TM_PATH_MAX + 100];
    snprintf(wanted, sizeof wanted,
             "%s: cannot open for reading: no such file or folder; check the path", path);
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line), wanted);
    put("file", "");
    ck_assert_int_eq(tm_file_open(in("file/x"), &file, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_file_open("", &file, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_null(file);
}
END_TEST

/* ---- writing ---- */

START_TEST(appears_whole_at_commit)
{
    struct tm_file_out *file = NULL;
    struct tm_err err;
    struct stat st;
    char temp[TM_PATH_MAX];
    umask(022);
    put("f", "old");
    ck_assert_int_eq(tm_file_out_begin(in("f"), 0600, &file, &err), TM_OK);
    ck_assert_int_eq(tm_file_out_write(file, "....56", 6, &err), TM_OK);
    ck_assert_int_eq(tm_file_out_write_at(file, 0, "1234", 4, &err), TM_OK);
    ck_assert_int_eq(tm_file_out_write(file, NULL, 0, &err), TM_OK);
    ck_assert_int_eq(tm_file_out_write(file, "78", 2, &err), TM_OK);
    ck_assert_uint_eq(tm_file_out_at(file), 8);
    ck_assert_int_eq(tm_file_out_temp(file, temp), TM_OK);
    ck_assert_int_eq(strncmp(temp, in("f.tmp-"), strlen(in("f.tmp-"))), 0);
    ck_assert(holds(tm_path_base(temp), "12345678"));
    ck_assert(holds("f", "old"));
    ck_assert_uint_eq(entries(), 2);
    ck_assert_int_eq(tm_file_out_commit(&file, &err), TM_OK);
    ck_assert_ptr_null(file);
    ck_assert(holds("f", "12345678"));
    ck_assert_uint_eq(entries(), 1);
    ck_assert(stat(in("f"), &st) == 0 && (st.st_mode & 0777) == 0600);
}
END_TEST

START_TEST(abort_leaves_nothing)
{
    struct tm_file_out *file = NULL;
    put("f", "old");
    ck_assert_int_eq(tm_file_out_begin(in("f"), 0644, &file, NULL), TM_OK);
    ck_assert_int_eq(tm_file_out_write(file, "new", 3, NULL), TM_OK);
    tm_file_out_abort(&file);
    tm_file_out_abort(&file);
    ck_assert(holds("f", "old"));
    ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(targets_refused)
{
    struct tm_file_out *file = NULL;
    struct tm_err err;
    put("real", "old");
    ck_assert_int_eq(symlink("real", in("link")), 0);
    ck_assert_int_eq(tm_file_out_begin(path, 0644, &file, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "it is a symbolic link, not a regular file");
    ck_assert_int_eq(symlink("none", in("dangling")), 0);
    ck_assert_int_eq(tm_file_out_begin(path, 0644, &file, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_file_out_begin(folder, 0644, &file, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "it is a folder, not a regular file");
    ck_assert_int_eq(tm_file_out_begin("/dev/null", 0644, &file, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_file_out_begin("", 0644, &file, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_file_out_begin(in("none/f"), 0644, &file, &err), TM_E_NOT_FOUND);
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(tm_file_out_begin(in(name), 0644, &file, &err), TM_E_LIMIT);
    ck_assert_ptr_null(file);
    ck_assert_uint_eq(entries(), 3);
}
END_TEST

/* The child loses root's rights first, which would override the mode. */
START_TEST(read_only_folder)
{
    put("f", "old");
    ck_assert_int_eq(chmod(folder, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        struct tm_err err = {.status = TM_OK};
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) {
            _exit(9);
        }
        tm_status status = tm_file_write_atomic(in("f"), 0644, tm_view_str("new"), &err);
        _exit(status == TM_E_IO && strcmp(err.why, "permission denied") == 0 ? 0 : 1);
    }
    int result = -1;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert_int_eq(chmod(folder, 0755), 0);
    ck_assert_int_eq(result, 0);
    ck_assert(holds("f", "old"));
    ck_assert_uint_eq(entries(), 1);
}
END_TEST

/* A file size limit stands for a full disk: at each size, the old file stays and no other remains.
 */
START_TEST(no_space_left)
{
    static char data[10000];
    struct tm_err err;
    put("f", "old");
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < sizeof data; limit += 999) {
        struct rlimit space = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &space), 0);
        tm_status status = tm_file_write_atomic(in("f"), 0644, tm_view_of(data, sizeof data), &err);
        space.rlim_cur = RLIM_INFINITY;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &space), 0);
        ck_assert_int_eq(status, TM_E_IO);
        ck_assert_int_eq(strncmp(err.why, "no space left", 13), 0);
        ck_assert_ptr_nonnull(strstr(err.hint, "choose another place"));
        ck_assert(holds("f", "old"));
        ck_assert_uint_eq(entries(), 1);
    }
}
END_TEST

START_TEST(full_device)
{
    struct tm_err err;
    ck_assert_int_eq(tm_err_set_os(&err, ENOSPC, "f", "cannot write"), TM_E_IO);
    char line[256];
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line),
                     "f: cannot write: no space left on the file system; free space or choose "
                     "another place");
    ck_assert_int_eq(tm_err_set_os(&err, EDQUOT, "f", "w"), TM_E_IO);
    ck_assert_int_eq(strncmp(err.why, "no space left", 13), 0);
    ck_assert_int_eq(tm_err_set_os(&err, ETXTBSY, "f", "w"), TM_E_IO);
    ck_assert_str_eq(err.why, "Text file busy (errno 26)");
    ck_assert_int_eq(tm_err_set_os(NULL, EROFS, "f", "w"), TM_E_IO);
}
END_TEST

START_TEST(target_becomes_a_folder)
{
    struct tm_file_out *file = NULL;
    struct tm_err err;
    ck_assert_int_eq(tm_file_out_begin(in("f"), 0644, &file, &err), TM_OK);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(tm_file_out_commit(&file, &err), TM_E_USAGE);
    ck_assert_str_eq(err.what, "cannot rename the finished file");
    ck_assert_ptr_null(file);
    ck_assert_uint_eq(entries(), 1);
}
END_TEST

/* A signal handler removes what is unfinished, up to the 64 that may be open, and nothing else. */
START_TEST(abort_all)
{
    struct tm_file_out *files[64];
    struct tm_file_out *more = NULL;
    struct tm_err err;
    char name[16];
    put("done", "kept");
    for (size_t i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        ck_assert_int_eq(tm_file_out_begin(in(name), 0644, &files[i], &err), TM_OK);
    }
    ck_assert_int_eq(tm_file_out_begin(in("more"), 0644, &more, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.why, "64 files are being written already");
    ck_assert_int_eq(tm_file_out_commit(&files[0], &err), TM_OK);
    tm_file_out_abort(&files[1]);
    ck_assert_uint_eq(entries(), 2 + 62);
    tm_file_out_abort_all();
    ck_assert_uint_eq(entries(), 2);
    ck_assert_int_eq(tm_file_out_commit(&files[2], &err), TM_E_NOT_FOUND);
    for (size_t i = 3; i < 64; i++) {
        tm_file_out_abort(&files[i]);
    }
    ck_assert_int_eq(tm_file_out_begin(in("more"), 0644, &more, &err), TM_OK);
    tm_file_out_abort(&more);
    ck_assert_uint_eq(entries(), 2);
}
END_TEST

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms = alarms + 1;
}

/* Under a storm of signals that restart nothing, every byte arrives. */
START_TEST(signals_do_not_matter)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {.it_interval = {0, 200}, .it_value = {0, 200}};
    struct itimerval never = {.it_interval = {0, 0}};
    enum { BYTES = 8 << 20 };
    struct tm_buf data;
    struct tm_buf back;
    tm_buf_init(&data, BYTES);
    tm_buf_init(&back, BYTES);
    uint8_t *at = NULL;
    ck_assert_int_eq(tm_buf_extend(&data, BYTES, &at), TM_OK);
    for (size_t i = 0; i < BYTES; i++) {
        at[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    tm_status wrote = TM_E_INTERNAL;
    tm_status read = TM_E_INTERNAL;
    for (int i = 0; i < 3; i++) {
        wrote = tm_file_write_atomic(in("f"), 0644, tm_buf_view(&data), NULL);
        tm_buf_clear(&back);
        read = tm_file_read(in("f"), &back, NULL);
    }
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    ck_assert_int_eq(wrote, TM_OK);
    ck_assert_int_eq(read, TM_OK);
    ck_assert_int_gt(alarms, 0);
    ck_assert(tm_view_eq(tm_buf_view(&data), tm_buf_view(&back)));
    tm_buf_deinit(&data);
    tm_buf_deinit(&back);
}
END_TEST

START_TEST(allocation_failures)
{
    put("f", "old");
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_err err = {.status = TM_OK};
        tm_mem_fail_at(n);
        tm_status status = tm_file_write_atomic(in("f"), 0644, tm_view_str("new"), &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_int_eq(err.status, status);
        ck_assert(holds("f", failed ? "old" : "new"));
        ck_assert_uint_eq(entries(), 1);
    }
    failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_buf data;
        struct tm_err err = {.status = TM_OK};
        tm_buf_init(&data, 100);
        tm_mem_fail_at(n);
        tm_status status = tm_file_read(in("f"), &data, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_int_eq(err.status, status);
        ck_assert_uint_eq(data.bytes, failed ? 0 : 3);
        tm_buf_deinit(&data);
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("file");
    TCase *tc = tcase_create("file");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, read_whole);
    tcase_add_test(tc, read_at);
    tcase_add_test(tc, only_regular_files);
    tcase_add_test(tc, appears_whole_at_commit);
    tcase_add_test(tc, abort_leaves_nothing);
    tcase_add_test(tc, targets_refused);
    tcase_add_test(tc, read_only_folder);
    tcase_add_test(tc, no_space_left);
    tcase_add_test(tc, full_device);
    tcase_add_test(tc, target_becomes_a_folder);
    tcase_add_test(tc, abort_all);
    tcase_add_test(tc, signals_do_not_matter);
    tcase_add_test(tc, allocation_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
