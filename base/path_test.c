/* SPDX-License-Identifier: Apache-2.0
 * The folders and paths part of base/file.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/lowest_fd.h"
#include "tests/support/os_fault.h"
#include "tests/support/suite.h"

static char folder[64];
static char path[TM_PATH_MAX];

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/path_test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(tm_dir_remove_tree(folder, NULL), TM_OK);
    ck_assert(!tm_path_exists(folder));
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static const char *in(const char *name)
{
    ck_assert_int_eq(tm_path_join(path, folder, name), TM_OK);
    return path;
}

static void touch(const char *name)
{
    ck_assert_int_eq(tm_file_write_atomic(in(name), 0644, tm_view_str("x"), NULL), TM_OK);
}

START_TEST(make)
{
    struct stat st;
    struct tm_err err;
    umask(022);
    ck_assert_int_eq(tm_dir_make(in("a/b//c/"), 0755, NULL), TM_OK);
    ck_assert(tm_path_is_dir(in("a/b/c")));
    ck_assert(!tm_path_is_dir(in("a/b/d")));
    ck_assert_int_eq(tm_dir_make(in("a/b"), 0755, NULL), TM_OK);
    ck_assert_int_eq(tm_dir_make(in("p/q"), 0700, NULL), TM_OK);
    ck_assert(stat(in("p/q"), &st) == 0 && (st.st_mode & 0777) == 0700);
    ck_assert(stat(in("a"), &st) == 0 && (st.st_mode & 0777) == 0755);
    touch("file");
    ck_assert(!tm_path_is_dir(in("file")));
    ck_assert_int_eq(tm_dir_make(in("file"), 0755, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "something that is not a folder has this name");
    ck_assert_int_eq(tm_dir_make(in("file/sub"), 0755, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_dir_make("", 0755, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_dir_make("/proc/none", 0755, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_dir_sync(folder, NULL), TM_OK);
    ck_assert_int_eq(tm_dir_sync(in("none"), &err), TM_E_NOT_FOUND);
}
END_TEST

/* An error of the system is no "not there": whoever made a thing anew would replace the old one. */
START_TEST(find)
{
    struct tm_err err;
    bool found = true;
    ck_assert_int_eq(tm_path_find(in("none"), &found, NULL), TM_OK);
    ck_assert(!found);
    touch("file");
    ck_assert_int_eq(tm_path_find(in("file"), &found, NULL), TM_OK);
    ck_assert(found);
    ck_assert_int_eq(tm_path_find(in("file/sub"), &found, NULL), TM_OK);
    ck_assert(!found);
    ck_assert_int_eq(symlink("none", in("dangling")), 0);
    ck_assert_int_eq(tm_path_find(in("dangling"), &found, NULL), TM_OK);
    ck_assert(!found);
    ck_assert_int_eq(tm_dir_make(in("dangling"), 0755, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "something that is not a folder has this name");
    ck_assert_int_eq(symlink("loop", in("loop")), 0);
    ck_assert_int_eq(tm_path_find(in("loop"), &found, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, in("loop"));
    ck_assert_ptr_nonnull(strstr(err.why, "symbolic link"));
    ck_assert(!tm_path_exists(in("loop")));
    ck_assert_int_eq(tm_dir_make(in("loop"), 0755, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "symbolic link"));
}
END_TEST

START_TEST(list_is_sorted)
{
    static const char *const names[] = {"b", "a", "Z", "\xc3\xa4", "a.b", "aa"};
    static const char *const sorted[] = {"Z", "a", "a.b", "aa", "b", "\xc3\xa4"};
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(folder, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 0);
    tm_dir_list_free(&list);
    for (size_t i = 0; i < 6; i++) {
        touch(names[i]);
    }
    ck_assert_int_eq(tm_dir_list(folder, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_eq(list.names[i], sorted[i]);
    }
    tm_dir_list_free(&list);
    tm_dir_list_free(&list);
    struct tm_err err;
    ck_assert_int_eq(tm_dir_list(in("none"), &list, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_dir_list(in("a"), &list, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.why, "a part of the path is not a folder");
}
END_TEST

START_TEST(list_without_memory)
{
    char name[16];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "n%d", i);
        touch(name);
    }
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_dir_list list = {NULL, 0};
        struct tm_err err = {.status = TM_OK};
        tm_mem_fail_at(n);
        tm_status status = tm_dir_list(folder, &list, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_int_eq(err.status, status);
        tm_dir_list_free(&list);
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
    }
}
END_TEST

START_TEST(remove_stays_inside)
{
    ck_assert_int_eq(tm_dir_make(in("keep"), 0755, NULL), TM_OK);
    touch("keep/file");
    ck_assert_int_eq(tm_dir_make(in("tree/a/b"), 0755, NULL), TM_OK);
    touch("tree/a/b/file");
    char target[TM_PATH_MAX];
    ck_assert_int_eq(tm_path_join(target, folder, "keep"), TM_OK);
    ck_assert_int_eq(symlink(target, in("tree/link")), 0);
    ck_assert_int_eq(symlink(target, in("link")), 0);
    ck_assert(tm_path_is_link(in("link")));
    ck_assert(!tm_path_is_link(in("keep")));
    ck_assert(!tm_path_is_link(in("none")));
    struct tm_err err;
    ck_assert_int_ne(tm_dir_remove_tree(in("link"), &err), TM_OK); /* not the tree behind a link */
    ck_assert_int_eq(tm_dir_remove_tree(in("tree"), NULL), TM_OK);
    ck_assert(!tm_path_exists(in("tree")));
    ck_assert(tm_path_exists(in("keep/file")));
    ck_assert_int_eq(tm_dir_remove_tree(in("tree"), NULL), TM_OK);
    ck_assert_int_ne(tm_dir_remove_tree(in("keep/file"), &err), TM_OK);
    ck_assert(tm_path_exists(in("keep/file")));
}
END_TEST

START_TEST(same_file)
{
    touch("a");
    touch("b");
    char a[TM_PATH_MAX];
    ck_assert_int_eq(tm_path_join(a, folder, "a"), TM_OK);
    ck_assert_int_eq(symlink("a", in("link")), 0);
    ck_assert(tm_path_same(a, in("link")));
    ck_assert(tm_path_same(a, in("./a")));
    ck_assert(!tm_path_same(a, in("b")));
    ck_assert(!tm_path_same(a, in("none")));
    ck_assert(!tm_path_same(in("none"), in("none")));
    ck_assert(!tm_path_same(in("none"), a));
    ck_assert(!tm_path_same(folder, "/proc")); /* another device */
}
END_TEST

START_TEST(names)
{
    static const struct {
        const char *path;
        const char *dir;
        const char *base;
    } cases[] = {
        {"x", ".", "x"},       {"a/x", "a", "x"},  {"/x", "/", "x"},
        {"a/b/x", "a/b", "x"}, {"a//x", "a", "x"}, {"//x", "/", "x"},
        {"./x", ".", "x"},     {"a/", "a", ""},    {"", ".", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char dir[TM_PATH_MAX];
        ck_assert_int_eq(tm_path_dir(dir, cases[i].path), TM_OK);
        ck_assert_str_eq(dir, cases[i].dir);
        ck_assert_str_eq(tm_path_base(cases[i].path), cases[i].base);
    }
    ck_assert_int_eq(tm_path_join(path, "a", "b"), TM_OK);
    ck_assert_str_eq(path, "a/b");
    ck_assert_int_eq(tm_path_join(path, "/", "b"), TM_OK);
    ck_assert_str_eq(path, "/b");
    ck_assert_int_eq(tm_path_join(path, "", "b"), TM_OK);
    ck_assert_str_eq(path, "b");
}
END_TEST

/* One byte less than TM_PATH_MAX is the longest path, for the zero at its end. */
START_TEST(the_longest_paths)
{
    static char longest[TM_PATH_MAX + 1];
    struct tm_err err;
    uint64_t bytes;
    memset(longest, 'x', TM_PATH_MAX);
    longest[TM_PATH_MAX - 2] = '\0';
    ck_assert_int_eq(tm_path_join(path, "", longest), TM_OK);
    ck_assert_int_eq(tm_path_join(path, "a", longest), TM_E_LIMIT);
    ck_assert_int_eq(tm_path_join(path, "a", longest + 1), TM_OK);
    ck_assert_uint_eq(strlen(path), TM_PATH_MAX - 1);
    longest[TM_PATH_MAX - 2] = '/'; /* a folder of 4095 bytes with its slash */
    ck_assert_int_eq(tm_path_dir(path, longest), TM_OK);
    ck_assert_uint_eq(strlen(path), TM_PATH_MAX - 2);
    longest[TM_PATH_MAX - 2] = 'x';
    longest[TM_PATH_MAX - 1] = '/';
    ck_assert_int_eq(tm_path_dir(path, longest), TM_E_LIMIT);
    ck_assert_int_eq(tm_dir_make(longest, 0755, &err), TM_E_LIMIT);
    ck_assert_int_eq(tm_path_free_bytes(longest, &bytes, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.what, "cannot ask for the free space");
}
END_TEST

/* What would climb, hide, mean an option to a shell glob or look like another name. */
static const char *const bad_names[] = {
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "a/../b",
    "..%2fx",
    "a%00b",
    "a\\b",
    "a:b",
    "a b",
    " a",
    "a\n",
    "a\tb",
    "\x1b[2J",
    "a\x7f",
    ".hidden",
    "a*",
    "$HOME",
    "`id`",
    "~",
    "a\xc3\xa9",
    "\xef\xbc\x8e",
    "a\xe2\x80\xae",
    "..\xc0\xaf",
    "\xe2\x80\xa5",
    "\xd0\xb0",
    "a@",
    "a[",
    "a`",
    "a{",
    "a|b",
    "a;b",
};

START_TEST(names_of_others)
{
    char name[8 * TM_PATH_MAX];
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        ck_assert_msg(!tm_path_name_ok(bad_names[i], 128), "taken: %s", bad_names[i]);
    }
    ck_assert(tm_path_name_ok("a", 128) && tm_path_name_ok("Model-7B_v1.2", 128));
    ck_assert(tm_path_name_ok("azAZ09._-", 128));
    ck_assert(tm_path_name_ok("a..b", 128)); /* dots inside climb nowhere */
    memset(name, 'n', sizeof name);
    name[128] = '\0';
    ck_assert(tm_path_name_ok(name, 128));
    name[128] = 'n';
    name[129] = '\0';
    ck_assert(!tm_path_name_ok(name, 128));
    name[129] = 'n';
    name[sizeof name - 1] = '\0';
    ck_assert(!tm_path_name_ok(name, 128));
}
END_TEST

START_TEST(free_space)
{
    uint64_t here = 0;
    uint64_t below = 0;
    ck_assert_int_eq(tm_path_free_bytes(folder, &here, NULL), TM_OK);
    ck_assert_uint_gt(here, 0);
    ck_assert_uint_lt(here, UINT64_MAX); /* what stands for too many to count */
    ck_assert_int_eq(tm_path_free_bytes(in("not/yet/there"), &below, NULL), TM_OK);
    ck_assert_uint_gt(below, 0);
    ck_assert_int_eq(tm_path_free_bytes("not-there-either", &below, NULL), TM_OK);
    touch("file");
    struct tm_err err;
    ck_assert_int_eq(tm_path_free_bytes(in("file/x"), &below, &err), TM_E_NOT_FOUND);
}
END_TEST

START_TEST(user_folders)
{
    setenv("HOME", "/users/u", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_STATE_HOME");
    setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored */
    static const char *const wanted[] = {"/users/u/.config/tmill", "/users/u/.local/share/tmill",
                                         "/users/u/.local/state/tmill", "/users/u/.cache/tmill"};
    for (int kind = TM_XDG_CONFIG; kind <= TM_XDG_CACHE; kind++) {
        ck_assert_int_eq(tm_xdg_dir((enum tm_xdg)kind, path, NULL), TM_OK);
        ck_assert_str_eq(path, wanted[kind]);
    }
    setenv("XDG_DATA_HOME", "/data", 1);
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_DATA, path, NULL), TM_OK);
    ck_assert_str_eq(path, "/data/tmill");
    unsetenv("HOME");
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_DATA, path, NULL), TM_OK);
    struct tm_err err;
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_STATE, path, &err), TM_E_USAGE);
    ck_assert_str_eq(err.hint, "set HOME to an absolute path");
    setenv("HOME", "relative", 1);
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_STATE, path, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, "XDG_STATE_HOME");
    static char longest[TM_PATH_MAX + 1];
    memset(longest, '/', TM_PATH_MAX);
    setenv("HOME", longest, 1);
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_STATE, path, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.what, "cannot find the user's folder");
    longest[TM_PATH_MAX - sizeof "/tmill"] = '\0'; /* one byte less than too long */
    setenv("XDG_STATE_HOME", longest, 1);
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_STATE, path, &err), TM_OK);
    ck_assert_uint_eq(strlen(path), TM_PATH_MAX - 1);
    longest[TM_PATH_MAX - sizeof "/tmill"] = '/';
    longest[TM_PATH_MAX - sizeof "/tmill" + 1] = '\0';
    setenv("XDG_STATE_HOME", longest, 1);
    ck_assert_int_eq(tm_xdg_dir(TM_XDG_STATE, path, &err), TM_E_LIMIT);
}
END_TEST

