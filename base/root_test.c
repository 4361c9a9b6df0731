/* SPDX-License-Identifier: Apache-2.0 */
#include "base/root.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/lowest_fd.h"
#include "tests/support/os_fault.h"
#include "tests/support/suite.h"

/* ROOT/inside/deep, ROOT/link -> OUTSIDE, ROOT/file; OUTSIDE/secret */
static char root_dir[TM_PATH_MAX], outside[TM_PATH_MAX];
static struct tm_root *root;

static const char *below(const char *name)
{
    static _Thread_local char paths[4][TM_PATH_MAX];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    ck_assert_int_eq(tm_path_join(path, root_dir, name), TM_OK);
    return path;
}

static void set_up(void)
{
    char base[] = "/tmp/tmill-root-XXXXXX", path[TM_PATH_MAX];
    ck_assert_ptr_nonnull(mkdtemp(base));
    ck_assert_int_eq(tm_path_join(root_dir, base, "root"), TM_OK);
    ck_assert_int_eq(tm_path_join(outside, base, "outside"), TM_OK);
    ck_assert_int_eq(tm_dir_make(below("inside/deep"), 0755, NULL), TM_OK);
    ck_assert_int_eq(tm_dir_make(outside, 0755, NULL), TM_OK);
    ck_assert_int_eq(symlink(outside, below("link")), 0);
    ck_assert_int_eq(tm_path_join(path, outside, "secret"), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic(path, 0600, tm_view_str("s"), NULL), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic(below("file"), 0600, tm_view_str("f"), NULL), TM_OK);
    ck_assert_int_eq(tm_root_open(root_dir, &root, NULL), TM_OK);
}

