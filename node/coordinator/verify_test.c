/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/verify.h"

#include <string.h>

#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static struct small_job s;
static struct tm_err err;
static struct tm_verify_report report;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    made_package_with(&s, "int4");
}

static void teardown(void)
{
    small_job_close(&s);
}

static tm_status verify(struct tm_verify_options options)
{
    options.package_path = s.out;
    options.quiet = true;
    return tm_verify(&options, &report, &err);
}

START_TEST(the_package_alone)
{
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_OK);
    ck_assert_uint_eq(report.chunks, SMALL_JOB_LOSSY + 1);
    ck_assert_uint_eq(report.signatures, report.chunks);
    ck_assert_uint_eq(report.decoded, report.chunks);
    ck_assert_uint_eq(report.units_checked, 0);
}
END_TEST

START_TEST(every_unit_against_the_source)
{
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     TM_OK);
    ck_assert_uint_eq(report.units_checked, SMALL_JOB_LOSSY + 1);
    ck_assert_uint_eq(report.units_lossless, 1);
    ck_assert_uint_eq(report.tensors_hashed, SMALL_JOB_MATRICES + 1);
}
END_TEST

START_TEST(a_sample_is_as_large_as_asked)
{
    uint64_t seed = 7;
    ck_assert_int_eq(
        verify((struct tm_verify_options){.model_path = s.model, .sample = 5, .seed = &seed}),
        TM_OK);
    ck_assert_uint_eq(report.units_checked, 5);
    ck_assert_uint_eq(report.seed, 7);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .sample = 5000}),
                     TM_OK);
    ck_assert_uint_eq(report.units_checked, report.units);
}
END_TEST

START_TEST(another_owner_is_refused)
{
    struct tm_identity *other = small_job_identity(2);
    ck_assert_int_eq(verify((struct tm_verify_options){.owner = tm_identity_public(s.owner)}),
                     TM_OK);
    ck_assert_int_eq(verify((struct tm_verify_options){.owner = tm_identity_public(other)}),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.what, "another key"));
    tm_identity_destroy(&other);
}
END_TEST

START_TEST(another_model_is_named_by_tensor_and_unit)
{
    FILE *f = fopen(s.model, "r+b");
    ck_assert_int_eq(fseek(f, -4, SEEK_END), 0);
    ck_assert_uint_eq(fwrite("\0\0\0\0", 1, 4, f), 4);
    fclose(f);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.where, "'layers.3.weight' unit"));
    ck_assert_ptr_nonnull(strstr(err.what, "not made from this model"));
}
END_TEST

START_TEST(a_model_with_other_tensors_is_no_source)
{
    char path[128];
    static const char header[] = "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    uint8_t bytes[8];
    tm_set_u64(bytes, sizeof header - 1);
    snprintf(path, sizeof path, "%s/x.safetensors", s.dir);
    FILE *f = fopen(path, "wb");
    fwrite(bytes, 8, 1, f);
    fwrite(header, 1, sizeof header - 1, f);
    fwrite("\0\0\0\0", 1, 4, f);
    fclose(f);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = path}), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "1 tensors"));
}
END_TEST

/* An owner who signs whatever a node sends: digests, signatures and ledger are all fine, but one
 * unit does not follow from the source. */
START_TEST(a_unit_that_does_not_follow_is_caught)
{
    small_job_prepare_with(&s, "int8");
    uint32_t unit = small_job_lossy_unit(&s) + 3;
    made_units(&s, unit, 0x41);
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_OK);
    tm_job_close(&s.job);
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_OK);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.what, "does not follow from the source"));
    char name[32];
    snprintf(name, sizeof name, "unit %u", unit);
    ck_assert_ptr_nonnull(strstr(err.where, name));
}
END_TEST

START_TEST(it_stops_when_asked)
{
    volatile int stop = 1;
    ck_assert_int_eq(
        verify((struct tm_verify_options){.model_path = s.model, .full = true, .stop = &stop}),
        TM_E_STOPPED);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("verify");
    TCase *tc = tcase_create("verify");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_package_alone);
    tcase_add_test(tc, every_unit_against_the_source);
    tcase_add_test(tc, a_sample_is_as_large_as_asked);
    tcase_add_test(tc, another_owner_is_refused);
    tcase_add_test(tc, another_model_is_named_by_tensor_and_unit);
    tcase_add_test(tc, a_model_with_other_tensors_is_no_source);
    tcase_add_test(tc, a_unit_that_does_not_follow_is_caught);
    tcase_add_test(tc, it_stops_when_asked);
    suite_add_tcase(suite, tc);
    return suite;
}