/* ---- system calls that fail ---- */

START_TEST(a_folder_that_cannot_be_synced)
{
    struct tm_err err;
    tm_os_fail_at(TM_OS_FSYNC, 1, EINTR);
    ck_assert_int_eq(tm_dir_sync(folder, &err), TM_OK);
    ck_assert(tm_os_failed(TM_OS_FSYNC));
    tm_os_fail_at(TM_OS_FSYNC, 1, EIO);
    ck_assert_int_eq(tm_dir_sync(folder, &err), TM_E_IO);
    ck_assert_str_eq(err.where, folder);
    ck_assert_str_eq(err.what, "cannot sync the folder to disk");
}
END_TEST

START_TEST(the_name_of_a_new_folder_is_synced)
{
    struct tm_err err;
    tm_os_fail_at(TM_OS_FSYNC, 1, EIO);
    ck_assert_int_eq(tm_dir_make(in("new"), 0755, &err), TM_E_IO);
    ck_assert_str_eq(err.where, folder);
    tm_os_fail_at(TM_OS_FSYNC, 1, EIO);
    ck_assert_int_eq(tm_dir_make(in("new"), 0755, &err), TM_OK); /* it is no new one */
    tm_os_fail_at(TM_OS_ACCESS, 1, EACCES);                      /* a parent that is not ours */
    ck_assert_int_eq(tm_dir_make(in("newer"), 0755, &err), TM_OK);
    ck_assert(!tm_os_failed(TM_OS_FSYNC));
    tm_os_fail_at(TM_OS_FSYNC, 0, 0);
}
END_TEST

