/* SPDX-License-Identifier: Apache-2.0
 * The main() of every unit test program: runs the Check suite that the test file defines. */
#include <check.h>
#include <stdlib.h>

#include "tests/support/suite.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
/* libzmq and libgomp are not instrumented: what they do among themselves cannot be judged. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}
#endif
#endif

int main(void)
{
    SRunner *runner = srunner_create(tm_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
