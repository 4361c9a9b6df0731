/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/lowest_fd.h"
#include "tests/support/os_fault.h"
#include "tests/support/suite.h"

/* RFC 8032 section 7.1, TEST 1. */
#define SEED "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define PUBLIC "tmpub1d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a21fe31df"
#define FORMAT_LINE "format = \"tensormill-key-1\"\n"
#define PUBLIC_LINE "public = \"" PUBLIC "\"\n"
#define SEED_LINE "seed = \"" SEED "\"\n"

static const char whole[] =
    "# Tensormill secret key. Whoever has this file can sign in your name.\n" FORMAT_LINE
    "name = \"alice\"\n" PUBLIC_LINE SEED_LINE;

static bool is_wiped(const struct tm_keyfile *file)
{
    static const struct tm_keyfile zero;
    return memcmp(file, &zero, sizeof zero) == 0;
}

START_TEST(the_text_goes_there_and_back)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, &err), TM_OK);
    ck_assert_str_eq(file.name, "alice");
    ck_assert_uint_eq(file.seed[0], 0x9d);
    ck_assert_uint_eq(file.seed[31], 0x60);
    ck_assert_uint_eq(file.public_key.b[0], 0xd7);
    struct tm_buf out;
    tm_buf_init(&out, 1024);
    ck_assert_int_eq(tm_keyfile_format(&file, &out), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), whole));
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(order_blanks_comments_and_line_ends_are_free)
{
    static const char *const good[] = {
        FORMAT_LINE PUBLIC_LINE SEED_LINE,
        "name = \"\"\n" FORMAT_LINE " \t \n" PUBLIC_LINE SEED_LINE "  ",
        SEED_LINE "\n# x\n\t # = \"y\"\n" PUBLIC_LINE FORMAT_LINE,
        "\tseed=\"" SEED "\"\r\nformat  =  \"tensormill-key-1\"  \r\npublic=\"" PUBLIC "\"",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct tm_keyfile file;
        ck_assert_int_eq(tm_keyfile_parse(tm_view_str(good[i]), "k", &file, NULL), TM_OK);
        ck_assert_str_eq(file.name, "");
        ck_assert_uint_eq(file.seed[1], 0x61);
    }
}
END_TEST

static const struct {
    const char *text, *why;
} bad_texts[] = {
    {"", "line 0: the file ends without format, public or seed"},
    {PUBLIC_LINE SEED_LINE, "line 2: the file ends without format, public or seed"},
    {FORMAT_LINE SEED_LINE, "line 2: the file ends without format, public or seed"},
    {FORMAT_LINE PUBLIC_LINE, "line 2: the file ends without format, public or seed"},
    {"format = \"tensormill-key-2\"\n", "line 1: the format is not tensormill-key-1"},
    {FORMAT_LINE FORMAT_LINE, "line 2: this key is there twice"},
    {FORMAT_LINE "colour = \"red\"\n",
     "line 2: unknown key; a key file has format, name, public and seed"},
    {FORMAT_LINE "seed\n", "line 2: there is no '='"},
    {FORMAT_LINE "seed = " SEED "\n", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "seed = \"\n", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "seed = \"", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "seed = ", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "seed = \"ab\n", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "seed = ab\"\n", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "name = \"a\" \"b\"\n", "line 2: the value is not one string in double quotes"},
    {FORMAT_LINE "seed = \"9d61\"\n", "line 2: the seed is not 64 hex digits"},
    {FORMAT_LINE "public = \"tmpub1\"\n", "line 2: the public key is damaged"},
    {FORMAT_LINE "name = \"a\\b\"\n",
     "line 2: the name is too long or has a character that is not allowed"},
    {FORMAT_LINE "name = \"\xff\"\n",
     "line 2: the name is too long or has a character that is not allowed"},
};