START_TEST(a_folder_that_cannot_be_read)
{
    struct tm_dir_list list = {0};
    struct tm_err err;
    touch("a");
    tm_os_fail_at(TM_OS_FDOPENDIR, 1, ENOMEM);
    ck_assert_int_eq(tm_dir_list(folder, &list, &err), TM_E_NOMEM);
    for (unsigned n = 1; n <= 4; n++) { /* ".", "..", the file, the end */
        tm_os_fail_at(TM_OS_READDIR, n, EIO);
        ck_assert_int_eq(tm_dir_list(folder, &list, &err), TM_E_IO);
        ck_assert_str_eq(err.what, "cannot list the folder");
        ck_assert_uint_eq(tm_mem_live_blocks(), 0);
    }
}
END_TEST

START_TEST(a_folder_without_end)
{
    struct tm_dir_list list = {0};
    struct tm_err err;
    tm_os_fail_at(TM_OS_READDIR, 1, TM_OS_ODD);
    ck_assert_int_eq(tm_dir_list(folder, &list, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.why, "a fixed limit was reached after 1000000 names");
    ck_assert_ptr_null(list.names);
    tm_os_fail_at(TM_OS_READDIR, 0, 0);
}
END_TEST

START_TEST(descriptor_zero_is_one_like_any_other)
{
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_make(in("t/inside"), 0755, NULL), TM_OK);
    close_stdin();
    ck_assert_int_eq(tm_dir_sync(folder, NULL), TM_OK);
    nothing_in_its_place();
    ck_assert_int_eq(tm_dir_list(folder, &list, NULL), TM_OK);
    nothing_in_its_place();
    ck_assert_uint_eq(list.count, 1);
    tm_dir_list_free(&list);
    tm_os_fail_at(TM_OS_FDOPENDIR, 1, ENOMEM);
    ck_assert_int_eq(tm_dir_list(folder, &list, NULL), TM_E_NOMEM);
    nothing_in_its_place();
    tm_os_fail_at(TM_OS_FDOPENDIR, 1, ENOMEM);
    ck_assert_int_eq(tm_dir_remove_tree(in("t"), NULL), TM_E_NOMEM);
    nothing_in_its_place();
    ck_assert_int_eq(tm_dir_remove_tree(in("t"), NULL), TM_OK);
    nothing_in_its_place();
    ck_assert(!tm_path_exists(in("t")));
}
END_TEST

