/* SPDX-License-Identifier: Apache-2.0 */
#include "model/zip.h"

#include "base/mem.h"
#include "tests/support/pth_file.h"
#include "tests/support/suite.h"

static void make(struct zip_maker *z)
{
    zip_begin(z);
    zip_put(z, "b", "hello", 5);
    zip_put(z, "a/c", "", 0);
    zip_put(z, "a/b", "worlds", 6);
    zip_end(z);
}

/* Opens what is in the buffer, as a file. */
static tm_status open_bytes(const struct test_dir *dir, const struct tm_buf *bytes,
                            struct tm_file_in **file, struct tm_zip *zip, struct tm_err *err)
{
    TM_TRY(tm_file_open(test_put_buf(dir, "z", bytes), file, err));
    return tm_zip_open(*file, zip, err);
}

START_TEST(entries_by_name)
{
    struct test_dir dir = test_dir_make();
    struct zip_maker z;
    struct tm_file_in *file = NULL;
    struct tm_zip zip;
    struct tm_err err;
    struct tm_buf out;
    make(&z);
    ck_assert_int_eq(open_bytes(&dir, &z.file, &file, &zip, &err), TM_OK);
    ck_assert_uint_eq(zip.count, 3);
    ck_assert_ptr_null(tm_zip_find(&zip, tm_view_str("c")));
    const struct tm_zip_entry *e = tm_zip_find(&zip, tm_view_str("a/b"));
    ck_assert_ptr_nonnull(e);
    ck_assert_uint_eq(e->bytes, 6);
    tm_buf_init(&out, 100);
    ck_assert_int_eq(tm_zip_read(&zip, e, &out, &err), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "worlds"));
    tm_buf_deinit(&out);
    tm_buf_init(&out, 3);
    ck_assert_int_eq(tm_zip_read(&zip, e, &out, &err), TM_E_MALFORMED);
    tm_buf_deinit(&out);
    tm_zip_deinit(&zip);
    tm_file_close(&file);
    tm_buf_deinit(&z.file);
    test_dir_remove(&dir);
}
END_TEST

/* A byte at an offset from the start (or, negative, from the end) set to a value. */
static const struct {
    int at;
    uint8_t value;
    const char *word;
} damage[] = {
    {-22, 'X', "end record"}, /* its signature */
    {-18, 1, "several disks"},
    {-14, 9, "several disks"},
    {-12, 4, "entries that the central directory"}, /* the count, too; see below */
    {-10, 0xff, "does not lie before"},
    {-6, 0xff, "does not lie before"},
    {-2, 1, "end record"}, /* a comment that is not there */
    {0, 'X', "no header where"},
    {26, 9, "another name"},
    {30, 'x', "another name"},
    {14, 1, "disagree"}, /* the CRC in the header */
    {18, 1, "disagree"}, /* the size in the header */
    {6, 1, "disagree"},  /* encrypted, says the header */
};

START_TEST(damage_is_named)
{
    struct test_dir dir = test_dir_make();
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        struct zip_maker z;
        struct tm_file_in *file = NULL;
        struct tm_zip zip;
        struct tm_err err;
        make(&z);
        size_t at = damage[i].at < 0 ? z.file.bytes - (size_t)-damage[i].at : (size_t)damage[i].at;
        z.file.data[at] = damage[i].value;
        if (damage[i].at == -12) {
            z.file.data[at - 2] = damage[i].value;
        }
        tm_status status = open_bytes(&dir, &z.file, &file, &zip, &err);
        ck_assert_msg(status == TM_E_MALFORMED, "case %zu", i);
        if (damage[i].at != -12) {
            ck_assert_msg(strstr(err.why, damage[i].word) != NULL, "case %zu: %s", i, err.why);
        }
        tm_zip_deinit(&zip);
        tm_file_close(&file);
        tm_buf_deinit(&z.file);
    }
    test_dir_remove(&dir);
}
END_TEST

START_TEST(every_cut_is_refused)
{
    struct test_dir dir = test_dir_make();
    struct zip_maker z;
    make(&z);
    for (size_t bytes = 0; bytes < z.file.bytes; bytes++) {
        struct tm_buf cut = z.file;
        struct tm_file_in *file = NULL;
        struct tm_zip zip;
        struct tm_err err;
        cut.bytes = bytes;
        ck_assert_int_eq(open_bytes(&dir, &cut, &file, &zip, &err), TM_E_MALFORMED);
        tm_zip_deinit(&zip);
        tm_file_close(&file);
    }
    tm_buf_deinit(&z.file);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(names_twice_and_wrong_checksums)
{
    struct test_dir dir = test_dir_make();
    struct zip_maker z;
    struct tm_file_in *file = NULL;
    struct tm_zip zip;
    struct tm_err err;
    struct tm_buf out;
    zip_begin(&z);
    zip_put(&z, "a", "1", 1);
    zip_put(&z, "a", "2", 1);
    zip_end(&z);
    ck_assert_int_eq(open_bytes(&dir, &z.file, &file, &zip, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "twice"));
    tm_zip_deinit(&zip);
    tm_file_close(&file);
    tm_buf_deinit(&z.file);
    zip_begin(&z);
    zip_add(&z, "a", "1", 1, 12345);
    zip_add(&z, "b", "2", 1, 0); /* not computed */
    zip_end(&z);
    tm_buf_init(&out, 100);
    ck_assert_int_eq(open_bytes(&dir, &z.file, &file, &zip, &err), TM_OK);
    ck_assert_int_eq(tm_zip_read(&zip, tm_zip_find(&zip, tm_view_str("a")), &out, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "CRC"));
    ck_assert_int_eq(tm_zip_read(&zip, tm_zip_find(&zip, tm_view_str("b")), &out, &err), TM_OK);
    tm_buf_deinit(&out);
    tm_zip_deinit(&zip);
    tm_file_close(&file);
    tm_buf_deinit(&z.file);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(memory_runs_out)
{
    struct test_dir dir = test_dir_make();
    struct zip_maker z;
    make(&z);
    const char *path = test_put_buf(&dir, "z", &z.file);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_file_in *file = NULL;
        struct tm_zip zip;
        struct tm_err err;
        ck_assert_int_eq(tm_file_open(path, &file, &err), TM_OK);
        tm_mem_fail_at(n);
        tm_status status = tm_zip_open(file, &zip, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_zip_deinit(&zip);
        tm_file_close(&file);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&z.file);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("zip");
    TCase *tc = tcase_create("zip");
    tcase_add_test(tc, entries_by_name);
    tcase_add_test(tc, damage_is_named);
    tcase_add_test(tc, every_cut_is_refused);
    tcase_add_test(tc, names_twice_and_wrong_checksums);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}
