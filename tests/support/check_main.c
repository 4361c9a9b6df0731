/* SPDX-License-Identifier: Apache-2.0
 * The main() of every unit test program: runs the Check suite that the test file defines. */
#include <check.h>
#include <stdlib.h>

#include "tests/support/suite.h"

int main(void)
{
    SRunner *runner = srunner_create(tm_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