START_TEST(bad_texts_are_refused_with_the_line)
{
    for (size_t i = 0; i < sizeof bad_texts / sizeof bad_texts[0]; i++) {
        struct tm_keyfile file;
        struct tm_err err = {0};
        ck_assert_int_eq(tm_keyfile_parse(tm_view_str(bad_texts[i].text), "k", &file, &err),
                         TM_E_MALFORMED);
        ck_assert_str_eq(err.why, bad_texts[i].why);
        ck_assert_str_eq(err.where, "k");
        ck_assert(is_wiped(&file));
    }
}
END_TEST

/* Each in memory that ends where it ends, for the sanitizers. */
START_TEST(nothing_behind_the_text_is_read)
{
    static const char *const ends[] = {"",  " ",    "\t \t",  "\n  ",
                                       "#", "name", "name =", "name = \""};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct tm_keyfile file;
        char *exact = tm_memdup(ends[i], strlen(ends[i]));
        ck_assert_int_eq(tm_keyfile_parse(tm_view_of(exact, strlen(ends[i])), "k", &file, NULL),
                         TM_E_MALFORMED);
        tm_free(exact);
    }
}
END_TEST

START_TEST(a_cut_or_overlong_text_is_refused_and_no_secret_gets_into_the_error)
{
    struct tm_keyfile file;
    for (size_t bytes = 0; bytes < sizeof whole - 2; bytes++) {
        struct tm_err err = {0};
        ck_assert_int_eq(tm_keyfile_parse(tm_view_of(whole, bytes), "k", &file, &err),
                         TM_E_MALFORMED);
        ck_assert(is_wiped(&file));
        ck_assert_ptr_null(strstr(err.why, "9d61"));
    }
    char large[TM_KEYFILE_BYTES_MAX + 1];
    memset(large, '\n', sizeof large);
    memcpy(large, whole, sizeof whole - 1);
    ck_assert_int_eq(tm_keyfile_parse(tm_view_of(large, sizeof large - 1), "k", &file, NULL),
                     TM_OK);
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_of(large, sizeof large), "k", &file, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "larger than 4096 bytes"));
}
END_TEST

START_TEST(names_have_rules)
{
    struct tm_keyfile file = {.name = "before"};
    struct tm_err err = {0};
    char name[TM_KEY_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[TM_KEY_NAME_MAX + 1] = '\0';
    ck_assert_int_eq(tm_keyfile_set_name(&file, name, &err), TM_E_USAGE);
    ck_assert_str_eq(file.name, "before");
    ck_assert_str_eq(err.why, "it has 64 bytes or a character that is not allowed");
    name[TM_KEY_NAME_MAX] = '\0';
    ck_assert_int_eq(tm_keyfile_set_name(&file, name, &err), TM_OK);
    ck_assert_str_eq(file.name, name);
    static const char *const bad[] = {"a\"b", "a\\b", "a\nb", "a\x7f", "\xc3", "\xc2\x9b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(tm_keyfile_set_name(&file, bad[i], &err), TM_E_USAGE);
    }
    ck_assert_int_eq(tm_keyfile_set_name(&file, "", &err), TM_OK);
    ck_assert_str_eq(file.name, "");
}
END_TEST

static char dir[] = "/tmp/tm-keyfile-XXXXXX";
static char path[64];

static void make_dir(void)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/node.key", dir);
}

static void remove_dir(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void write_file(unsigned mode)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(whole, 1, sizeof whole - 1, f), sizeof whole - 1);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(a_file_that_others_can_access_is_refused)
{
    static const unsigned bad[] = {0644, 0640, 0604, 0620, 0602, 0610, 0777};
    struct tm_keyfile file;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_err err = {0};
        write_file(bad[i]);
        ck_assert_int_eq(tm_keyfile_load(path, &file, &err), TM_E_VERIFY);
        ck_assert_ptr_nonnull(strstr(err.hint, "chmod 600"));
        ck_assert_ptr_nonnull(strstr(err.why, "not 0600"));
        ck_assert_str_eq(err.where, path);
        ck_assert(is_wiped(&file));
    }
    static const unsigned good[] = {0600, 0400};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(chmod(path, good[i]), 0);
        ck_assert_int_eq(tm_keyfile_load(path, &file, NULL), TM_OK);
        ck_assert_str_eq(file.name, "alice");
    }
}
END_TEST

