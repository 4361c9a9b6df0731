/* SPDX-License-Identifier: Apache-2.0
 * Preloaded into a program that runs in an emulator or under valgrind, where /proc/self/exe names
 * that one: a process started from there is started from $TMILL_SELF instead. */
#include <dlfcn.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *,
                     const posix_spawnattr_t *, char *const[], char *const[]);

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    void *found = dlsym(RTLD_NEXT, "posix_spawn");
    spawn_fn *next;
    memcpy(&next, &found, sizeof next);
    const char *self = getenv("TMILL_SELF");
    bool here = self != NULL && strcmp(path, "/proc/self/exe") == 0;
    return next(pid, here ? self : path, actions, attributes, argv, envp);
}