static void tear_down(void)
{
    char base[TM_PATH_MAX];
    tm_root_force_walk(false);
    tm_root_close(&root);
    ck_assert_int_eq(tm_path_dir(base, root_dir), TM_OK);
    ck_assert_int_eq(tm_dir_remove_tree(base, NULL), TM_OK);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static int place(const char *name)
{
    struct tm_root_at at;
    int code = tm_root_at(root, below(name), &at);
    if (code == 0) {
        tm_root_at_close(&at);
    }
    return code;
}

/* Both ways of resolving give the same answers. */
START_TEST(resolving)
{
    struct tm_root_at at;
    tm_root_force_walk(_i == 1);
    ck_assert_int_eq(place("file"), 0);
    ck_assert_int_eq(place("inside/deep/new"), 0);
    ck_assert_int_eq(place("inside//deep///new"), 0);
    ck_assert_int_eq(place("link"),
                     0); /* the name itself is the caller's to open with O_NOFOLLOW */
    ck_assert_int_eq(place("link/secret"), ELOOP);
    ck_assert_int_eq(place("link/"), ELOOP);
    ck_assert_int_eq(place("none/new"), ENOENT);
    ck_assert_int_eq(place("file/new"), ENOTDIR);
    ck_assert_int_eq(place(".."), EXDEV);
    ck_assert_int_eq(place("../outside/secret"), EXDEV);
    ck_assert_int_eq(place("inside/../file"), EXDEV);
    ck_assert_int_eq(place("inside/..."), 0);
    ck_assert_int_eq(place("inside/.a"), 0);
    ck_assert_int_eq(place("inside/a."), 0);
    ck_assert_int_eq(place("inside/."), 0);
    ck_assert_int_eq(tm_root_at(root, outside, &at), EXDEV);
    ck_assert_int_eq(tm_root_at(root, "file", &at), EXDEV);
    char beside[TM_PATH_MAX];
    snprintf(beside, sizeof beside, "%.4000s-beside/x", root_dir);
    ck_assert_int_eq(tm_root_at(root, beside, &at), EXDEV);
    ck_assert_int_eq(tm_root_at(root, root_dir, &at), 0);
    ck_assert_str_eq(at.name, ".");
    tm_root_at_close(&at);
    ck_assert_int_eq(tm_root_at(NULL, "a/b", &at), 0);
    ck_assert_int_eq(at.fd, AT_FDCWD);
    ck_assert_str_eq(at.name, "a/b");
}
END_TEST

/* Each function of file.h that takes a root refuses the link and says so; nothing lands outside. */
START_TEST(functions_refuse_links)
{
    struct tm_err err;
    struct tm_file_in *in = NULL;
    struct tm_dir_list list;
    struct tm_buf text;
    struct stat st;
    char secret[TM_PATH_MAX];
    const char *path = below("link/secret");
    tm_root_force_walk(_i == 1);
    tm_buf_init(&text, 100);
    ck_assert_int_eq(tm_path_join(secret, outside, "secret"), TM_OK);
    ck_assert_int_eq(tm_file_open_in(root, path, &in, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "symbolic link"));
    ck_assert_int_eq(tm_file_read_in(root, path, &text, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_file_write_atomic_in(root, path, 0644, tm_view_str("x"), &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "symbolic link"));
    ck_assert_int_eq(tm_file_remove_in(root, path, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_dir_make_in(root, below("link/new"), 0755, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_dir_make_in(root, below("link"), 0755, &err), TM_E_USAGE);
    ck_assert_int_ne(tm_dir_list_in(root, below("link"), &list, &err), TM_OK);
    ck_assert_int_ne(tm_dir_list_in(root, below("link/x"), &list, &err), TM_OK);
    ck_assert_int_ne(tm_dir_sync_in(root, below("link"), &err), TM_OK);
    ck_assert_int_ne(tm_dir_remove_tree_in(root, below("link"), &err), TM_OK);
    ck_assert_int_ne(tm_dir_remove_tree_in(root, path, &err), TM_OK);
    ck_assert(!tm_path_exists_in(root, path));
    ck_assert(!tm_path_is_dir_in(root, below("link")));
    ck_assert(stat(secret, &st) == 0 && st.st_size == 1);
    ck_assert_int_eq(tm_file_write_atomic_in(root, below("link"), 0644, tm_view_str("x"), &err),
                     TM_E_USAGE);
    ck_assert_int_eq(symlink(secret, below("inside/to-file")), 0);
    ck_assert_int_eq(tm_file_read_in(root, below("inside/to-file"), &text, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_file_remove_in(root, below("inside/to-file"), &err), TM_OK); /* the link */
    ck_assert_int_eq(tm_dir_list(outside, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 1);
    tm_dir_list_free(&list);
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(functions_work_below)
{
    struct tm_buf text;
    struct tm_dir_list list;
    tm_root_force_walk(_i == 1);
    tm_buf_init(&text, 100);
    ck_assert_int_eq(tm_dir_make_in(root, below("inside/new"), 0755, NULL), TM_OK);
    ck_assert_int_eq(tm_dir_make_in(root, below("inside/new"), 0755, NULL), TM_OK);
    const char *path = below("inside/new/a");
    ck_assert_int_eq(tm_file_write_atomic_in(root, path, 0644, tm_view_str("one"), NULL), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic_in(root, path, 0644, tm_view_str("two"), NULL), TM_OK);
    ck_assert_int_eq(tm_file_read_in(root, path, &text, NULL), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&text), "two"));
    ck_assert(tm_path_exists_in(root, path) && tm_path_is_dir_in(root, below("inside/new")));
    ck_assert_int_eq(tm_dir_sync_in(root, root_dir, NULL), TM_OK);
    ck_assert_int_eq(tm_dir_list_in(root, root_dir, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 3);
    tm_dir_list_free(&list);
    ck_assert_int_eq(tm_file_remove_in(root, path, NULL), TM_OK);
    ck_assert_int_eq(tm_file_remove_in(root, path, NULL), TM_OK);
    ck_assert_int_eq(tm_dir_remove_tree_in(root, below("inside"), NULL), TM_OK);
    ck_assert(!tm_path_exists_in(root, below("inside")));
    tm_buf_deinit(&text);
}
END_TEST

/* A descriptor stays where it was opened: the folder that is swapped away keeps the work. */
START_TEST(root_stays)
{
    char moved[TM_PATH_MAX], late[TM_PATH_MAX];
    struct tm_dir_list list;
    snprintf(moved, sizeof moved, "%.4000s-moved", root_dir);
    ck_assert_int_eq(rename(root_dir, moved), 0);
    ck_assert_int_eq(symlink(outside, root_dir), 0);
    ck_assert_int_eq(tm_file_write_atomic_in(root, below("late"), 0644, tm_view_str("x"), NULL),
                     TM_OK);
    ck_assert_int_eq(tm_dir_list(outside, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 1);
    tm_dir_list_free(&list);
    ck_assert_int_eq(tm_path_join(late, moved, "late"), TM_OK);
    ck_assert(tm_path_exists(late));
}
END_TEST

START_TEST(not_there)
{
    struct tm_err err;
    struct tm_root *none;
    ck_assert_int_eq(tm_root_open(below("none"), &none, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(tm_root_open(below("file"), &none, &err), TM_E_NOT_FOUND);
    for (uint64_t n = 1; n <= 2; n++) {
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_root_open(root_dir, &none, &err), TM_E_NOMEM);
        tm_mem_fail_at(0);
    }
    tm_root_close(&none);
}
END_TEST

/* The text of a root may end in a slash, and then so do paths below it begin. */
START_TEST(a_root_with_a_slash_at_its_end)
{
    struct tm_root *slashed = NULL;
    struct tm_root_at at;
    char dir[TM_PATH_MAX];
    snprintf(dir, sizeof dir, "%.4000s/", root_dir);
    ck_assert_int_eq(tm_root_open(dir, &slashed, NULL), TM_OK);
    ck_assert_str_eq(tm_root_dir(slashed), dir);
    ck_assert_int_eq(tm_root_at(slashed, below("file"), &at), 0);
    ck_assert_str_eq(at.name, "file");
    tm_root_at_close(&at);
    ck_assert_int_eq(tm_root_at(slashed, root_dir, &at), EXDEV);
    tm_root_close(&slashed);
}
END_TEST

START_TEST(a_path_as_long_as_can_be)
{
    struct tm_root_at at;
    static char path[2 * TM_PATH_MAX];
    size_t dir = strlen(root_dir);
    memcpy(path, root_dir, dir);
    memset(path + dir, '/', TM_PATH_MAX);
    memset(path + dir + 1, 'x', TM_PATH_MAX - 1);
    ck_assert_int_eq(tm_root_at(root, path, &at), 0); /* 4095 bytes behind the slash */
    tm_root_at_close(&at);
    path[dir + TM_PATH_MAX] = 'x';
    ck_assert_int_eq(tm_root_at(root, path, &at), ENAMETOOLONG);
}
END_TEST

/* ---- system calls that fail ---- */

/* qemu's user mode has none, and neither have old kernels: there is nothing to fail. */
static bool has_openat2(void)
{
    return syscall(SYS_openat2, -1, NULL, NULL, (size_t)0) >= 0 || errno != ENOSYS;
}

START_TEST(a_kernel_that_is_busy_or_has_no_openat2)
{
    if (!has_openat2()) {
        return;
    }
    tm_os_fail_at(TM_OS_SYSCALL, 1, EINTR);
    ck_assert_int_eq(place("inside/new"), 0);
    tm_os_fail_at(TM_OS_SYSCALL, 1, EAGAIN);
    ck_assert_int_eq(place("inside/new"), 0);
    ck_assert(tm_os_failed(TM_OS_SYSCALL));
    tm_os_fail_from(TM_OS_SYSCALL, 1, EAGAIN);
    ck_assert_int_eq(place("inside/new"), EAGAIN);
    tm_os_fail_at(TM_OS_SYSCALL, 1, EMFILE);
    ck_assert_int_eq(place("inside/new"), EMFILE);
    tm_os_fail_from(TM_OS_SYSCALL, 1, _i == 0 ? ENOSYS : EPERM);
    ck_assert_int_eq(place("inside/new"), 0);
    ck_assert_int_eq(place("link/secret"), ELOOP);
    ck_assert_int_eq(place("file/new"), ENOTDIR);
    tm_os_fail_at(TM_OS_SYSCALL, 1, ENOENT);
    ck_assert_int_eq(place("inside/new"), 0);
    ck_assert(!tm_os_failed(TM_OS_SYSCALL)); /* it is not asked for again */
    tm_os_fail_at(TM_OS_SYSCALL, 0, 0);
}
END_TEST

START_TEST(a_walk_that_fails)
{
    tm_root_force_walk(true);
    tm_os_fail_at(TM_OS_FCNTL, 1, EMFILE);
    ck_assert_int_eq(place("inside/new"), EMFILE);
    tm_os_fail_at(TM_OS_OPENAT, 2, EACCES);
    ck_assert_int_eq(place("inside/deep/new"), EACCES);
    tm_os_fail_at(TM_OS_FSTATAT, 1, EIO); /* what it is cannot be told: what open said stays */
    ck_assert_int_eq(place("link/secret"), ENOTDIR);
}
END_TEST

/* errno before a call that does not fail means nothing. */
START_TEST(descriptor_zero_is_one_like_any_other)
{
    static const int old[] = {0, EAGAIN, ENOSYS};
    struct tm_root *other = NULL;
    tm_root_force_walk(_i == 1);
    close_stdin();
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        errno = old[i];
        ck_assert_int_eq(place("inside/deep/new"), 0);
        nothing_in_its_place();
    }
    ck_assert_int_eq(place("file/new"), ENOTDIR);
    nothing_in_its_place();
    ck_assert_int_eq(place("new"), 0);
    nothing_in_its_place();
    ck_assert_int_eq(tm_root_open(root_dir, &other, NULL), TM_OK);
    tm_root_close(&other);
    nothing_in_its_place();
}
END_TEST

START_TEST(functions_say_what_failed)
{
    struct tm_err err;
    ck_assert_int_eq(tm_dir_make_in(root, below("file"), 0755, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.why, "a part of the path is not a folder");
    tm_os_fail_at(TM_OS_FSTATAT, 1, EIO);
    ck_assert_int_eq(tm_dir_make_in(root, below("inside"), 0755, &err), TM_E_IO);
    ck_assert_str_eq(err.what, "cannot make the folder");
    ck_assert_int_eq(tm_dir_make_in(root, below("none/new"), 0755, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_dir_sync_in(root, below("link/x"), &err), TM_E_USAGE);
    ck_assert_str_eq(err.what, "cannot sync the folder to disk");
    ck_assert(!tm_path_is_dir_in(root, below("file")));
    tm_os_fail_at(TM_OS_UNLINKAT, 1, EIO);
    ck_assert_int_eq(tm_dir_remove_tree_in(root, below("inside"), &err), TM_E_IO);
}
END_TEST

/* Somebody swaps a folder for a link to outside as fast as possible. */
static atomic_bool stop;

static void *swapper(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        (void)renameat2(AT_FDCWD, below("inside"), AT_FDCWD, below("link"), RENAME_EXCHANGE);
    }
    return NULL;
}

#define RACES 10000

START_TEST(races)
{
    char names[2][TM_PATH_MAX], deep[TM_PATH_MAX];
    struct tm_dir_list list;
    struct tm_buf text;
    unsigned written = 0, refused = 0;
    pthread_t thread;
    tm_root_force_walk(_i == 1);
    tm_buf_init(&text, 100);
    snprintf(names[0], sizeof names[0], "%.4000s/inside/deep/new", root_dir);
    snprintf(names[1], sizeof names[1], "%.4000s/inside/secret", root_dir);
    ck_assert_int_eq(tm_path_join(deep, outside, "deep"), TM_OK);
    ck_assert_int_eq(tm_dir_make(deep, 0755, NULL), TM_OK); /* a write would find a place there */
    atomic_store(&stop, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, swapper, NULL), 0);
    /* On a busy machine the other thread may not run at once: go on until both ends were seen. */
    for (unsigned i = 0; i < RACES || written == 0 || refused == 0; i++) {
        struct tm_root_at at;
        int code = tm_root_at(root, names[0], &at);
        if (code == 0) {
            int fd = openat(at.fd, at.name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
            ck_assert_int_ge(fd, 0);
            close(fd);
            tm_root_at_close(&at);
        }
        *(code == 0 ? &written : &refused) += 1;
        ck_assert_int_ne(tm_file_read_in(root, names[1], &text, NULL), TM_OK);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    ck_assert_int_eq(tm_dir_list(deep, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 0);
    tm_dir_list_free(&list);
    tm_buf_deinit(&text);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("root");
    TCase *tc = tcase_create("root");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, resolving, 0, 2);
    tcase_add_loop_test(tc, functions_refuse_links, 0, 2);
    tcase_add_loop_test(tc, functions_work_below, 0, 2);
    tcase_add_test(tc, root_stays);
    tcase_add_test(tc, not_there);
    tcase_add_loop_test(tc, races, 0, 2);
    tcase_add_test(tc, a_root_with_a_slash_at_its_end);
    tcase_add_test(tc, a_path_as_long_as_can_be);
    suite_add_tcase(suite, tc);
    TCase *faults = tcase_create("faults");
    tcase_add_checked_fixture(faults, set_up, tear_down);
    tcase_add_loop_test(faults, a_kernel_that_is_busy_or_has_no_openat2, 0, 2);
    tcase_add_test(faults, a_walk_that_fails);
    tcase_add_loop_test(faults, descriptor_zero_is_one_like_any_other, 0, 2);
    tcase_add_test(faults, functions_say_what_failed);
    suite_add_tcase(suite, faults);
    return suite;
}
