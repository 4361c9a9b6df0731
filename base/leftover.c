/* SPDX-License-Identifier: Apache-2.0 */
#include "base/leftover.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define MARK ".tmp-"
#define RANDOM_CHARACTERS 6

/* Whether name is base and a temporary ending; base NULL: of any file. */
static bool is_temporary(const char *name, const char *base)
{
    size_t bytes = strlen(name), end = sizeof MARK - 1 + RANDOM_CHARACTERS;
    if (bytes <= end || memcmp(name + bytes - end, MARK, sizeof MARK - 1) != 0) {
        return false;
    }
    const char *random = name + bytes - RANDOM_CHARACTERS;
    if (strspn(random, "abcdefghijklmnopqrstuvwxyz0123456789") != RANDOM_CHARACTERS) {
        return false;
    }
    return base == NULL || (strlen(base) == bytes - end && memcmp(name, base, bytes - end) == 0);
}

/* Removes the file when nobody holds its lock. */
static void remove_abandoned(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        unlink(path);
    }
    close(fd);
}

static void remove_matching(const char *folder, const char *base)
{
    char path[TM_PATH_MAX];
    struct tm_dir_list names;
    if (tm_dir_list(folder, &names, NULL) != TM_OK) {
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (is_temporary(names.names[i], base) &&
            tm_path_join(path, folder, names.names[i]) == TM_OK) {
            remove_abandoned(path);
        }
    }
    tm_dir_list_free(&names);
}

void tm_leftover_remove(const char *path)
{
    char folder[TM_PATH_MAX];
    if (tm_path_dir(folder, path) == TM_OK) {
        remove_matching(folder, tm_path_base(path));
    }
}

void tm_leftover_remove_all(const char *folder)
{
    remove_matching(folder, NULL);
}
