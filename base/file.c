/* SPDX-License-Identifier: Apache-2.0
 * Reading and atomic writing; folders and paths are in path.c. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/os.h"

/* ---- errors of the system ---- */

static const struct {
    int code;
    tm_status status;
    const char *why;
    const char *hint;
} os_errors[] = {
    {ENOENT, TM_E_NOT_FOUND, "no such file or folder", "check the path"},
    {ENOTDIR, TM_E_NOT_FOUND, "a part of the path is not a folder", "check the path"},
    {EACCES, TM_E_IO, "permission denied", "check the owner and the mode"},
    {EPERM, TM_E_IO, "operation not permitted", "check the owner and the mode"},
    {EROFS, TM_E_IO, "the file system is read-only", "choose another place"},
    {ENOSPC, TM_E_IO, "no space left on the file system", "free space or choose another place"},
    {EDQUOT, TM_E_IO, "no space left within the disk quota", "free space or choose another place"},
    {EFBIG, TM_E_IO, "no space left within the largest allowed file size",
     "raise the file size limit (ulimit -f) or choose another place"},
    {EISDIR, TM_E_USAGE, "it is a folder", "name a file"},
    {EXDEV, TM_E_USAGE, "it leaves the folder that it must be in", "name a path inside"},
    {ELOOP, TM_E_USAGE, "it is or passes a symbolic link that is not followed",
     "name the real path"},
    {ENAMETOOLONG, TM_E_LIMIT, "the name is too long", "choose a shorter name"},
    {EMFILE, TM_E_IO, "too many open files", "raise the limit of open files (ulimit -n)"},
    {ENFILE, TM_E_IO, "too many open files on this system", ""},
    {ENOMEM, TM_E_NOMEM, "out of memory", ""},
    {EIO, TM_E_IO, "the device reports an input/output error", "check the disk"},
};

tm_status tm_err_set_os(struct tm_err *err, int code, const char *where, const char *what)
{
    for (size_t i = 0; i < sizeof os_errors / sizeof os_errors[0]; i++) {
        if (os_errors[i].code == code) {
            return tm_err_set(err, os_errors[i].status, where, what, os_errors[i].hint, "%s",
                              os_errors[i].why);
        }
    }
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    tm_status status = tm_err_set(err, TM_E_IO, where, what, NULL, "%s (errno %d)",
                                  c != (locale_t)0 ? strerror_l(code, c) : "system error", code);
    if (c != (locale_t)0) {
        freelocale(c);
    }
    return status;
}

static tm_status no_memory(struct tm_err *err, const char *path, const char *what)
{
    return tm_err_set(err, TM_E_NOMEM, path, what, NULL, "out of memory");
}

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode)) {
        return "a folder";
    }
    if (S_ISLNK(mode)) {
        return "a symbolic link";
    }
    if (S_ISFIFO(mode)) {
        return "a named pipe";
    }
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

/* ---- reading ---- */

struct tm_file_in {
    int fd;
    uint64_t bytes;
    char *path;
};

/* A descriptor for reading, or -1. O_NONBLOCK: opening a named pipe must not wait for its writer.
 */
static int open_for_reading(const struct tm_root *root, const char *path)
{
    struct tm_root_at at;
    int code = tm_root_at(root, path, &at);
    if (code != 0) {
        errno = code;
        return -1;
    }
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | tm_root_nofollow(root);
    int fd = tm_os_openat(at.fd, at.name, flags, 0);
    tm_root_at_close(&at);
    return fd;
}

tm_status tm_file_open(const char *path, struct tm_file_in **out, struct tm_err *err)
{
    return tm_file_open_in(NULL, path, out, err);
}

tm_status tm_file_open_in(const struct tm_root *root, const char *path, struct tm_file_in **out,
                          struct tm_err *err)
{
    static const char what[] = "cannot open for reading";
    tm_status status = TM_OK;
    struct tm_file_in *file = tm_calloc(1, sizeof *file);
    if (file == NULL) {
        return no_memory(err, path, what);
    }
    file->path = tm_strdup(path);
    file->fd = open_for_reading(root, path);
    struct stat st;
    if (file->path == NULL) {
        status = no_memory(err, path, what);
    } else if (file->fd < 0 || fstat(file->fd, &st) != 0) {
        status = tm_err_set_os(err, errno, path, what);
    } else if (!S_ISREG(st.st_mode)) {
        status = tm_err_set(err, TM_E_USAGE, path, what, "name a regular file",
                            "it is %s, not a regular file", kind_of(st.st_mode));
    } else {
        file->bytes = (uint64_t)st.st_size;
        *out = file;
        return TM_OK;
    }
    tm_file_close(&file);
    return status;
}

