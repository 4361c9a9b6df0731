/* SPDX-License-Identifier: Apache-2.0
 * A folder whose inside others may change while we work in it: a device's store, a job's folder, a
 * site to publish to. Every path below it is resolved from one descriptor without following a
 * symbolic link, so that nobody can turn a read or a write to a place outside by swapping a folder
 * for a link. The functions of base/file.h that end in _in take one.
 *
 * Linux 5.6 resolves in one call (openat2, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS); where that call
 * is missing or forbidden, component by component with O_NOFOLLOW. DIR itself is the caller's word
 * and may be, or pass, a link. */
#ifndef TM_BASE_ROOT_H
#define TM_BASE_ROOT_H

#include "base/status.h"

struct tm_root;
/* Opens the folder; the text of dir is what paths below it begin with. TM_E_NOT_FOUND when it is
 * not there. */
tm_status tm_root_open(const char *dir, struct tm_root **out, struct tm_err *err) TM_MUST_USE;
void tm_root_close(struct tm_root **root);
const char *tm_root_dir(const struct tm_root *root);

/* A folder and a name in it, for openat and the like. */
struct tm_root_at {
    int fd;           /* O_PATH, or AT_FDCWD without a root */
    const char *name; /* borrowed from path; "." for the root itself */
};
/* The place of path, which must begin with tm_root_dir(root). 0, or errno: ELOOP when a folder on
 * the way is a symbolic link, EXDEV when path has a ".." or is not below the root. root may be
 * NULL: then the name is the whole path. On failure there is nothing to close. */
int tm_root_at(const struct tm_root *root, const char *path, struct tm_root_at *out) TM_MUST_USE;
void tm_root_at_close(struct tm_root_at *at);
/* O_NOFOLLOW below a root, 0 without one. */
int tm_root_nofollow(const struct tm_root *root);

/* Component by component even where openat2 works; for tests. */
void tm_root_force_walk(bool force);

#endif
