/* SPDX-License-Identifier: Apache-2.0
 * What a unit test file defines. */
#ifndef TM_TESTS_SUITE_H
#define TM_TESTS_SUITE_H

#include <check.h>

/* The suite of the one module under test; owned by the runner. */
Suite *tm_suite(void);

#endif
