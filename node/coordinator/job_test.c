/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "package/package.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static struct small_job s;
static struct tm_err err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    small_job_setup(&s);
}

static void teardown(void)
{
    small_job_close(&s);
}

static void patch(const char *path, long offset, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(bytes, 1, count, f), count);
    fclose(f);
}

START_TEST(a_job_has_a_plan_units_and_digests)
{
    small_job_prepare(&s);
    const struct tm_job *job = s.job;
    uint64_t bytes = 0;
    ck_assert_uint_eq(job->split.unit_count, SMALL_JOB_LOSSY + 1);
    for (uint32_t u = 0; u < job->split.unit_count; u++) {
        bytes += job->split.units[u].source_bytes;
        ck_assert(!tm_digest_is_zero(&job->unit_source[u]));
    }
    ck_assert_uint_eq(bytes, tm_checkpoint_inventory(job->checkpoint)->total_bytes);
    struct tm_digest plan = tm_digest_of(tm_view_str(job->plan_text));
    ck_assert(tm_digest_eq(&plan, &job->plan_digest));
    ck_assert_uint_eq(job->warning_count, 0);
    ck_assert(!job->existed);
}
END_TEST

START_TEST(the_same_command_finds_its_job_again)
{
    char id[16];
    small_job_prepare(&s);
    snprintf(id, sizeof id, "%s", s.job->id);
    made_unit(&s, 0, 0);
    tm_job_close(&s.job);
    small_job_prepare(&s);
    struct tm_journal_result *results = NULL;
    size_t count = 0;
    ck_assert_str_eq(s.job->id, id);
    ck_assert(s.job->existed);
    ck_assert_int_eq(tm_job_results(s.job, &results, &count, &err), TM_OK);
    ck_assert_uint_eq(count, 1);
    tm_free(results);
    tm_job_close(&s.job);
    small_job_prepare_with(&s, "int4"); /* another recipe is another job */
    ck_assert_str_ne(s.job->id, id);
    ck_assert(!s.job->existed);
}
END_TEST

START_TEST(a_running_job_is_refused)
{
    small_job_prepare(&s);
    struct tm_job *first = s.job;
    ck_assert_int_eq(small_job_try(&s, "int8", &err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.hint, "tmill watch"));
    s.job = first;
}
END_TEST

START_TEST(values_that_do_not_fit_keep_their_tensor)
{
    patch(s.model, -4, "\0\0\xc0\x7f", 4); /* the last value of layers.3.weight */
    small_job_prepare(&s);
    ck_assert_uint_eq(s.job->warning_count, 1);
    ck_assert_ptr_nonnull(strstr(s.job->warnings[0], "'layers.3.weight'"));
    ck_assert_ptr_nonnull(strstr(s.job->warnings[0], "NaN"));
    for (uint32_t u = 0; u < s.job->split.unit_count; u++) {
        const struct tm_unit *unit = &s.job->split.units[u];
        const char *name = tm_checkpoint_inventory(s.job->checkpoint)->tensors[unit->tensor].name;
        bool kept = strcmp(name, "layers.3.weight") == 0 || strcmp(name, "norm") == 0;
        ck_assert(unit->lossless == kept);
    }
}
END_TEST

static void refuse_output(const char *out, tm_status want, const char *word)
{
    char kept[sizeof s.out];
    memcpy(kept, s.out, sizeof kept);
    snprintf(s.out, sizeof s.out, "%s", out);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(small_job_try(&s, "int8", &err), want);
    char line[1600];
    tm_err_line(&err, line, sizeof line);
    ck_assert_msg(strstr(line, word) != NULL, "%s", line);
    memcpy(s.out, kept, sizeof kept);
}

START_TEST(wrong_outputs_are_refused_before_any_work)
{
    char link[128], missing[128];
    snprintf(link, sizeof link, "%s/link.tmpk", s.dir);
    snprintf(missing, sizeof missing, "%s/no/such/out.tmpk", s.dir);
    ck_assert_int_eq(symlink(s.model, link), 0);
    refuse_output(s.model, TM_E_USAGE, "input");
    refuse_output(link, TM_E_USAGE, "input");
    refuse_output(s.dir, TM_E_USAGE, "folder");
    refuse_output(missing, TM_E_NOT_FOUND, "make the folder first");
    ck_assert(!tm_path_exists(s.state));
}
END_TEST

START_TEST(unknown_recipes_are_named)
{
    char path[128];
    ck_assert_int_eq(small_job_try(&s, "int5", &err), TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "int4"));
    snprintf(path, sizeof path, "%s/r.toml", s.dir);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644,
                                          tm_view_str("schema = 1\nrule = [ { match = \"*\", "
                                                      "codec = \"int9\" } ]\n"),
                                          &err),
                     TM_OK);
    ck_assert_int_eq(small_job_try(&s, path, &err), TM_E_USAGE);
}
END_TEST

static tm_status reopen(const char *id)
{
    struct tm_job_options options = {.quiet = true};
    return tm_job_open(s.state, id, &options, &s.job, &err);
}

