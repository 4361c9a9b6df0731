/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/num.h"

#define KERNEL_UNSET (-1)
static atomic_int current = KERNEL_UNSET;

const char *tm_kernel_name(enum tm_kernel kernel)
{
    static const char *const names[TM_KERNEL_COUNT] = {"ref", "avx2", "neon"};
    TM_ASSERT((unsigned)kernel < TM_KERNEL_COUNT);
    return names[kernel];
}

#if defined(__x86_64__)
/* clang 14 does not know "f16c" in __builtin_cpu_supports. */
static bool has_f16c(void)
{
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

bool tm_kernel_supported(enum tm_kernel kernel)
{
#if defined(__x86_64__)
    if (kernel == TM_KERNEL_AVX2) {
        /* The compiler's check of AVX2 includes that the OS saves the registers (XGETBV). */
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    }
#elif defined(__AARCH64EL__)
    if (kernel == TM_KERNEL_NEON) {
        return true; /* part of the base instruction set */
    }
#endif
    return kernel == TM_KERNEL_REF;
}

static enum tm_kernel best_supported(void)
{
    if (tm_kernel_supported(TM_KERNEL_AVX2)) {
        return TM_KERNEL_AVX2;
    }
    return tm_kernel_supported(TM_KERNEL_NEON) ? TM_KERNEL_NEON : TM_KERNEL_REF;
}

enum tm_kernel tm_kernel_current(void)
{
    int kernel = atomic_load_explicit(&current, memory_order_relaxed);
    if (kernel != KERNEL_UNSET) {
        return (enum tm_kernel)kernel;
    }
    /* A force by another thread in between wins. */
    int expected = KERNEL_UNSET;
    int best = (int)best_supported();
    return atomic_compare_exchange_strong(&current, &expected, best) ? (enum tm_kernel)best
                                                                     : (enum tm_kernel)expected;
}

tm_status tm_kernel_force(enum tm_kernel kernel)
{
    if (!tm_kernel_supported(kernel)) {
        return TM_E_USAGE;
    }
    atomic_store(&current, (int)kernel);
    return TM_OK;
}

tm_status tm_kernel_init_from_env(struct tm_err *err)
{
    const char *wanted = getenv("TMILL_KERNEL");
    if (wanted == NULL || wanted[0] == '\0') {
        return TM_OK;
    }
    bool known = false;
    char hint[64] = "supported here:";
    for (int k = 0; k < TM_KERNEL_COUNT; k++) {
        const char *name = tm_kernel_name((enum tm_kernel)k);
        bool supported = tm_kernel_supported((enum tm_kernel)k);
        if (strcmp(name, wanted) == 0) {
            if (supported) {
                return tm_kernel_force((enum tm_kernel)k);
            }
            known = true;
        }
        if (supported) {
            size_t used = strlen(hint);
            snprintf(hint + used, sizeof hint - used, " %s", name);
        }
    }
    return tm_err_set(
        err, TM_E_USAGE, "TMILL_KERNEL", "cannot choose the kernel", hint, "%s '%s'",
        known ? "this build, processor or system does not support" : "there is no kernel", wanted);
}

unsigned tm_cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = CPU_COUNT(&set);
    } else { /* more CPUs than the fixed set holds */
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    return count > 0 ? (unsigned)count : 1;
}

/* The number in memory.max of one cgroup folder; false when there is none ("max", no file). */
static bool read_memory_max(const char *folder, uint64_t *out)
{
    char path[600];
    int length = snprintf(path, sizeof path, "%s/memory.max", folder);
    int fd = length > 0 && (size_t)length < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    char text[32];
    ssize_t got = read(fd, text, sizeof text);
    close(fd);
    while (got > 0 && text[got - 1] == '\n') {
        got--;
    }
    return got > 0 && tm_parse_u64(tm_view_of(text, (size_t)got), out) == TM_OK;
}

/* This process's cgroup v2 folder into out; false without one. */
static bool cgroup_folder(char *out, size_t out_bytes)
{
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    char text[2048];
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) {
        return false;
    }
    text[got] = '\0';
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, "0::/", 4) == 0) {
            int bytes = (int)strcspn(line + 3, "\n");
            int length = snprintf(out, out_bytes, "/sys/fs/cgroup%.*s", bytes, line + 3);
            return length > 0 && (size_t)length < out_bytes;
        }
    }
    return false;
}

uint64_t tm_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
    static const char root[] = "/sys/fs/cgroup";
    char folder[512];
    if (!cgroup_folder(folder, sizeof folder)) {
        return bytes;
    }
    /* A limit on any folder above holds too. Inside a container the path may not exist, but the
     * container's own limit is then at the root. */
    while (strlen(folder) >= sizeof root - 1) {
        uint64_t limit = 0;
        if (read_memory_max(folder, &limit) && (bytes == 0 || limit < bytes)) {
            bytes = limit;
        }
        char *slash = strrchr(folder, '/');
        *slash = '\0';
    }
    return bytes;
}
