/* SPDX-License-Identifier: Apache-2.0 */
#include "model/sources.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static tm_status fill(struct tm_sources *sources, const struct test_dir *dir, struct tm_buf *out,
                      struct tm_err *err)
{
    uint32_t file;
    TM_TRY(tm_sources_open(sources, test_path(dir, "m"), &file, err));
    TM_TRY(tm_sources_attach_range(sources, "part", file, 2, 3, err));
    TM_TRY(tm_sources_attach_file(sources, test_path(dir, "config.json"), "config.json", err));
    TM_TRY(tm_sources_attach_bytes(sources, "made", tm_view_str("abc"), err));
    for (size_t i = 0; i < 3; i++) {
        TM_TRY(tm_sources_read_attachment(sources, i, out, err));
    }
    return tm_sources_read_range(sources, 2, 1, 2, out, err);
}

START_TEST(attachments_and_failing_memory)
{
    struct test_dir dir = test_dir_make();
    test_put_text(&dir, "m", "0123456789");
    test_put_text(&dir, "config.json", "{}");
    struct tm_sources *sources = tm_calloc(1, sizeof *sources);
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_buf out;
        struct tm_err err;
        tm_buf_init(&out, 100);
        tm_mem_fail_at(n);
        tm_status status = fill(sources, &dir, &out, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        if (done) {
            ck_assert(tm_view_eq_str(tm_buf_view(&out), "234{}abcbc"));
            ck_assert_int_eq(tm_sources_read_range(sources, 2, 2, 2, &out, &err), TM_E_USAGE);
            ck_assert_int_eq(tm_sources_read_range(sources, 2, UINT64_MAX, 2, &out, &err),
                             TM_E_USAGE);
            ck_assert_uint_eq(sources->inventory.file_count, 2);
        }
        tm_buf_deinit(&out);
        tm_sources_deinit(sources);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_free(sources);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(what_cannot_be_attached)
{
    struct test_dir dir = test_dir_make();
    struct tm_sources *sources = tm_calloc(1, sizeof *sources);
    struct tm_err err;
    uint32_t file;
    const char *path =
        test_put_text(&dir, "tokenizer.json", "version https://git-lfs.github.com\n");
    ck_assert_int_eq(tm_sources_attach_file(sources, path, "tokenizer.json", &err), TM_E_MALFORMED);
    ck_assert_says(&err, "LFS");
    ck_assert_says(&err, "tokenizer.json");
    ck_assert_int_eq(tm_sources_open(sources, test_path(&dir, "absent"), &file, &err),
                     TM_E_NOT_FOUND);
    ck_assert_int_eq(mkfifo(test_path(&dir, "pipe"), 0600), 0);
    ck_assert_int_eq(tm_sources_open(sources, test_path(&dir, "pipe"), &file, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_sources_attach_range(sources, "big", 0, 0, TM_ATTACHMENT_MAX + 1ull, &err),
                     TM_E_LIMIT);
    tm_sources_deinit(sources);
    tm_free(sources);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("sources");
    TCase *tcase = tcase_create("sources");
    tcase_add_test(tcase, attachments_and_failing_memory);
    tcase_add_test(tcase, what_cannot_be_attached);
    suite_add_tcase(suite, tcase);
    return suite;
}
