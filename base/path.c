/* SPDX-License-Identifier: Apache-2.0
 * The folders and paths part of base/file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/os.h"

#define NAMES_MAX 1000000u /* entries of one folder */
#define DEPTH_MAX 64       /* of a tree to remove */

/* ---- folders ---- */

/* Makes the name of a new folder last: what is written into it is synced by its writer, who does
 * not know that the folder is new. A parent that we may not read is not ours to sync. */
static tm_status sync_parent(const char *path, struct tm_err *err)
{
    char parent[TM_PATH_MAX];
    tm_status cut = tm_path_dir(parent, path);
    TM_ASSERT(cut == TM_OK); /* tm_dir_make has seen that it fits */
    return access(parent, R_OK) == 0 ? tm_dir_sync(parent, err) : TM_OK;
}

static tm_status make_one(const char *path, unsigned mode, struct tm_err *err)
{
    static const char what[] = "cannot make the folder";
    if (mkdir(path, mode) == 0) {
        return sync_parent(path, err);
    }
    int code = errno;
    struct stat st;
    int stat_code = stat(path, &st) == 0 ? 0 : errno;
    if (stat_code == 0 && S_ISDIR(st.st_mode)) { /* a read-only file system may not say EEXIST */
        return TM_OK;
    }
    if (code == EEXIST && stat_code != 0 && stat_code != ENOENT) {
        return tm_err_set_os(err, stat_code, path, what);
    }
    if (code == EEXIST) { /* or a link to nothing */
        return tm_err_set(err, TM_E_USAGE, path, what, "choose another name",
                          "something that is not a folder has this name");
    }
    return tm_err_set_os(err, code, path, what);
}

tm_status tm_dir_make(const char *path, unsigned mode, struct tm_err *err)
{
    char part[TM_PATH_MAX];
    size_t bytes = strlen(path);
    if (bytes == 0 || bytes >= sizeof part) {
        return tm_err_set_os(err, bytes == 0 ? ENOENT : ENAMETOOLONG, path,
                             "cannot make the folder");
    }
    memcpy(part, path, bytes + 1);
    for (size_t i = 1; i < bytes; i++) {
        if (part[i] == '/' && part[i - 1] != '/') {
            part[i] = '\0';
            TM_TRY(make_one(part, mode, err));
            part[i] = '/';
        }
    }
    return make_one(part, mode, err);
}

tm_status tm_dir_make_in(const struct tm_root *root, const char *path, unsigned mode,
                         struct tm_err *err)
{
    struct tm_root_at at;
    struct stat st;
    int code = tm_root_at(root, path, &at);
    if (code == 0) {
        code = mkdirat(at.fd, at.name, mode) == 0 ? 0 : errno;
        if (code == EEXIST && fstatat(at.fd, at.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            code = errno;
        } else if (code == EEXIST) {
            code = S_ISDIR(st.st_mode) ? 0 : S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
        }
        tm_root_at_close(&at);
    }
    return code == 0 ? TM_OK : tm_err_set_os(err, code, path, "cannot make the folder");
}

/* A descriptor of the folder for reading, or -1. */
static int open_dir(const struct tm_root *root, const char *path)
{
    struct tm_root_at at;
    int code = tm_root_at(root, path, &at);
    if (code != 0) {
        errno = code;
        return -1;
    }
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | tm_root_nofollow(root);
    int fd = tm_os_openat(at.fd, at.name, flags, 0);
    tm_root_at_close(&at);
    return fd;
}

static const char sync_what[] = "cannot sync the folder to disk";

tm_status tm_dir_sync(const char *path, struct tm_err *err)
{
    return tm_dir_sync_in(NULL, path, err);
}

tm_status tm_dir_sync_in(const struct tm_root *root, const char *path, struct tm_err *err)
{
    struct tm_root_at at;
    int code = tm_root_at(root, path, &at);
    if (code != 0) {
        return tm_err_set_os(err, code, path, sync_what);
    }
    tm_status status = tm_dir_sync_at(&at, tm_root_nofollow(root), path, err);
    tm_root_at_close(&at);
    return status;
}

tm_status tm_dir_sync_at(const struct tm_root_at *at, int flags, const char *path,
                         struct tm_err *err)
{
    int fd = tm_os_openat(at->fd, at->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags, 0);
    if (fd < 0) {
        return tm_err_set_os(err, errno, path, sync_what);
    }
    int rc = tm_os_fsync(fd);
    int code = errno;
    close(fd);
    return rc == 0 ? TM_OK : tm_err_set_os(err, code, path, sync_what);
}

static bool is_dot_name(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static tm_status add_name(struct tm_dir_list *list, size_t *capacity, const char *name)
{
    if (list->count >= NAMES_MAX) {
        return TM_E_LIMIT;
    }
    if (list->count == *capacity) {
        size_t grown = *capacity > 0 ? *capacity * 2 : 16;
        char **names = tm_realloc_array(list->names, grown, sizeof *names);
        if (names == NULL) {
            return TM_E_NOMEM;
        }
        list->names = names;
        *capacity = grown;
    }
    list->names[list->count] = tm_strdup(name);
    if (list->names[list->count] == NULL) {
        return TM_E_NOMEM;
    }
    list->count++;
    return TM_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* opendir of a folder below the root. */
static DIR *open_stream(const struct tm_root *root, const char *path)
{
    int fd = open_dir(root, path);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) {
        int code = errno;
        close(fd);
        errno = code;
    }
    return dir;
}

tm_status tm_dir_list(const char *path, struct tm_dir_list *out, struct tm_err *err)
{
    return tm_dir_list_in(NULL, path, out, err);
}

tm_status tm_dir_list_in(const struct tm_root *root, const char *path, struct tm_dir_list *out,
                         struct tm_err *err)
{
    static const char what[] = "cannot list the folder";
    struct tm_dir_list list = {0};
    size_t capacity = 0;
    tm_status status = TM_OK;
    DIR *dir = open_stream(root, path);
    if (dir == NULL) {
        return tm_err_set_os(err, errno, path, what);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            status = errno != 0 ? tm_err_set_os(err, errno, path, what) : TM_OK;
            break;
        }
        if (!is_dot_name(entry->d_name)) {
            status = add_name(&list, &capacity, entry->d_name);
            if (status != TM_OK) {
                tm_err_set(err, status, path, what, NULL, "%s after %zu names",
                           tm_status_text(status), list.count);
                break;
            }
        }
    }
    closedir(dir);
    if (status != TM_OK) {
        tm_dir_list_free(&list);
        return status;
    }
    if (list.count > 0) {
        qsort(list.names, list.count, sizeof *list.names, compare_names);
    }
    *out = list;
    return TM_OK;
}

void tm_dir_list_free(struct tm_dir_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        tm_free(list->names[i]);
    }
    tm_free(list->names);
    *list = (struct tm_dir_list){0};
}

