/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/leftover.h"
#include "base/os.h"
#include "base/utf8.h"
#include "crypto/digest.h"
#include "crypto/identity.h"

#define FORMAT_TEXT "tensormill-key-1"

/* ---- text ---- */

static bool name_ok(struct tm_view name)
{
    if (name.bytes > TM_KEY_NAME_MAX) {
        return false;
    }
    for (size_t at = 0; at < name.bytes;) {
        uint32_t code = 0;
        size_t bytes = tm_utf8_decode((const char *)name.data + at, name.bytes - at, &code);
        if (bytes == 0 || tm_utf8_is_control(code) || code == '"' || code == '\\') {
            return false;
        }
        at += bytes;
    }
    return true;
}

tm_status tm_keyfile_set_name(struct tm_keyfile *file, const char *name, struct tm_err *err)
{
    struct tm_view view = tm_view_str(name);
    if (!name_ok(view)) {
        return tm_err_set(err, TM_E_USAGE, NULL, "cannot use this key name",
                          "use up to 63 bytes without quotes, backslashes and control characters",
                          "it has %zu bytes or a character that is not allowed", view.bytes);
    }
    memset(file->name, 0, sizeof file->name);
    memcpy(file->name, view.data, view.bytes);
    return TM_OK;
}

tm_status tm_keyfile_format(const struct tm_keyfile *file, struct tm_buf *out)
{
    char public_text[TM_PUBLIC_KEY_TEXT];
    char seed_text[2 * TM_SEED_BYTES + 1];
    tm_public_key_text(&file->public_key, public_text);
    tm_hex_encode(file->seed, sizeof file->seed, seed_text);
    tm_status status = tm_buf_printf(
        out,
        "# Tensormill secret key. Whoever has this file can sign in your name.\n"
        "format = \"" FORMAT_TEXT "\"\nname = \"%s\"\npublic = \"%s\"\nseed = \"%s\"\n",
        file->name, public_text, seed_text);
    tm_wipe(seed_text, sizeof seed_text);
    return status;
}

struct parser {
    const char *where;
    unsigned line; /* from 1 */
    unsigned seen; /* bit set of enum field */
    struct tm_keyfile *out;
    struct tm_err *err;
};