/* folder/t holds one folder and nothing else: unlink (it is a folder), open, rmdir; then t itself.
 * `left`: whether something is left. */
static const struct {
    enum tm_os_call call;
    unsigned n;
    int code;
    tm_status status;
    bool left;
} removals[] = {
    {TM_OS_OPENAT, 1, ENOENT, TM_OK, true}, /* another process was faster */
    {TM_OS_OPENAT, 1, EACCES, TM_E_IO, true},       {TM_OS_OPENAT, 2, EACCES, TM_E_IO, true},
    {TM_OS_FDOPENDIR, 1, ENOMEM, TM_E_NOMEM, true}, {TM_OS_READDIR, 1, EIO, TM_E_IO, true},
    {TM_OS_READDIR, 4, ENOENT, TM_OK, false}, /* the folder inside went while it was read */
    {TM_OS_UNLINKAT, 1, EPERM, TM_OK, false}, /* POSIX for EISDIR */
    {TM_OS_UNLINKAT, 1, EROFS, TM_E_IO, true},      {TM_OS_UNLINKAT, 2, EBUSY, TM_E_IO, true},
    {TM_OS_UNLINKAT, 2, ENOENT, TM_E_IO, true}, /* said to be gone, then the parent is not empty */
    {TM_OS_UNLINKAT, 3, ENOENT, TM_OK, true},       {TM_OS_UNLINKAT, 3, EBUSY, TM_E_IO, true},
};