START_TEST(what_is_no_key_file_is_refused)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_load(path, &file, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "tmill key gen"));
    ck_assert_int_eq(tm_keyfile_load(dir, &file, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "it is not a regular file");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(tm_keyfile_load(path, &file, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "it is not a regular file");
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
    close(fd);
    ck_assert_int_eq(tm_keyfile_load(path, &file, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "larger than 4096 bytes"));
}
END_TEST

START_TEST(saving_never_overwrites)
{
    struct tm_keyfile file, back;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    mode_t old = umask(0);
    ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_OK);
    umask(old);
    ck_assert_int_eq(tm_keyfile_load(path, &back, &err), TM_OK);
    ck_assert_mem_eq(&file, &back, sizeof file);
    ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.why, "never overwritten"));
    ck_assert_int_eq(tm_keyfile_load(path, &back, &err), TM_OK);
    unlink(path);
    ck_assert_int_eq(symlink("/nonexistent/x", path), 0);
    ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_E_REFUSED);
    ck_assert_int_eq(tm_keyfile_save(&file, "/nonexistent/x.key", &err), TM_E_IO);
    ck_assert_str_eq(err.where, "/nonexistent/x.key");
}
END_TEST

/* A name that is taken is refused before the key is written anywhere. */
START_TEST(a_taken_name_is_seen_first)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    for (int dangling = 0; dangling < 2; dangling++) {
        if (dangling == 1) {
            ck_assert_int_eq(symlink("/nonexistent/x", path), 0);
        } else {
            write_file(0600);
        }
        tm_os_fail_at(TM_OS_WRITE, 1, EIO);
        ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_E_REFUSED);
        ck_assert(!tm_os_failed(TM_OS_WRITE));
        tm_os_fail_at(TM_OS_WRITE, 0, 0);
        ck_assert_int_eq(unlink(path), 0);
    }
}
END_TEST

START_TEST(descriptor_zero_is_one_like_any_other)
{
    struct tm_keyfile file;
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    close_stdin();
    ck_assert_int_eq(tm_keyfile_save(&file, path, NULL), TM_OK);
    nothing_in_its_place();
    errno = ENOENT;
    ck_assert_int_eq(tm_keyfile_load(path, &file, NULL), TM_OK);
    nothing_in_its_place();
}
END_TEST

/* A file size limit of 10 bytes stands for the full disk: the write fails half way. */
START_TEST(a_failed_write_leaves_no_file)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    struct rlimit kept, tiny;
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &kept), 0);
    tiny = kept;
    tiny.rlim_cur = 10;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    tm_status status = tm_keyfile_save(&file, path, &err);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &kept), 0);
    ck_assert_int_eq(status, TM_E_IO);
    ck_assert_str_eq(err.why, "File too large");
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(a_bare_file_name_lies_in_the_current_folder)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    ck_assert_int_eq(chdir(dir), 0);
    ck_assert_int_eq(tm_keyfile_save(&file, "node.key", &err), TM_OK);
    ck_assert_int_eq(tm_keyfile_load(path, &file, &err), TM_OK);
}
END_TEST

/* ---- system calls that fail ---- */

static const struct {
    enum tm_os_call call;
    unsigned n;
    int code;
    tm_status status;
    const char *what, *why;
} failing_saves[] = {
    {TM_OS_OPENAT, 2, EACCES, TM_E_IO, "cannot make the key file", "Permission denied"},
    {TM_OS_WRITE, 1, ENOSPC, TM_E_IO, "cannot write the key file", "No space left on device"},
    {TM_OS_FSYNC, 1, EIO, TM_E_IO, "cannot write the key file", "Input/output error"},
    {TM_OS_RENAMEAT2, 1, EROFS, TM_E_IO, "cannot write the key file", "Read-only file system"},
    {TM_OS_RENAMEAT2, 1, EEXIST, TM_E_REFUSED, "cannot write the key file",
     "the file exists, and a key is never overwritten"}, /* somebody was faster */
    {TM_OS_CLOSE, 1, EDQUOT, TM_E_IO, "cannot write the key file", "Disk quota exceeded"},
    {TM_OS_FSYNC, 2, EIO, TM_E_IO, "cannot sync the folder to disk", NULL},
};