START_TEST(resume_by_a_prefix_of_the_id)
{
    char id[16];
    small_job_prepare(&s);
    snprintf(id, sizeof id, "%s", s.job->id);
    tm_job_close(&s.job);
    ck_assert_int_eq(reopen("Jzzz"), TM_E_NOT_FOUND);
    ck_assert_int_eq(reopen("J"), TM_OK);
    ck_assert_str_eq(s.job->id, id);
    made_units(&s, UINT32_MAX, 0);
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_OK);
    tm_job_close(&s.job);
    ck_assert_int_eq(reopen(id), TM_E_NOTHING);
}
END_TEST

START_TEST(a_changed_model_is_not_resumed)
{
    float other = 0.5f;
    char id[16];
    small_job_prepare(&s);
    snprintf(id, sizeof id, "%s", s.job->id);
    tm_job_close(&s.job);
    patch(s.model, -4, &other, sizeof other);
    ck_assert_int_eq(reopen(id), TM_E_VERIFY);
    ck_assert_ptr_null(s.job);
}
END_TEST

START_TEST(merge_wants_every_unit)
{
    small_job_prepare(&s);
    made_unit(&s, 0, 0);
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_E_STOPPED);
    ck_assert_ptr_nonnull(strstr(err.why, "1 of"));
    ck_assert(!tm_path_exists(s.out));
}
END_TEST

/* A chunk that rotted, or that a power cut took, is made again; it is never merged. */
START_TEST(a_rotten_chunk_is_no_result)
{
    small_job_prepare(&s);
    made_units(&s, UINT32_MAX, 0);
    struct tm_journal_result *results = NULL;
    size_t count = 0;
    char hex[TM_DIGEST_TEXT], path[256];
    ck_assert_int_eq(tm_job_results(s.job, &results, &count, &err), TM_OK);
    ck_assert_uint_eq(count, s.job->split.unit_count);
    tm_digest_hex(&results[2].leaf, hex);
    snprintf(path, sizeof path, "%s/objects/%.2s/%s", s.job->dir, hex, hex);
    patch(path, 5, "x", 1);
    tm_free(results);
    ck_assert_int_eq(tm_job_results(s.job, &results, &count, &err), TM_OK);
    ck_assert_uint_eq(count, s.job->split.unit_count - 1);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_ne(results[i].unit, 2);
    }
    tm_free(results);
}
END_TEST

static void read_all(const char *path, struct tm_buf *out)
{
    tm_buf_init(out, 1 << 24);
    ck_assert_int_eq(tm_file_read(path, out, &err), TM_OK);
}

START_TEST(the_package_is_the_same_each_time)
{
    struct tm_buf first, second;
    struct tm_package *package = NULL;
    small_job_prepare(&s);
    made_units(&s, UINT32_MAX, 0);
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_OK);
    read_all(s.out, &first);
    tm_job_close(&s.job);
    small_job_prepare(&s); /* a finished job starts anew */
    ck_assert(!s.job->existed);
    for (uint32_t u = s.job->split.unit_count; u > 0; u--) {
        made_unit(&s, u - 1, 0); /* another order of arrival */
    }
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_OK);
    read_all(s.out, &second);
    ck_assert(tm_view_eq(tm_buf_view(&first), tm_buf_view(&second)));
    ck_assert_int_eq(tm_package_open(s.out, &package, &err), TM_OK);
    ck_assert_int_eq(tm_package_check(package, &err), TM_OK);
    ck_assert_str_eq(tm_package_meta(package)->model_name, "model");
    ck_assert_uint_eq(tm_package_ledger(package)->node_count, 1);
    tm_package_close(&package);
    tm_buf_deinit(&first);
    tm_buf_deinit(&second);
}
END_TEST

START_TEST(units_are_found_by_source)
{
    small_job_prepare(&s);
    struct tm_digest none = tm_digest_of(tm_view_str("none"));
    ck_assert_uint_eq(tm_job_find_source(s.job, &s.job->unit_source[3]), 3);
    ck_assert_uint_eq(tm_job_find_source(s.job, &none), s.job->split.unit_count);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("job");
    TCase *tc = tcase_create("job");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_job_has_a_plan_units_and_digests);
    tcase_add_test(tc, the_same_command_finds_its_job_again);
    tcase_add_test(tc, a_running_job_is_refused);
    tcase_add_test(tc, values_that_do_not_fit_keep_their_tensor);
    tcase_add_test(tc, wrong_outputs_are_refused_before_any_work);
    tcase_add_test(tc, unknown_recipes_are_named);
    tcase_add_test(tc, resume_by_a_prefix_of_the_id);
    tcase_add_test(tc, a_changed_model_is_not_resumed);
    tcase_add_test(tc, merge_wants_every_unit);
    tcase_add_test(tc, a_rotten_chunk_is_no_result);
    tcase_add_test(tc, the_package_is_the_same_each_time);
    tcase_add_test(tc, units_are_found_by_source);
    suite_add_tcase(suite, tc);
    return suite;
}