START_TEST(a_tree_that_cannot_be_removed)
{
    struct tm_err err = {.status = TM_OK};
    ck_assert_int_eq(tm_dir_make(in("t/inside"), 0755, NULL), TM_OK);
    tm_os_fail_at(removals[_i].call, removals[_i].n, removals[_i].code);
    tm_status status = tm_dir_remove_tree(in("t"), &err);
    ck_assert(tm_os_failed(removals[_i].call));
    ck_assert_int_eq(status, removals[_i].status);
    if (status != TM_OK) {
        ck_assert_str_eq(err.what, "cannot remove the folder");
        ck_assert_str_eq(err.where, in("t"));
        struct tm_err want;
        int code = removals[_i].code == ENOENT ? ENOTEMPTY : removals[_i].code;
        ck_assert_int_eq(tm_err_set_os(&want, code, "", ""), status);
        ck_assert_str_eq(err.why, want.why); /* of the call that failed first */
    }
    ck_assert_int_eq(tm_path_exists(in("t")), removals[_i].left);
}
END_TEST

START_TEST(a_tree_deeper_than_the_limit_is_not_followed)
{
    char deep[TM_PATH_MAX];
    ck_assert_int_eq(tm_path_join(deep, folder, "t"), TM_OK);
    for (int i = 1; i < 64; i++) {
        ck_assert_int_eq(tm_path_join(path, deep, "d"), TM_OK);
        memcpy(deep, path, sizeof deep);
    }
    ck_assert_int_eq(tm_dir_make(deep, 0755, NULL), TM_OK); /* t and 63 below: 64 levels */
    ck_assert_int_eq(tm_dir_remove_tree(in("t"), NULL), TM_OK);
    ck_assert_int_eq(tm_path_join(path, deep, "d"), TM_OK);
    ck_assert_int_eq(tm_dir_make(path, 0755, NULL), TM_OK);
    struct tm_err err;
    ck_assert_int_eq(tm_dir_remove_tree(in("t"), &err), TM_E_LIMIT);
    ck_assert_int_eq(tm_path_join(path, deep, "d"), TM_OK);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(deep), 0); /* for teardown, which begins one level higher */
}
END_TEST