void tm_file_close(struct tm_file_in **file)
{
    if (*file == NULL) {
        return;
    }
    if ((*file)->fd >= 0) {
        close((*file)->fd);
    }
    tm_free((*file)->path);
    tm_free(*file);
    *file = NULL;
}

uint64_t tm_file_bytes(const struct tm_file_in *file)
{
    return file->bytes;
}

const char *tm_file_path(const struct tm_file_in *file)
{
    return file->path;
}

tm_status tm_file_read_at(struct tm_file_in *file, uint64_t offset, void *out, size_t bytes,
                          struct tm_err *err)
{
    static const char what[] = "cannot read";
    uint64_t end = 0;
    if (!tm_add_u64(offset, bytes, &end) || end > file->bytes) {
        return tm_err_set(err, TM_E_MALFORMED, file->path, what, "the file may be cut short",
                          "%zu bytes at byte %" PRIu64 " pass the end of the file at %" PRIu64,
                          bytes, offset, file->bytes);
    }
    uint8_t *at = out;
    size_t left = bytes;
    while (left > 0) {
        ssize_t got = pread(file->fd, at, left, (off_t)(end - left));
        if (got > 0) {
            at += got;
            left -= (size_t)got;
        } else if (got == 0) {
            return tm_err_set(err, TM_E_MALFORMED, file->path, what,
                              "do not change a file while it is read",
                              "it shrank from %" PRIu64 " to %" PRIu64 " bytes since it was opened",
                              file->bytes, end - left);
        } else if (errno != EINTR) {
            return tm_err_set_os(err, errno, file->path, what);
        }
    }
    return TM_OK;
}

tm_status tm_file_read(const char *path, struct tm_buf *out, struct tm_err *err)
{
    return tm_file_read_in(NULL, path, out, err);
}

tm_status tm_file_read_in(const struct tm_root *root, const char *path, struct tm_buf *out,
                          struct tm_err *err)
{
    struct tm_file_in *file = NULL;
    size_t before = out->bytes;
    TM_TRY(tm_file_open_in(root, path, &file, err));
    TM_ASSERT(file != NULL);
    uint8_t *at = NULL;
    tm_status status = TM_E_LIMIT;
    if (file->bytes <= SIZE_MAX) {
        status = tm_buf_extend(out, (size_t)file->bytes, &at);
    }
    if (status == TM_E_LIMIT) {
        tm_err_set(err, status, path, "cannot read", NULL,
                   "it has %" PRIu64 " bytes, at most %zu are allowed here", file->bytes,
                   out->max_bytes - before);
    } else if (status != TM_OK) {
        no_memory(err, path, "cannot read");
    } else {
        status = tm_file_read_at(file, 0, at, (size_t)file->bytes, err);
    }
    if (status != TM_OK) {
        out->bytes = before;
    }
    tm_file_close(&file);
    return status;
}

/* ---- the table of temporary files, for signal handlers ---- */

#define SLOTS 64
enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_LIVE };

static struct {
    atomic_int state;
    int folder; /* that path starts from: a descriptor or AT_FDCWD */
    char path[TM_PATH_MAX];
} slots[SLOTS];

/* A slot for the path, or -1 when all are taken. */
static int slot_take(void)
{
    for (int i = 0; i < SLOTS; i++) {
        int expected = SLOT_FREE;
        if (atomic_compare_exchange_strong(&slots[i].state, &expected, SLOT_FILLING)) {
            return i;
        }
    }
    return -1;
}

static void slot_set(int slot, int folder, const char *path)
{
    atomic_store(&slots[slot].state, SLOT_FILLING);
    slots[slot].folder = folder;
    snprintf(slots[slot].path, sizeof slots[slot].path, "%s", path);
    atomic_store(&slots[slot].state, SLOT_LIVE);
}

static void slot_release(int slot)
{
    if (slot >= 0) {
        atomic_store(&slots[slot].state, SLOT_FREE);
    }
}

void tm_file_out_abort_all(void)
{
    int saved = errno;
    for (int i = 0; i < SLOTS; i++) {
        if (atomic_load(&slots[i].state) == SLOT_LIVE) {
            unlinkat(slots[i].folder, slots[i].path, 0);
        }
    }
    errno = saved;
}

/* ---- writing ---- */

struct tm_file_out {
    int fd;
    int slot;
    uint64_t at;
    char *path; /* for errors */
    char *temp;
    struct tm_root_at place; /* of path; fd -1 when there is none yet; the name points into path */
};

