/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tar.h"

#include "tests/support/model_files.h"
#include "tests/support/suite.h"
#include "tests/support/tar_file.h"

static void member(struct tm_buf *tar, const char *name, const char *data, char type)
{
    tar_put(tar, name, tm_view_str(data), type);
}

static tm_status find(const struct tm_buf *tar, const char *name, struct tm_tar_member *out,
                      struct tm_err *err)
{
    struct test_dir dir = test_dir_make();
    struct tm_file_in *file = NULL;
    ck_assert_int_eq(tm_file_open(test_put_buf(&dir, "t", tar), &file, err), TM_OK);
    tm_status status = tm_tar_find(file, name, out, err);
    tm_file_close(&file);
    test_dir_remove(&dir);
    return status;
}

static void make(struct tm_buf *tar)
{
    uint8_t zeros[2 * TM_TAR_BLOCK] = {0};
    tm_buf_init(tar, 1u << 20);
    member(tar, "one", "1", '0');
    member(tar, "link", "", '2');
    member(tar, "./two", "22", 0);
    put_bytes(tar, zeros, sizeof zeros);
}

START_TEST(members_by_name)
{
    struct tm_buf tar;
    struct tm_tar_member m;
    struct tm_err err;
    make(&tar);
    ck_assert(tm_tar_is(tm_buf_view(&tar)));
    ck_assert_int_eq(find(&tar, "one", &m, &err), TM_OK);
    ck_assert(m.at == 512 && m.bytes == 1);
    ck_assert_int_eq(find(&tar, "two", &m, &err), TM_OK);
    ck_assert(m.at == 4 * 512 && m.bytes == 2);
    ck_assert_int_eq(find(&tar, "link", &m, &err), TM_E_NOT_FOUND); /* no plain file */
    ck_assert_int_eq(find(&tar, "on", &m, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.why, "'on'"));
    tm_buf_deinit(&tar);
}
END_TEST

START_TEST(damage_is_named)
{
    struct tm_buf tar;
    struct tm_tar_member m;
    struct tm_err err;
    make(&tar);
    tar.data[0] = 'x'; /* the checksum is another now */
    ck_assert(!tm_tar_is(tm_buf_view(&tar)));
    ck_assert_int_eq(find(&tar, "two", &m, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "checksum"));
    tm_buf_deinit(&tar);
    make(&tar);
    tar.bytes = 600; /* within a header, behind a member */
    ck_assert_int_eq(find(&tar, "two", &m, &err), TM_E_NOT_FOUND);
    tar.bytes = 1024 + 100;
    ck_assert_int_eq(find(&tar, "two", &m, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "within a header"));
    tm_buf_deinit(&tar);
    tm_buf_init(&tar, 1u << 20);
    member(&tar, "a", "1", '0');
    member(&tar, "a", "2", '0');
    ck_assert_int_eq(find(&tar, "a", &m, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "twice"));
    tar.bytes = 512; /* the content is cut off */
    ck_assert_int_eq(find(&tar, "a", &m, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "longer than the file"));
    tm_buf_deinit(&tar);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tar");
    TCase *tc = tcase_create("tar");
    tcase_add_test(tc, members_by_name);
    tcase_add_test(tc, damage_is_named);
    suite_add_tcase(suite, tc);
    return suite;
}
