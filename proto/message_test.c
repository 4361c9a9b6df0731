/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message.h"

#include "tests/support/suite.h"

START_TEST(names)
{
    ck_assert_str_eq(tm_msg_type_name(TM_MSG_HELLO), "HELLO");
    ck_assert_str_eq(tm_msg_type_name(TM_MSG_BYE), "BYE");
    ck_assert_str_eq(tm_msg_type_name((enum tm_msg_type)0), "unknown");
    ck_assert_str_eq(tm_msg_type_name((enum tm_msg_type)14), "unknown");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("message");
    TCase *tc = tcase_create("message");
    tcase_add_test(tc, names);
    suite_add_tcase(suite, tc);
    return suite;
}
