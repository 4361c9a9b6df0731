/* SPDX-License-Identifier: Apache-2.0
 * Which kernels run: the CPU and OS are asked once, TMILL_KERNEL can force one by name. Every
 * kernel gives the same bits (docs/decisions/0001). */
#ifndef TM_BASE_CPU_H
#define TM_BASE_CPU_H

#include "base/status.h"

enum tm_kernel { TM_KERNEL_REF, TM_KERNEL_AVX2, TM_KERNEL_NEON, TM_KERNEL_COUNT };

/* Initialiser of an array of TM_KERNEL_COUNT entries, one for each kernel that this build has:
 * name_ref and name_avx2 or name_neon. Its index is tm_kernel_current(). */
#if defined(__x86_64__)
#define TM_KERNEL_TABLE(name)                                                                      \
    {                                                                                              \
        [TM_KERNEL_REF] = name##_ref, [TM_KERNEL_AVX2] = name##_avx2                               \
    }
#elif defined(__AARCH64EL__)
#define TM_KERNEL_TABLE(name)                                                                      \
    {                                                                                              \
        [TM_KERNEL_REF] = name##_ref, [TM_KERNEL_NEON] = name##_neon                               \
    }
#else
#define TM_KERNEL_TABLE(name)                                                                      \
    {                                                                                              \
        [TM_KERNEL_REF] = name##_ref                                                               \
    }
#endif

const char *tm_kernel_name(enum tm_kernel kernel); /* "ref", "avx2", "neon" */
bool tm_kernel_supported(enum tm_kernel kernel);   /* by this build, CPU and OS */
/* The kernel in use: the best supported one unless forced. Thread-safe. */
enum tm_kernel tm_kernel_current(void);
/* Tests loop over kernels with this; unsupported ones are TM_E_USAGE. */
tm_status tm_kernel_force(enum tm_kernel kernel) TM_MUST_USE;
/* Called once by main(): applies TMILL_KERNEL; an unknown or unsupported name is TM_E_USAGE and the
 * hint lists the supported ones. */
tm_status tm_kernel_init_from_env(struct tm_err *err) TM_MUST_USE;
/* Logical CPUs this process may use, and physical memory in bytes (cgroup limits respected). */
unsigned tm_cpu_count(void);
uint64_t tm_memory_bytes(void);

#endif