/* Empties the folder `name` in parent_fd, never following a link; 0 or errno. */
static int remove_inside(int parent_fd, const char *name, unsigned depth)
{
    if (depth > DEPTH_MAX) {
        return ENAMETOOLONG;
    }
    int fd = tm_os_openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int code = errno;
        if (fd >= 0) {
            close(fd);
        }
        return code;
    }
    int code = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            code = errno;
            break;
        }
        if (is_dot_name(entry->d_name) || unlinkat(fd, entry->d_name, 0) == 0) {
            continue;
        }
        code = errno;
        if (code == EISDIR || code == EPERM) { /* POSIX lets unlink of a folder say EPERM */
            code = remove_inside(fd, entry->d_name, depth + 1);
            if (code == 0 && unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0) {
                code = errno;
            }
        }
        if (code != 0 && code != ENOENT) {
            break;
        }
    }
    closedir(dir);
    return code == ENOENT ? 0 : code;
}

tm_status tm_dir_remove_tree(const char *path, struct tm_err *err)
{
    return tm_dir_remove_tree_in(NULL, path, err);
}

tm_status tm_dir_remove_tree_in(const struct tm_root *root, const char *path, struct tm_err *err)
{
    struct tm_root_at at;
    int code = tm_root_at(root, path, &at);
    if (code == 0) {
        code = remove_inside(at.fd, at.name, 1);
        if (code == 0 && unlinkat(at.fd, at.name, AT_REMOVEDIR) != 0) {
            code = errno;
        }
        tm_root_at_close(&at);
    }
    return code == 0 || code == ENOENT ? TM_OK
                                       : tm_err_set_os(err, code, path, "cannot remove the folder");
}

/* ---- paths ---- */

/* stat; without following below a root. 0 or errno. */
static int stat_in(const struct tm_root *root, const char *path, struct stat *st)
{
    struct tm_root_at at;
    int code = tm_root_at(root, path, &at);
    if (code == 0) {
        int flags = root != NULL ? AT_SYMLINK_NOFOLLOW : 0;
        code = fstatat(at.fd, at.name, st, flags) == 0 ? 0 : errno;
        tm_root_at_close(&at);
    }
    return code;
}

bool tm_path_exists(const char *path)
{
    return tm_path_exists_in(NULL, path);
}

bool tm_path_exists_in(const struct tm_root *root, const char *path)
{
    struct stat st;
    return stat_in(root, path, &st) == 0;
}

tm_status tm_path_find(const char *path, bool *found, struct tm_err *err)
{
    return tm_path_find_in(NULL, path, found, err);
}

