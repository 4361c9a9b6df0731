/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/os_fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static struct {
    unsigned left; /* calls until the fault; 0 = none is set */
    int code;
    bool forever, happened;
} faults[TM_OS_CALL_COUNT];

void tm_os_fail_at(enum tm_os_call call, unsigned n, int code)
{
    faults[call].left = n;
    faults[call].code = code;
    faults[call].forever = false;
    faults[call].happened = false;
}

void tm_os_fail_from(enum tm_os_call call, unsigned n, int code)
{
    tm_os_fail_at(call, n, code);
    faults[call].forever = true;
}

bool tm_os_failed(enum tm_os_call call)
{
    return faults[call].happened;
}

/* Whether this call fails, with errno set. */
static bool fails(enum tm_os_call call)
{
    if (faults[call].code == TM_OS_ODD || faults[call].left == 0 || --faults[call].left > 0) {
        return false;
    }
    faults[call].left = faults[call].forever ? 1 : 0;
    faults[call].happened = true;
    errno = faults[call].code;
    return true;
}

static bool is_odd(enum tm_os_call call)
{
    if (faults[call].code != TM_OS_ODD || faults[call].left == 0) {
        return false;
    }
    if (faults[call].left > 1) {
        faults[call].left--;
        return false;
    }
    faults[call].happened = true;
    return true;
}

/* The linker gives calls of NAME to __wrap_NAME, and calls of __real_NAME to NAME. */
#define WRAP(result, name, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters

WRAP(int, access, (const char *path, int mode))
{
    return fails(TM_OS_ACCESS) ? -1 : __real_access(path, mode);
}

WRAP(int, close, (int fd))
{
    int rc = __real_close(fd);
    return fails(TM_OS_CLOSE) ? -1 : rc;
}

/* What we call it for has an integer argument. */
WRAP(int, fcntl, (int fd, int command, ...))
{
    va_list rest;
    va_start(rest, command);
    int argument = va_arg(rest, int);
    va_end(rest);
    return fails(TM_OS_FCNTL) ? -1 : __real_fcntl(fd, command, argument);
}

WRAP(DIR *, fdopendir, (int fd))
{
    return fails(TM_OS_FDOPENDIR) ? NULL : __real_fdopendir(fd);
}

WRAP(int, flock, (int fd, int operation))
{
    return fails(TM_OS_FLOCK) ? -1 : __real_flock(fd, operation);
}

WRAP(int, fstat, (int fd, struct stat *out))
{
    return fails(TM_OS_FSTAT) ? -1 : __real_fstat(fd, out);
}

WRAP(int, fstatat, (int dir, const char *path, struct stat *out, int flags))
{
    return fails(TM_OS_FSTATAT) ? -1 : __real_fstatat(dir, path, out, flags);
}

WRAP(int, fsync, (int fd))
{
    return fails(TM_OS_FSYNC) ? -1 : __real_fsync(fd);
}

WRAP(int, link, (const char *from, const char *to))
{
    return fails(TM_OS_LINK) ? -1 : __real_link(from, to);
}

WRAP(int, openat, (int dir, const char *path, int flags, ...))
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(TM_OS_OPENAT) ? -1 : __real_openat(dir, path, flags, mode);
}

WRAP(ssize_t, pread, (int fd, void *out, size_t bytes, off_t at))
{
    if (fails(TM_OS_PREAD)) {
        return -1;
    }
    return __real_pread(fd, out, bytes > 1 && is_odd(TM_OS_PREAD) ? 1 : bytes, at);
}

WRAP(ssize_t, read, (int fd, void *out, size_t bytes))
{
    if (fails(TM_OS_READ)) {
        return -1;
    }
    return __real_read(fd, out, bytes > 1 && is_odd(TM_OS_READ) ? 1 : bytes);
}

WRAP(struct dirent *, readdir, (DIR * dir))
{
    static struct dirent endless;
    static uint32_t number;
    if (fails(TM_OS_READDIR)) {
        return NULL;
    }
    if (is_odd(TM_OS_READDIR)) {
        snprintf(endless.d_name, sizeof endless.d_name, "%u", number++);
        return &endless;
    }
    return __real_readdir(dir);
}

WRAP(int, renameat2, (int from_dir, const char *from, int to_dir, const char *to, unsigned flags))
{
    return fails(TM_OS_RENAMEAT2) ? -1 : __real_renameat2(from_dir, from, to_dir, to, flags);
}

WRAP(int, statvfs, (const char *path, struct statvfs *out))
{
    if (fails(TM_OS_STATVFS)) {
        return -1;
    }
    int rc = __real_statvfs(path, out);
    if (rc == 0 && is_odd(TM_OS_STATVFS)) {
        out->f_bavail = UINT64_MAX;
        out->f_frsize = 2;
    }
    return rc;
}

WRAP(long, syscall, (long number, ...))
{
    va_list rest;
    va_start(rest, number);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
    long d = va_arg(rest, long);
    va_end(rest);
    return fails(TM_OS_SYSCALL) ? -1 : __real_syscall(number, a, b, c, d);
}

WRAP(int, unlinkat, (int dir, const char *path, int flags))
{
    return fails(TM_OS_UNLINKAT) ? -1 : __real_unlinkat(dir, path, flags);
}

WRAP(ssize_t, write, (int fd, const void *data, size_t bytes))
{
    if (fails(TM_OS_WRITE)) {
        return -1;
    }
    return __real_write(fd, data, bytes > 1 && is_odd(TM_OS_WRITE) ? 1 : bytes);
}
