/* SPDX-License-Identifier: Apache-2.0
 * Bytes as a file without a name, for fuzz targets of readers that want one. */
#ifndef TM_TESTS_MEMORY_FILE_H
#define TM_TESTS_MEMORY_FILE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

/* The descriptor to close; its path goes into path[64]. */
static inline int memory_file(const void *data, size_t bytes, char *path)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    TM_ASSERT(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