static tm_status bad_line(const struct parser *p, const char *why)
{
    return tm_err_set(p->err, TM_E_MALFORMED, p->where, "not a Tensormill key file",
                      "restore the file from a copy, or make a new key with 'tmill key gen'",
                      "line %u: %s", p->line, why);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct tm_view trim(struct tm_view v)
{
    while (v.bytes > 0 && is_blank(v.data[0])) {
        v.data++;
        v.bytes--;
    }
    while (v.bytes > 0 && is_blank(v.data[v.bytes - 1])) {
        v.bytes--;
    }
    return v;
}

static tm_status set_format(struct parser *p, struct tm_view value)
{
    return tm_view_eq_str(value, FORMAT_TEXT) ? TM_OK
                                              : bad_line(p, "the format is not " FORMAT_TEXT);
}

static tm_status set_name(struct parser *p, struct tm_view value)
{
    if (!name_ok(value)) {
        return bad_line(p, "the name is too long or has a character that is not allowed");
    }
    memcpy(p->out->name, value.data, value.bytes);
    return TM_OK;
}

static tm_status set_public(struct parser *p, struct tm_view value)
{
    return tm_public_key_parse(value, &p->out->public_key, NULL) == TM_OK
               ? TM_OK
               : bad_line(p, "the public key is damaged");
}

static tm_status set_seed(struct parser *p, struct tm_view value)
{
    return tm_hex_decode(value, p->out->seed, TM_SEED_BYTES) == TM_OK
               ? TM_OK
               : bad_line(p, "the seed is not 64 hex digits");
}

enum field { FIELD_FORMAT, FIELD_NAME, FIELD_PUBLIC, FIELD_SEED, FIELD_COUNT };
static const struct {
    const char *name;
    tm_status (*set)(struct parser *p, struct tm_view value);
} fields[FIELD_COUNT] = {
    [FIELD_FORMAT] = {"format", set_format},
    [FIELD_NAME] = {"name", set_name},
    [FIELD_PUBLIC] = {"public", set_public},
    [FIELD_SEED] = {"seed", set_seed},
};

/* One line without its newline: blank, a comment, or  key = "value"  without escapes. */
static tm_status parse_line(struct parser *p, struct tm_view line)
{
    line = trim(line);
    if (line.bytes == 0 || line.data[0] == '#') {
        return TM_OK;
    }
    const uint8_t *equals = memchr(line.data, '=', line.bytes);
    if (equals == NULL) {
        return bad_line(p, "there is no '='");
    }
    size_t before = (size_t)(equals - line.data);
    struct tm_view key = trim(tm_view_of(line.data, before));
    struct tm_view value = trim(tm_view_of(equals + 1, line.bytes - before - 1));
    if (value.bytes < 2 || value.data[0] != '"' || value.data[value.bytes - 1] != '"' ||
        memchr(value.data + 1, '"', value.bytes - 2) != NULL) {
        return bad_line(p, "the value is not one string in double quotes");
    }
    for (int field = 0; field < FIELD_COUNT; field++) {
        if (!tm_view_eq_str(key, fields[field].name)) {
            continue;
        }
        if ((p->seen & 1U << field) != 0) {
            return bad_line(p, "this key is there twice");
        }
        p->seen |= 1U << field;
        return fields[field].set(p, tm_view_of(value.data + 1, value.bytes - 2));
    }
    return bad_line(p, "unknown key; a key file has format, name, public and seed");
}

static tm_status parse_text(struct parser *p, struct tm_view text)
{
    size_t at = 0;
    while (at < text.bytes) {
        p->line++;
        const uint8_t *begin = text.data + at;
        const uint8_t *end = memchr(begin, '\n', text.bytes - at);
        size_t bytes = end != NULL ? (size_t)(end - begin) : text.bytes - at;
        TM_TRY(parse_line(p, tm_view_of(begin, bytes)));
        at += bytes + 1;
    }
    const unsigned needed = 1U << FIELD_FORMAT | 1U << FIELD_PUBLIC | 1U << FIELD_SEED;
    if ((p->seen & needed) != needed) {
        return bad_line(p, "the file ends without format, public or seed");
    }
    return TM_OK;
}

tm_status tm_keyfile_parse(struct tm_view text, const char *where, struct tm_keyfile *out,
                           struct tm_err *err)
{
    memset(out, 0, sizeof *out);
    struct parser p = {.where = where, .out = out, .err = err};
    tm_status status = text.bytes <= TM_KEYFILE_BYTES_MAX
                           ? parse_text(&p, text)
                           : bad_line(&p, "the file is larger than 4096 bytes");
    if (status != TM_OK) {
        tm_wipe(out, sizeof *out);
    }
    return status;
}

/* ---- disk ---- */

static tm_status io_error(struct tm_err *err, const char *path, const char *what)
{
    int code = errno;
    return tm_err_set(err, TM_E_IO, path, what, NULL, "%s", strerror(code));
}

static int write_all(int fd, struct tm_view text)
{
    size_t done = 0;
    while (done < text.bytes) {
        ssize_t n = write(fd, text.data + done, text.bytes - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return tm_os_fsync(fd);
}

static tm_status exists_already(const char *path, struct tm_err *err)
{
    return tm_err_set(err, TM_E_REFUSED, path, "cannot write the key file",
                      "choose another name, or move the old key away yourself",
                      "the file exists, and a key is never overwritten");
}

/* Gives the file its name unless something has it; 0 or -1 and errno. */
static int name_new(const char *temp, const char *path)
{
    if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    /* A file system without that flag. */
    if (link(temp, path) != 0) {
        return -1;
    }
    (void)unlink(temp);
    return 0;
}

/* The temporary file's text and mode are synced before the name appears: a key is whole or absent,
 * whatever happens. */
static tm_status write_temp(int fd, struct tm_view text, const char *temp, const char *path,
                            struct tm_err *err)
{
    (void)tm_os_flock(fd, LOCK_EX | LOCK_NB); /* it has a writer: base/leftover.h */
    if (write_all(fd, text) != 0 || name_new(temp, path) != 0) {
        return errno == EEXIST ? exists_already(path, err)
                               : io_error(err, path, "cannot write the key file");
    }
    return TM_OK;
}

/* PATH.tmp-XXXXXX: what base/leftover.h finds. */
static tm_status temp_name(const char *path, char out[TM_PATH_MAX], struct tm_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char random[7] = "";
    uint8_t bytes[6];
    tm_random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        random[i] = letters[bytes[i] % (sizeof letters - 1)];
    }
    int n = snprintf(out, TM_PATH_MAX, "%s.tmp-%s", path, random);
    return (size_t)n < TM_PATH_MAX /* a negative one is huge */
               ? TM_OK
               : tm_err_set_os(err, ENAMETOOLONG, path, "cannot write the key file");
}

static tm_status write_new(const char *path, struct tm_view text, struct tm_err *err)
{
    char temp[TM_PATH_MAX], dir[TM_PATH_MAX];
    if (tm_path_exists(path) || tm_path_is_link(path)) {
        return exists_already(path, err);
    }
    TM_TRY(temp_name(path, temp, err));
    tm_status cut = tm_path_dir(dir, path);
    TM_ASSERT(cut == TM_OK); /* shorter than temp */
    tm_leftover_remove(path);
    int fd = tm_os_open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return io_error(err, path, "cannot make the key file");
    }
    tm_status status = write_temp(fd, text, temp, path, err);
    const char *made = status == TM_OK ? path : temp;
    if (tm_os_close(fd) != 0 && status == TM_OK) {
        status = io_error(err, path, "cannot write the key file");
    }
    if (status == TM_OK) {
        status = tm_dir_sync(dir, err);
    }
    if (status != TM_OK) {
        unlink(made); /* a key that a power cut may take is none */
    }
    return status;
}

tm_status tm_keyfile_save(const struct tm_keyfile *file, const char *path, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, TM_KEYFILE_BYTES_MAX);
    /* All room at once: a buffer that grows leaves copies of the seed behind. */
    tm_status status = tm_buf_reserve(&text, TM_KEYFILE_BYTES_MAX);
    if (status == TM_OK) {
        status = tm_keyfile_format(file, &text);
    }
    if (status != TM_OK) {
        tm_err_set(err, status, path, "cannot write the key file", NULL, "%s",
                   tm_status_text(status));
    } else {
        status = write_new(path, tm_buf_view(&text), err);
        tm_wipe(text.data, text.bytes);
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status check_mode(int fd, const char *path, struct tm_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return io_error(err, path, "cannot read the key file");
    }
    if (!S_ISREG(st.st_mode)) {
        return tm_err_set(err, TM_E_MALFORMED, path, "not a Tensormill key file", NULL,
                          "it is not a regular file");
    }
    if ((st.st_mode & 0077) != 0) {
        return tm_err_set(err, TM_E_VERIFY, path, "cannot use this key file",
                          "run chmod 600 on it, and make a new key if others may have read it",
                          "group or others can access it: its mode is %04o, not 0600",
                          (unsigned)(st.st_mode & 07777));
    }
    return TM_OK;
}

/* Reads at most TM_KEYFILE_BYTES_MAX + 1 bytes, so that a longer file is seen as one. */
static tm_status read_all(int fd, const char *path, uint8_t *out, size_t *bytes, struct tm_err *err)
{
    *bytes = 0;
    while (*bytes <= TM_KEYFILE_BYTES_MAX) {
        ssize_t n = read(fd, out + *bytes, TM_KEYFILE_BYTES_MAX + 1 - *bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? TM_OK : io_error(err, path, "cannot read the key file");
        }
        *bytes += (size_t)n;
    }
    return TM_OK;
}

tm_status tm_keyfile_load(const char *path, struct tm_keyfile *out, struct tm_err *err)
{
    memset(out, 0, sizeof *out);
    /* O_NONBLOCK: a FIFO in the place of the file must not make us wait. */
    int fd = tm_os_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0 && errno == ENOENT) {
        return tm_err_set(err, TM_E_NOT_FOUND, path, "cannot read the key file",
                          "make one with 'tmill key gen'", "%s", strerror(ENOENT));
    }
    if (fd < 0) {
        return io_error(err, path, "cannot read the key file");
    }
    uint8_t text[TM_KEYFILE_BYTES_MAX + 1];
    size_t bytes = 0;
    tm_status status = check_mode(fd, path, err);
    if (status == TM_OK) {
        status = read_all(fd, path, text, &bytes, err);
    }
    if (status == TM_OK) {
        status = tm_keyfile_parse(tm_view_of(text, bytes), path, out, err);
    }
    tm_wipe(text, sizeof text);
    close(fd);
    return status;
}