START_TEST(a_failed_save_leaves_no_file)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    tm_os_fail_at(failing_saves[_i].call, failing_saves[_i].n, failing_saves[_i].code);
    ck_assert_int_eq(tm_keyfile_save(&file, path, &err), failing_saves[_i].status);
    ck_assert(tm_os_failed(failing_saves[_i].call));
    ck_assert_str_eq(err.what, failing_saves[_i].what);
    if (failing_saves[_i].why != NULL) {
        ck_assert_str_eq(err.why, failing_saves[_i].why);
    }
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(dir, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 0); /* under no name */
    tm_dir_list_free(&list);
}
END_TEST

START_TEST(without_the_flag_of_rename_a_link_does_it)
{
    static const int codes[] = {EINVAL, ENOSYS};
    struct tm_keyfile file, back;
    struct tm_err err = {0};
    struct tm_dir_list list;
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    for (size_t i = 0; i < 2; i++) {
        tm_os_fail_at(TM_OS_RENAMEAT2, 1, codes[i]);
        ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_OK);
        ck_assert_int_eq(tm_keyfile_load(path, &back, &err), TM_OK);
        ck_assert_mem_eq(&file, &back, sizeof file);
        ck_assert_int_eq(tm_dir_list(dir, &list, NULL), TM_OK);
        ck_assert_uint_eq(list.count, 1); /* the temporary name is gone */
        tm_dir_list_free(&list);
        ck_assert_int_eq(unlink(path), 0);
        tm_os_fail_at(TM_OS_RENAMEAT2, 1, codes[i]);
        tm_os_fail_at(TM_OS_LINK, 1, EEXIST);
        ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_E_REFUSED);
        ck_assert_str_eq(err.why, "the file exists, and a key is never overwritten");
    }
}
END_TEST

START_TEST(a_name_is_as_long_as_a_path_can_be)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    char longest[TM_PATH_MAX] = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    ck_assert_int_eq(chdir(dir), 0);
    for (size_t bytes = TM_PATH_MAX - 20; bytes < TM_PATH_MAX; bytes++) {
        memset(longest, '/', bytes);
        memcpy(longest, "./", 2);
        longest[bytes - 1] = 'k';
        tm_status status = tm_keyfile_save(&file, longest, &err);
        ck_assert_int_eq(status, bytes + sizeof ".tmp-XXXXXX" <= TM_PATH_MAX ? TM_OK : TM_E_LIMIT);
        ck_assert_int_eq(unlink("k"), status == TM_OK ? 0 : -1);
    }
    ck_assert_str_eq(err.what, "cannot write the key file");
}
END_TEST

START_TEST(the_first_failure_is_the_one_that_is_told)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    tm_os_fail_at(TM_OS_WRITE, 1, ENOSPC);
    tm_os_fail_at(TM_OS_CLOSE, 1, EIO);
    ck_assert_int_eq(tm_keyfile_save(&file, path, &err), TM_E_IO);
    ck_assert_str_eq(err.why, "No space left on device");
}
END_TEST

static const struct {
    enum tm_os_call call;
    unsigned n;
    int code;
} failing_loads[] = {
    {TM_OS_OPENAT, 1, EACCES}, {TM_OS_FSTAT, 1, EIO}, {TM_OS_READ, 1, EIO}, {TM_OS_READ, 2, EIO}};

