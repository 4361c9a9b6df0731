/* SPDX-License-Identifier: Apache-2.0
 * Makes one operation of SQLite fail in a unit test: a VFS over the system's one, and its memory
 * allocator. Nothing is synced to the disk, and a wait for a lock takes no time. One thread. */
#ifndef TM_TESTS_SQLITE_FAULT_H
#define TM_TESTS_SQLITE_FAULT_H

#include <stdbool.h>

enum tm_sqlite_op {
    TM_SQLITE_OPEN,
    TM_SQLITE_READ,
    TM_SQLITE_WRITE,
    TM_SQLITE_SYNC,
    TM_SQLITE_LOCK, /* of the file and of the shared memory of a WAL */
    TM_SQLITE_MAP,  /* of that shared memory */
    TM_SQLITE_ALLOC,
    TM_SQLITE_OP_COUNT
};

/* To be called before any other use of SQLite. */
void tm_sqlite_fault_install(void);
/* The n-th `op` from now (1 = the next) gives the result code `code`, and so does each one after it
 * when `forever` is set. n = 0 switches the fault off. */
void tm_sqlite_fail_at(enum tm_sqlite_op op, unsigned n, int code, bool forever);
/* What the system is said to have said (an errno value) at each error of the disk; at first 0. */
void tm_sqlite_system_error(int code);
/* Whether that has happened. */
bool tm_sqlite_failed(enum tm_sqlite_op op);

#endif