static const char write_what[] = "cannot write";

#define SUFFIX ".tmp-XXXXXX"
#define SUFFIX_RANDOM 6

/* Replaces the last six characters. */
static tm_status randomize(char *temp, struct tm_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t random[SUFFIX_RANDOM];
    ssize_t got = 0;
    do {
        got = getrandom(random, sizeof random, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof random) {
        return tm_err_set_os(err, errno, temp, "cannot make a random file name");
    }
    char *end = temp + strlen(temp) - SUFFIX_RANDOM;
    for (size_t i = 0; i < SUFFIX_RANDOM; i++) {
        end[i] = letters[random[i] % (sizeof letters - 1)];
    }
    return TM_OK;
}

static tm_status check_path(const char *path, struct tm_err *err)
{
    if (path[0] == '\0') {
        return tm_err_set(err, TM_E_USAGE, NULL, write_what, "name a file", "the path is empty");
    }
    if (strlen(path) + sizeof SUFFIX > TM_PATH_MAX) {
        return tm_err_set_os(err, ENAMETOOLONG, path, write_what);
    }
    return TM_OK;
}

static tm_status check_target(const struct tm_file_out *file, struct tm_err *err)
{
    const char *path = file->path;
    struct stat st;
    if (fstatat(file->place.fd, file->place.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? TM_OK : tm_err_set_os(err, errno, path, write_what);
    }
    if (!S_ISREG(st.st_mode)) {
        return tm_err_set(err, TM_E_USAGE, path, write_what, "choose another name",
                          "it is %s, not a regular file", kind_of(st.st_mode));
    }
    return TM_OK;
}

/* The lock says that the file has a writer (base/leftover.h). False when somebody who tidies up
 * took it away before it was locked. */
static bool claim(int fd)
{
    struct stat st;
    (void)flock(fd, LOCK_EX | LOCK_NB);
    return fstat(fd, &st) != 0 || st.st_nlink > 0;
}

static tm_status open_temp(struct tm_file_out *file, unsigned mode, struct tm_err *err)
{
    file->slot = slot_take();
    if (file->slot < 0) {
        return tm_err_set(err, TM_E_LIMIT, file->path, write_what, NULL,
                          "%d files are being written already", SLOTS);
    }
    for (int tries = 0; tries < 100; tries++) {
        TM_TRY(randomize(file->temp, err));
        /* Known to the signal handler before it exists, so that none is ever left behind. */
        slot_set(file->slot, file->place.fd, file->temp);
        file->fd = openat(file->place.fd, file->temp,
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (file->fd >= 0 && claim(file->fd)) {
            return TM_OK;
        }
        if (file->fd >= 0) {
            close(file->fd);
            file->fd = -1;
        } else if (errno != EEXIST && errno != EINTR) {
            break;
        }
    }
    return tm_err_set_os(err, errno, file->path, write_what);
}

/* The target's folder, and the temporary file in it. */
static tm_status begin(const struct tm_root *root, unsigned mode, struct tm_file_out *file,
                       struct tm_err *err)
{
    int code = tm_root_at(root, file->path, &file->place);
    if (code != 0) {
        file->place.fd = -1;
        return tm_err_set_os(err, code, file->path, write_what);
    }
    TM_TRY(check_target(file, err));
    size_t temp_bytes = strlen(file->place.name) + sizeof SUFFIX;
    file->temp = tm_alloc(temp_bytes);
    if (file->temp == NULL) {
        return no_memory(err, file->path, write_what);
    }
    snprintf(file->temp, temp_bytes, "%s%s", file->place.name, SUFFIX);
    return open_temp(file, mode, err);
}

tm_status tm_file_out_begin(const char *path, unsigned mode, struct tm_file_out **out,
                            struct tm_err *err)
{
    return tm_file_out_begin_in(NULL, path, mode, out, err);
}

tm_status tm_file_out_begin_in(const struct tm_root *root, const char *path, unsigned mode,
                               struct tm_file_out **out, struct tm_err *err)
{
    TM_TRY(check_path(path, err));
    struct tm_file_out *file = tm_calloc(1, sizeof *file);
    if (file == NULL) {
        return no_memory(err, path, write_what);
    }
    file->fd = -1;
    file->slot = -1;
    file->place.fd = -1;
    file->path = tm_strdup(path);
    tm_status status =
        file->path != NULL ? begin(root, mode, file, err) : no_memory(err, path, write_what);
    if (status != TM_OK) {
        tm_file_out_abort(&file);
        return status;
    }
    *out = file;
    return TM_OK;
}

tm_status tm_file_out_write_at(struct tm_file_out *file, uint64_t offset, const void *data,
                               size_t bytes, struct tm_err *err)
{
    uint64_t end = 0;
    if (!tm_add_u64(offset, bytes, &end) || end > INT64_MAX) {
        return tm_err_set_os(err, EFBIG, file->path, write_what);
    }
    const uint8_t *at = data;
    size_t left = bytes;
    while (left > 0) {
        ssize_t put = pwrite(file->fd, at, left, (off_t)(end - left));
        if (put > 0) {
            at += put;
            left -= (size_t)put;
        } else if (put == 0) {
            return tm_err_set_os(err, EIO, file->path, write_what);
        } else if (errno != EINTR) {
            return tm_err_set_os(err, errno, file->path, write_what);
        }
    }
    return TM_OK;
}

tm_status tm_file_out_write(struct tm_file_out *file, const void *data, size_t bytes,
                            struct tm_err *err)
{
    TM_TRY(tm_file_out_write_at(file, file->at, data, bytes, err));
    file->at += bytes;
    return TM_OK;
}

uint64_t tm_file_out_at(const struct tm_file_out *file)
{
    return file->at;
}

tm_status tm_file_out_temp(const struct tm_file_out *file, char *out)
{
    char folder[TM_PATH_MAX];
    TM_TRY(tm_path_dir(folder, file->path));
    return tm_path_join(out, folder, tm_path_base(file->temp));
}

static tm_status sync_and_close(struct tm_file_out *file, struct tm_err *err)
{
    if (tm_os_fsync(file->fd) != 0) {
        return tm_err_set_os(err, errno, file->path, "cannot sync to disk");
    }
    int rc = tm_os_close(file->fd);
    file->fd = -1;
    return rc == 0 ? TM_OK : tm_err_set_os(err, errno, file->path, write_what);
}

/* fsync of the folder that the file was put into. */
static tm_status sync_folder(const struct tm_file_out *file, struct tm_err *err)
{
    char folder[TM_PATH_MAX];
    TM_TRY(tm_path_dir(folder, file->path));
    bool open = file->place.fd != AT_FDCWD;
    struct tm_root_at at = {.fd = file->place.fd, .name = open ? "." : folder};
    return tm_dir_sync_at(&at, 0, folder, err);
}

tm_status tm_file_out_commit(struct tm_file_out **file_ref, struct tm_err *err)
{
    struct tm_file_out *file = *file_ref;
    const struct tm_root_at *place = &file->place;
    tm_status status = TM_OK;
    TM_TRY_GOTO(sync_and_close(file, err), done);
    if (renameat(place->fd, file->temp, place->fd, place->name) != 0) {
        status = tm_err_set_os(err, errno, file->path, "cannot rename the finished file");
        goto done;
    }
    slot_release(file->slot);
    file->slot = -1;
    status = sync_folder(file, err);
done:
    tm_file_out_abort(file_ref);
    return status;
}

void tm_file_out_abort(struct tm_file_out **file_ref)
{
    struct tm_file_out *file = *file_ref;
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    if (file->slot >= 0) { /* still has its temporary file */
        unlinkat(file->place.fd, file->temp, 0);
        slot_release(file->slot);
    }
    tm_root_at_close(&file->place);
    tm_free(file->path);
    tm_free(file->temp);
    tm_free(file);
    *file_ref = NULL;
}

tm_status tm_file_write_atomic(const char *path, unsigned mode, struct tm_view data,
                               struct tm_err *err)
{
    return tm_file_write_atomic_in(NULL, path, mode, data, err);
}

tm_status tm_file_write_atomic_in(const struct tm_root *root, const char *path, unsigned mode,
                                  struct tm_view data, struct tm_err *err)
{
    struct tm_file_out *file = NULL;
    TM_TRY(tm_file_out_begin_in(root, path, mode, &file, err));
    TM_ASSERT(file != NULL);
    tm_status status = tm_file_out_write(file, data.data, data.bytes, err);
    if (status != TM_OK) {
        tm_file_out_abort(&file);
        return status;
    }
    return tm_file_out_commit(&file, err);
}

tm_status tm_file_remove_in(const struct tm_root *root, const char *path, struct tm_err *err)
{
    struct tm_root_at at;
    int code = tm_root_at(root, path, &at);
    if (code == 0) {
        code = unlinkat(at.fd, at.name, 0) == 0 ? 0 : errno;
        tm_root_at_close(&at);
    }
    return code == 0 || code == ENOENT ? TM_OK
                                       : tm_err_set_os(err, code, path, "cannot remove the file");
}
