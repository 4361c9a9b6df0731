/* SPDX-License-Identifier: Apache-2.0
 * A program may be started with its standard input closed: the next descriptor is 0 then, and as
 * good as any other. For tests that this is so and that it is closed again. */
#ifndef TM_TESTS_LOWEST_FD_H
#define TM_TESTS_LOWEST_FD_H

#include <check.h>
#include <fcntl.h>
#include <unistd.h>

static inline void close_stdin(void)
{
    close(STDIN_FILENO);
}

static inline void nothing_in_its_place(void)
{
    ck_assert_msg(fcntl(STDIN_FILENO, F_GETFD) == -1, "descriptor 0 is still open");
}

#endif
