/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int tm_os_open(const char *path, int flags, unsigned mode)
{
    return tm_os_openat(AT_FDCWD, path, flags, mode);
}

int tm_os_openat(int folder, const char *name, int flags, unsigned mode)
{
    int fd;
    do {
        fd = openat(folder, name, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int tm_os_flock(int fd, int operation)
{
    int rc;
    do {
        rc = flock(fd, operation);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

int tm_os_fsync(int fd)
{
    int rc;
    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

int tm_os_close(int fd)
{
    int rc = close(fd);
    return rc != 0 && errno == EINTR ? 0 : rc;
}