tm_status tm_path_find_in(const struct tm_root *root, const char *path, bool *found,
                          struct tm_err *err)
{
    struct stat st;
    int code = stat_in(root, path, &st);
    *found = code == 0;
    return code == 0 || code == ENOENT || code == ENOTDIR
               ? TM_OK
               : tm_err_set_os(err, code, path, "cannot look whether it is there");
}

bool tm_path_is_dir(const char *path)
{
    return tm_path_is_dir_in(NULL, path);
}

bool tm_path_is_dir_in(const struct tm_root *root, const char *path)
{
    struct stat st;
    return stat_in(root, path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool tm_path_is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

bool tm_path_same(const char *a, const char *b)
{
    struct stat sa;
    struct stat sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

tm_status tm_path_join(char *out, const char *dir, const char *name)
{
    size_t dir_bytes = strlen(dir);
    bool slash = dir_bytes > 0 && dir[dir_bytes - 1] != '/';
    int length = snprintf(out, TM_PATH_MAX, "%s%s%s", dir, slash ? "/" : "", name);
    return (size_t)length < TM_PATH_MAX ? TM_OK : TM_E_LIMIT; /* a negative one is huge */
}

bool tm_path_name_ok(const char *name, size_t bytes_max)
{
    size_t bytes = strnlen(name, bytes_max + 1);
    if (bytes == 0 || bytes > bytes_max || name[0] == '.') {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        bool ok = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                  (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' || *c == '-';
        if (!ok) {
            return false;
        }
    }
    return true;
}

const char *tm_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

tm_status tm_path_dir(char *out, const char *path)
{
    size_t bytes = (size_t)(tm_path_base(path) - path);
    if (bytes >= TM_PATH_MAX) {
        return TM_E_LIMIT;
    }
    if (bytes == 0) {
        memcpy(out, ".", 2);
        return TM_OK;
    }
    while (bytes > 1 && path[bytes - 1] == '/') {
        bytes--;
    }
    memcpy(out, path, bytes);
    out[bytes] = '\0';
    return TM_OK;
}

tm_status tm_path_free_bytes(const char *path, uint64_t *out, struct tm_err *err)
{
    static const char what[] = "cannot ask for the free space";
    char at[TM_PATH_MAX];
    char parent[TM_PATH_MAX];
    if (strlen(path) >= sizeof at) {
        return tm_err_set_os(err, ENAMETOOLONG, path, what);
    }
    memcpy(at, path, strlen(path) + 1);
    struct statvfs fs;
    while (statvfs(at, &fs) != 0) {
        int code = errno;
        if (code == EINTR) {
            continue;
        }
        tm_status cut = tm_path_dir(parent, at);
        TM_ASSERT(cut == TM_OK); /* a part of what fits fits */
        if (code != ENOENT || strcmp(parent, at) == 0) {
            return tm_err_set_os(err, code, path, what);
        }
        memcpy(at, parent, sizeof at);
    }
    *out = UINT64_MAX;
    (void)tm_mul_u64(fs.f_bavail, fs.f_frsize, out); /* as it is when that is more */
    return TM_OK;
}

tm_status tm_xdg_dir(enum tm_xdg kind, char *out, struct tm_err *err)
{
    static const struct {
        const char *variable;
        const char *under_home;
    } places[] = {
        [TM_XDG_CONFIG] = {"XDG_CONFIG_HOME", ".config"},
        [TM_XDG_DATA] = {"XDG_DATA_HOME", ".local/share"},
        [TM_XDG_STATE] = {"XDG_STATE_HOME", ".local/state"},
        [TM_XDG_CACHE] = {"XDG_CACHE_HOME", ".cache"},
    };
    TM_ASSERT((unsigned)kind < sizeof places / sizeof places[0]);
    int length = 0;
    const char *dir = getenv(places[kind].variable);
    if (dir != NULL && dir[0] == '/') { /* the specification says to ignore relative ones */
        length = snprintf(out, TM_PATH_MAX, "%s/tmill", dir);
    } else {
        const char *home = getenv("HOME");
        if (home == NULL || home[0] != '/') {
            return tm_err_set(err, TM_E_USAGE, places[kind].variable,
                              "cannot find the user's folder", "set HOME to an absolute path",
                              "HOME is not set or not absolute");
        }
        length = snprintf(out, TM_PATH_MAX, "%s/%s/tmill", home, places[kind].under_home);
    }
    if ((size_t)length >= TM_PATH_MAX) { /* a negative one is huge */
        return tm_err_set_os(err, ENAMETOOLONG, places[kind].variable,
                             "cannot find the user's folder");
    }
    return TM_OK;
}
