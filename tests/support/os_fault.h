/* SPDX-License-Identifier: Apache-2.0
 * Makes one system call of our own code fail, or move one byte only, in a unit test. A test that
 * includes this is linked with `--wrap` for each call below (tests/CMakeLists.txt), so what shared
 * libraries call is not touched. For tests of one thread. */
#ifndef TM_TESTS_OS_FAULT_H
#define TM_TESTS_OS_FAULT_H

#include <stdbool.h>

enum tm_os_call {
    TM_OS_ACCESS,
    TM_OS_CLOSE,
    TM_OS_FCNTL,
    TM_OS_FDOPENDIR,
    TM_OS_FLOCK,
    TM_OS_FSTAT,
    TM_OS_FSTATAT,
    TM_OS_FSYNC,
    TM_OS_LINK,
    TM_OS_OPENAT,
    TM_OS_PREAD,
    TM_OS_READ,
    TM_OS_READDIR,
    TM_OS_RENAMEAT2,
    TM_OS_STATVFS,
    TM_OS_SYSCALL, /* by number: openat2 */
    TM_OS_UNLINKAT,
    TM_OS_WRITE,
    TM_OS_CALL_COUNT
};

/* In the place of an errno value: read and write move one byte at most; readdir gives names without
 * end; statvfs tells of a file system of 2^64 blocks. From the n-th call on, not once. */
#define TM_OS_ODD (-1)

/* The n-th `call` from now (1 = the next) fails once with errno `code` (a close does close all the
 * same). n = 0 switches the fault of that call off. */
void tm_os_fail_at(enum tm_os_call call, unsigned n, int code);
/* That one and each after it. */
void tm_os_fail_from(enum tm_os_call call, unsigned n, int code);
/* Whether that has happened. */
bool tm_os_failed(enum tm_os_call call);

#endif
