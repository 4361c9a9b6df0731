/* SPDX-License-Identifier: Apache-2.0
 * For LD_PRELOAD: from main on, counts the calls of malloc, calloc, realloc and the aligned ones of
 * the program and all its libraries, and lets the $FAIL_AT-th return NULL, or with $FAIL_FOREVER
 * that one and all after it. The count is written to $FAIL_LOG when the program ends by itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *ptr, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

typedef int main_fn(int argc, char **argv, char **envp);
typedef int start_fn(main_fn *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                     void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end);
void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *ptr, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
int posix_memalign(void **out, size_t alignment, size_t bytes);

static atomic_bool counting;
static _Atomic unsigned long count;
static unsigned long fail_at;
static bool forever;

static bool must_fail(void)
{
    if (!atomic_load(&counting)) {
        return false;
    }
    unsigned long n = atomic_fetch_add(&count, 1) + 1;
    if (fail_at == 0 || n < fail_at || (n > fail_at && !forever)) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t bytes)
{
    return must_fail() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes)
{
    return must_fail() ? NULL : __libc_calloc(number, bytes);
}

void *realloc(void *ptr, size_t bytes)
{
    return must_fail() ? NULL : __libc_realloc(ptr, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return must_fail() ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *ptr = must_fail() ? NULL : __libc_memalign(alignment, bytes);
    *out = ptr != NULL ? ptr : *out;
    return ptr != NULL ? 0 : ENOMEM;
}

__attribute__((destructor)) static void say_count(void)
{
    const char *path = getenv("FAIL_LOG");
    char text[32];
    atomic_store(&counting, false);
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    int bytes = snprintf(text, sizeof text, "%lu\n", atomic_load(&count));
    if (fd >= 0) {
        ssize_t put = write(fd, text, (size_t)bytes);
        (void)put;
        close(fd);
    }
}

/* OpenSSL loads its algorithms with 4,700 allocations and crashes when one fails: its start counts
 * as part of the loading of the program, like what comes before main. */
void *EVP_MD_fetch(void *library, const char *name, const char *properties);
void *EVP_MD_fetch(void *library, const char *name, const char *properties)
{
    typedef void *fetch_fn(void *library, const char *name, const char *properties);
    void *found = dlsym(RTLD_NEXT, "EVP_MD_fetch");
    fetch_fn *fetch;
    __builtin_memcpy(&fetch, &found, sizeof fetch);
    atomic_store(&counting, false);
    void *got = fetch(library, name, properties);
    atomic_store(&counting, true);
    return got;
}

static main_fn *real_main;

/* A child of the program is not of interest: it finds no shim. */
static int counted_main(int argc, char **argv, char **envp)
{
    const char *at = getenv("FAIL_AT");
    fail_at = at != NULL ? strtoul(at, NULL, 10) : 0;
    forever = getenv("FAIL_FOREVER") != NULL;
    unsetenv("LD_PRELOAD");
    atomic_store(&counting, true);
    return real_main(argc, argv, envp);
}

int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
    void *found = dlsym(RTLD_NEXT, "__libc_start_main");
    start_fn *start;
    _Static_assert(sizeof start == sizeof found, "a function's address");
    __builtin_memcpy(&start, &found, sizeof start);
    real_main = main;
    return start(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
