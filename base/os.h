/* SPDX-License-Identifier: Apache-2.0
 * Calls of the system that may be interrupted by a signal: made again until they were not. Like the
 * calls of their names they return -1 and set errno. */
#ifndef TM_BASE_OS_H
#define TM_BASE_OS_H

/* The mode is used with O_CREAT only. */
int tm_os_open(const char *path, int flags, unsigned mode);
int tm_os_openat(int folder, const char *name, int flags, unsigned mode);
int tm_os_flock(int fd, int operation);
/* EIO is for the caller to pass on and never to be tried again: the pages that could not be written
 * are clean afterwards, and a second fsync would succeed without them. */
int tm_os_fsync(int fd);
/* On Linux a descriptor is closed even when close says EINTR, which is 0 here. */
int tm_os_close(int fd);

#endif