START_TEST(free_space_of_odd_places)
{
    uint64_t bytes = 0;
    struct tm_err err;
    tm_os_fail_at(TM_OS_STATVFS, 1, EINTR);
    ck_assert_int_eq(tm_path_free_bytes(folder, &bytes, NULL), TM_OK);
    ck_assert(tm_os_failed(TM_OS_STATVFS));
    tm_os_fail_at(TM_OS_STATVFS, 1, EIO);
    ck_assert_int_eq(tm_path_free_bytes(folder, &bytes, &err), TM_E_IO);
    ck_assert_str_eq(err.where, folder);
    tm_os_fail_at(TM_OS_STATVFS, 2, ENOENT); /* not even the current folder */
    ck_assert_int_eq(tm_path_free_bytes("not-there", &bytes, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.where, "not-there");
    tm_os_fail_at(TM_OS_STATVFS, 1, TM_OS_ODD);
    ck_assert_int_eq(tm_path_free_bytes(folder, &bytes, NULL), TM_OK);
    ck_assert_uint_eq(bytes, UINT64_MAX);
    tm_os_fail_at(TM_OS_STATVFS, 0, 0);
    char longest[TM_PATH_MAX + 1] = {0};
    memset(longest, 'x', TM_PATH_MAX);
    ck_assert_int_eq(tm_path_free_bytes(longest, &bytes, &err), TM_E_LIMIT);
    longest[TM_PATH_MAX - 1] = '\0';
    ck_assert_int_ne(tm_path_free_bytes(longest, &bytes, &err), TM_OK); /* a name of 4095 bytes */
    ck_assert_str_eq(err.what, "cannot ask for the free space");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("path");
    TCase *tc = tcase_create("path");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, make);
    tcase_add_test(tc, find);
    tcase_add_test(tc, list_is_sorted);
    tcase_add_test(tc, list_without_memory);
    tcase_add_test(tc, remove_stays_inside);
    tcase_add_test(tc, same_file);
    tcase_add_test(tc, names);
    tcase_add_test(tc, the_longest_paths);
    tcase_add_test(tc, names_of_others);
    tcase_add_test(tc, free_space);
    tcase_add_test(tc, user_folders);
    suite_add_tcase(suite, tc);
    TCase *faults = tcase_create("faults");
    tcase_add_checked_fixture(faults, setup, teardown);
    tcase_add_test(faults, a_folder_that_cannot_be_synced);
    tcase_add_test(faults, the_name_of_a_new_folder_is_synced);
    tcase_add_test(faults, a_folder_that_cannot_be_read);
    tcase_add_test(faults, a_folder_without_end);
    tcase_add_test(faults, descriptor_zero_is_one_like_any_other);
    tcase_add_loop_test(faults, a_tree_that_cannot_be_removed, 0,
                        sizeof removals / sizeof removals[0]);
    tcase_add_test(faults, a_tree_deeper_than_the_limit_is_not_followed);
    tcase_add_test(faults, free_space_of_odd_places);
    suite_add_tcase(suite, faults);
    return suite;
}
