/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/pipeline_encode.h"

#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

START_TEST(selftest_holds_for_every_kernel)
{
    struct tm_err err;
    struct tm_digest first, digest;
    bool any = false;
    FOR_EACH_KERNEL(kernel)
    {
        tm_status status = tm_selftest(&digest, &err);
        ck_assert_msg(status == TM_OK, "%s", err.why);
        ck_assert(!any || tm_digest_eq(&first, &digest));
        first = digest;
        any = true;
    }
    ck_assert(any);
    ck_assert_int_eq(tm_selftest(NULL, NULL), TM_OK);
}
END_TEST

START_TEST(encoders_digest_is_stable)
{
    struct tm_digest a = tm_encoders_digest(), b = tm_encoders_digest();
    ck_assert(tm_digest_eq(&a, &b));
    ck_assert(!tm_digest_is_zero(&a));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("selftest_encode");
    TCase *tc = tcase_create("selftest_encode");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, selftest_holds_for_every_kernel);
    tcase_add_test(tc, encoders_digest_is_stable);
    suite_add_tcase(suite, tc);
    return suite;
}
