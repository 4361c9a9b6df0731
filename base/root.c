/* SPDX-License-Identifier: Apache-2.0 */
#include "base/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"

#define TRIES 128 /* openat2 says EAGAIN when a folder moves while it looks */
#define FOLDER (O_PATH | O_DIRECTORY | O_CLOEXEC)

struct tm_root {
    int fd;
    char *dir;
};

static atomic_bool walk_always;
static atomic_bool no_openat2; /* seen once that the kernel has none */

void tm_root_force_walk(bool force)
{
    atomic_store(&walk_always, force);
}

/* ---- open and close ---- */

tm_status tm_root_open(const char *dir, struct tm_root **out, struct tm_err *err)
{
    static const char what[] = "cannot open the folder";
    *out = NULL;
    struct tm_root *root = tm_calloc(1, sizeof *root);
    if (root == NULL) {
        return tm_err_set(err, TM_E_NOMEM, dir, what, NULL, "out of memory");
    }
    tm_status status = TM_OK;
    root->fd = tm_os_open(dir, FOLDER, 0);
    if (root->fd < 0) {
        status = tm_err_set_os(err, errno, dir, what);
    } else {
        root->dir = tm_strdup(dir);
        if (root->dir == NULL) {
            status = tm_err_set(err, TM_E_NOMEM, dir, what, NULL, "out of memory");
        }
    }
    if (status != TM_OK) {
        tm_root_close(&root);
    }
    *out = root;
    return status;
}

void tm_root_close(struct tm_root **root)
{
    if (*root == NULL) {
        return;
    }
    if ((*root)->fd >= 0) {
        close((*root)->fd);
    }
    tm_free((*root)->dir);
    tm_free(*root);
    *root = NULL;
}

const char *tm_root_dir(const struct tm_root *root)
{
    return root->dir;
}

int tm_root_nofollow(const struct tm_root *root)
{
    return root != NULL ? O_NOFOLLOW : 0;
}

/* ---- resolving ---- */

#ifdef SYS_openat2
/* struct open_how of linux/openat2.h, which not every system's headers have. */
struct open_how_0 {
    uint64_t flags, mode, resolve;
};
#define RESOLVE_NO_MAGICLINKS_ 0x02u
#define RESOLVE_NO_SYMLINKS_ 0x04u
#define RESOLVE_BENEATH_ 0x08u

/* The folder `rest` below fd, or -1; *missing when the kernel does not offer the call. */
static int open_beneath(int fd, const char *rest, bool *missing)
{
    struct open_how_0 how = {
        .flags = FOLDER,
        .resolve = RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_ | RESOLVE_NO_MAGICLINKS_,
    };
    long got = -1;
    for (int tries = 0; tries < TRIES; tries++) {
        got = syscall(SYS_openat2, fd, rest, &how, sizeof how);
        if (got >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    /* EPERM: a seccomp filter that does not know the call. */
    *missing = got < 0 && (errno == ENOSYS || errno == EPERM);
    return (int)got;
}
#else
static int open_beneath(int fd, const char *rest, bool *missing)
{
    (void)fd;
    (void)rest;
    *missing = true;
    return -1;
}
#endif

/* O_DIRECTORY makes a link ENOTDIR; openat2 calls it ELOOP, and so do we. */
static int walk_error(int fd, const char *name)
{
    int code = errno;
    struct stat st;
    bool link =
        code == ENOTDIR && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    return link ? ELOOP : code;
}

/* The same component by component. */
static int open_walk(int fd, const char *rest)
{
    int at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    while (at >= 0 && *rest != '\0') {
        char name[TM_PATH_MAX];
        size_t bytes = strcspn(rest, "/");
        memcpy(name, rest, bytes);
        name[bytes] = '\0';
        int next = tm_os_openat(at, name, FOLDER | O_NOFOLLOW, 0);
        if (next < 0) {
            int code = walk_error(at, name);
            close(at);
            errno = code;
            return -1;
        }
        close(at);
        at = next;
        rest += bytes;
        rest += strspn(rest, "/");
    }
    return at;
}

static int open_folder(int fd, const char *rest)
{
    if (rest[0] == '\0') {
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    if (!atomic_load(&walk_always) && !atomic_load(&no_openat2)) {
        bool missing = false;
        int got = open_beneath(fd, rest, &missing);
        if (!missing) {
            return got;
        }
        atomic_store(&no_openat2, true);
    }
    return open_walk(fd, rest);
}

/* A ".." between slashes. */
static bool climbs(const char *rest)
{
    for (const char *at = rest; *at != '\0';) {
        size_t bytes = strcspn(at, "/");
        if (bytes == 2 && at[0] == '.' && at[1] == '.') {
            return true;
        }
        at += bytes;
        at += strspn(at, "/");
    }
    return false;
}

int tm_root_at(const struct tm_root *root, const char *path, struct tm_root_at *out)
{
    if (root == NULL) {
        *out = (struct tm_root_at){.fd = AT_FDCWD, .name = path};
        return 0;
    }
    char folder[TM_PATH_MAX];
    size_t dir = strlen(root->dir);
    const char *rest = path + dir;
    if (strncmp(path, root->dir, dir) != 0 ||
        (*rest != '\0' && *rest != '/' && root->dir[dir - 1] != '/') || climbs(rest)) {
        return EXDEV;
    }
    rest += strspn(rest, "/");
    if (strlen(rest) >= sizeof folder) {
        return ENAMETOOLONG;
    }
    const char *name = tm_path_base(rest);
    memcpy(folder, rest, (size_t)(name - rest));
    folder[name - rest] = '\0';
    int fd = open_folder(root->fd, folder);
    if (fd < 0) {
        return errno;
    }
    *out = (struct tm_root_at){.fd = fd, .name = *name != '\0' ? name : "."};
    return 0;
}

void tm_root_at_close(struct tm_root_at *at)
{
    if (at->fd >= 0) {
        int saved = errno;
        close(at->fd);
        at->fd = -1;
        errno = saved;
    }
}
