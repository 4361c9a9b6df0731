/* SPDX-License-Identifier: Apache-2.0
 * Files: bounded whole-file reads, positioned reads of one open file, atomic writes (temporary
 * file, fsync, rename, fsync of the directory), folders and paths. Errors name the path. A function
 * that ends in _in does the same as its namesake for a path below a root (base/root.h; NULL: none),
 * where no part of the path may be a symbolic link. */
#ifndef TM_BASE_FILE_H
#define TM_BASE_FILE_H

#include "base/buf.h"
#include "base/root.h"

#define TM_PATH_MAX 4096

/* Fills err from an errno value: status, reason and hint in words that do not depend on the locale
 * (ENOENT is TM_E_NOT_FOUND, a full disk says "no space left ..."). Returns the status. */
tm_status tm_err_set_os(struct tm_err *err, int code, const char *where, const char *what);

/* ---- reading ---- */

/* Appends the whole regular file to out; TM_E_LIMIT when it is larger than out allows. */
tm_status tm_file_read(const char *path, struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
tm_status tm_file_read_in(const struct tm_root *root, const char *path, struct tm_buf *out,
                          struct tm_err *err) TM_MUST_USE;

/* One regular file opened once, O_RDONLY; size taken at open. Reads are positioned and can be
 * shared by threads. A file that shrank since is TM_E_MALFORMED, never a signal. */
struct tm_file_in;
tm_status tm_file_open(const char *path, struct tm_file_in **out, struct tm_err *err) TM_MUST_USE;
tm_status tm_file_open_in(const struct tm_root *root, const char *path, struct tm_file_in **out,
                          struct tm_err *err) TM_MUST_USE;
void tm_file_close(struct tm_file_in **file);
uint64_t tm_file_bytes(const struct tm_file_in *file);
const char *tm_file_path(const struct tm_file_in *file);
tm_status tm_file_read_at(struct tm_file_in *file, uint64_t offset, void *out, size_t bytes,
                          struct tm_err *err) TM_MUST_USE;

/* ---- writing ---- */

/* A file that appears under its name only at commit, whole and synced. At most 64 at a time in a
 * process. Programs ignore SIGXFSZ, so that a file size limit is an error here and not their end.
 * */
struct tm_file_out;
/* Makes PATH's folder entry "PATH.tmp-XXXXXX"; mode e.g. 0644 or 0600. An existing target must be a
 * regular file (not a symbolic link, folder or device). */
tm_status tm_file_out_begin(const char *path, unsigned mode, struct tm_file_out **out,
                            struct tm_err *err) TM_MUST_USE;
tm_status tm_file_out_begin_in(const struct tm_root *root, const char *path, unsigned mode,
                               struct tm_file_out **out, struct tm_err *err) TM_MUST_USE;
tm_status tm_file_out_write(struct tm_file_out *file, const void *data, size_t bytes,
                            struct tm_err *err) TM_MUST_USE;
tm_status tm_file_out_write_at(struct tm_file_out *file, uint64_t offset, const void *data,
                               size_t bytes, struct tm_err *err) TM_MUST_USE;
uint64_t tm_file_out_at(const struct tm_file_out *file); /* bytes appended so far */
/* The temporary file's path into out[TM_PATH_MAX], to read what was written before it is committed.
 */
tm_status tm_file_out_temp(const struct tm_file_out *file, char *out) TM_MUST_USE;
/* fsync, rename over PATH, fsync of the folder; frees *file in every case. On failure the
 * temporary file is gone and PATH is as before. */
tm_status tm_file_out_commit(struct tm_file_out **file, struct tm_err *err) TM_MUST_USE;
void tm_file_out_abort(struct tm_file_out **file); /* removes the temporary file; NULL-safe */
/* begin, write, commit. */
tm_status tm_file_write_atomic(const char *path, unsigned mode, struct tm_view data,
                               struct tm_err *err) TM_MUST_USE;
tm_status tm_file_write_atomic_in(const struct tm_root *root, const char *path, unsigned mode,
                                  struct tm_view data, struct tm_err *err) TM_MUST_USE;
/* Removes a file (or a link itself); an absent one is TM_OK. */
tm_status tm_file_remove_in(const struct tm_root *root, const char *path,
                            struct tm_err *err) TM_MUST_USE;
/* Removes every temporary file of unfinished writes of this process; async-signal-safe. */
void tm_file_out_abort_all(void);

/* ---- folders and paths ---- */

/* mkdir -p with mode 0755 (or 0700 for private ones). */
tm_status tm_dir_make(const char *path, unsigned mode, struct tm_err *err) TM_MUST_USE;
/* mkdir of one folder below a root; one that is there is TM_OK. */
tm_status tm_dir_make_in(const struct tm_root *root, const char *path, unsigned mode,
                         struct tm_err *err) TM_MUST_USE;
/* fsync of a folder. EIO is fatal to the caller's operation and said so. */
tm_status tm_dir_sync(const char *path, struct tm_err *err) TM_MUST_USE;
tm_status tm_dir_sync_in(const struct tm_root *root, const char *path,
                         struct tm_err *err) TM_MUST_USE;
/* The same for a place that is open already; flags: O_NOFOLLOW or 0; path is for errors. */
tm_status tm_dir_sync_at(const struct tm_root_at *at, int flags, const char *path,
                         struct tm_err *err) TM_MUST_USE;
/* Sorted (bytewise) names without "." and ".."; free with tm_dir_list_free. */
struct tm_dir_list {
    char **names;
    size_t count;
};
tm_status tm_dir_list(const char *path, struct tm_dir_list *out, struct tm_err *err) TM_MUST_USE;
tm_status tm_dir_list_in(const struct tm_root *root, const char *path, struct tm_dir_list *out,
                         struct tm_err *err) TM_MUST_USE;
void tm_dir_list_free(struct tm_dir_list *list);
/* Removes a folder and all in it, never following links; an absent one is TM_OK. */
tm_status tm_dir_remove_tree(const char *path, struct tm_err *err) TM_MUST_USE;
tm_status tm_dir_remove_tree_in(const struct tm_root *root, const char *path,
                                struct tm_err *err) TM_MUST_USE;

/* Whether something is there; links are followed, but not below a root. When the system does not
 * say, tm_path_exists says no, and tm_path_find fails: what decides whether something is made anew
 * asks the latter. */
bool tm_path_exists(const char *path);
bool tm_path_exists_in(const struct tm_root *root, const char *path);
tm_status tm_path_find(const char *path, bool *found, struct tm_err *err) TM_MUST_USE;
tm_status tm_path_find_in(const struct tm_root *root, const char *path, bool *found,
                          struct tm_err *err) TM_MUST_USE;
bool tm_path_is_dir(const char *path);
bool tm_path_is_dir_in(const struct tm_root *root, const char *path);
bool tm_path_is_link(const char *path); /* the path itself is a symbolic link */
/* Whether both name the same existing file (device and inode, links followed). */
bool tm_path_same(const char *a, const char *b);
/* dir + "/" + name into out[TM_PATH_MAX]; TM_E_LIMIT when too long. */
tm_status tm_path_join(char *out, const char *dir, const char *name) TM_MUST_USE;
/* Whether a name that somebody gave may become a part of a path: [A-Za-z0-9._-], 1 to bytes_max
 * bytes, not starting with a dot. */
bool tm_path_name_ok(const char *name, size_t bytes_max);
/* What follows the last '/', borrowed from path; all of path without one. */
const char *tm_path_base(const char *path);
/* The folder part into out[TM_PATH_MAX] ("." when there is none). */
tm_status tm_path_dir(char *out, const char *path) TM_MUST_USE;
/* Free bytes of the file system that holds path (an existing path or its nearest parent). */
tm_status tm_path_free_bytes(const char *path, uint64_t *out, struct tm_err *err) TM_MUST_USE;

enum tm_xdg { TM_XDG_CONFIG, TM_XDG_DATA, TM_XDG_STATE, TM_XDG_CACHE };
/* $XDG_*_HOME/tmill (or the default under $HOME) into out[TM_PATH_MAX]; not created. */
tm_status tm_xdg_dir(enum tm_xdg kind, char *out, struct tm_err *err) TM_MUST_USE;

#endif