START_TEST(a_failed_load_gives_nothing)
{
    struct tm_keyfile file;
    struct tm_err err = {0};
    write_file(0600);
    tm_os_fail_at(failing_loads[_i].call, failing_loads[_i].n, failing_loads[_i].code);
    ck_assert_int_eq(tm_keyfile_load(path, &file, &err), TM_E_IO);
    ck_assert(tm_os_failed(failing_loads[_i].call));
    ck_assert_str_eq(err.where, path);
    ck_assert_str_eq(err.what, "cannot read the key file");
    ck_assert_str_eq(err.why, strerror(failing_loads[_i].code));
    ck_assert(is_wiped(&file));
}
END_TEST

START_TEST(interrupted_and_short_transfers_go_on)
{
    struct tm_keyfile file, back;
    ck_assert_int_eq(tm_keyfile_parse(tm_view_str(whole), "k", &file, NULL), TM_OK);
    write_file(0600); /* with blank lines up to one byte more than a key file may have */
    FILE *f = fopen(path, "a");
    for (size_t bytes = sizeof whole - 1; bytes <= TM_KEYFILE_BYTES_MAX; bytes++) {
        fputc('\n', f);
    }
    ck_assert_int_eq(fclose(f), 0);
    tm_os_fail_at(TM_OS_READ, 1, TM_OS_ODD);
    ck_assert_int_eq(tm_keyfile_load(path, &back, NULL), TM_E_MALFORMED);
    ck_assert_int_eq(unlink(path), 0);
    for (int code = TM_OS_ODD; code <= EINTR; code += EINTR - TM_OS_ODD) {
        tm_os_fail_at(TM_OS_WRITE, 1, code);
        ck_assert_int_eq(tm_keyfile_save(&file, path, NULL), TM_OK);
        ck_assert(tm_os_failed(TM_OS_WRITE));
        tm_os_fail_at(TM_OS_READ, 1, code);
        ck_assert_int_eq(tm_keyfile_load(path, &back, NULL), TM_OK);
        ck_assert(tm_os_failed(TM_OS_READ));
        ck_assert_mem_eq(&file, &back, sizeof file);
        ck_assert_int_eq(unlink(path), 0);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("keyfile");
    TCase *text = tcase_create("text");
    tcase_add_test(text, the_text_goes_there_and_back);
    tcase_add_test(text, order_blanks_comments_and_line_ends_are_free);
    tcase_add_test(text, bad_texts_are_refused_with_the_line);
    tcase_add_test(text, nothing_behind_the_text_is_read);
    tcase_add_test(text, a_cut_or_overlong_text_is_refused_and_no_secret_gets_into_the_error);
    tcase_add_test(text, names_have_rules);
    suite_add_tcase(suite, text);
    TCase *disk = tcase_create("disk");
    tcase_add_checked_fixture(disk, make_dir, remove_dir);
    tcase_add_test(disk, a_file_that_others_can_access_is_refused);
    tcase_add_test(disk, what_is_no_key_file_is_refused);
    tcase_add_test(disk, saving_never_overwrites);
    tcase_add_test(disk, a_taken_name_is_seen_first);
    tcase_add_test(disk, descriptor_zero_is_one_like_any_other);
    tcase_add_test(disk, a_failed_write_leaves_no_file);
    tcase_add_test(disk, a_bare_file_name_lies_in_the_current_folder);
    suite_add_tcase(suite, disk);
    TCase *faults = tcase_create("faults");
    tcase_add_checked_fixture(faults, make_dir, remove_dir);
    tcase_add_loop_test(faults, a_failed_save_leaves_no_file, 0,
                        sizeof failing_saves / sizeof failing_saves[0]);
    tcase_add_test(faults, without_the_flag_of_rename_a_link_does_it);
    tcase_add_test(faults, a_name_is_as_long_as_a_path_can_be);
    tcase_add_test(faults, the_first_failure_is_the_one_that_is_told);
    tcase_add_loop_test(faults, a_failed_load_gives_nothing, 0,
                        sizeof failing_loads / sizeof failing_loads[0]);
    tcase_add_test(faults, interrupted_and_short_transfers_go_on);
    suite_add_tcase(suite, faults);
    return suite;
}
