/* SPDX-License-Identifier: Apache-2.0
 * The reference beside the kernel: in a build with TMILL_CHECK_KERNELS (preset check-kernels) every
 * dispatched call runs both on the same inputs, and the first difference ends the program. Other
 * builds compile the same code and drop it. */
#ifndef TM_STAGES_KERNEL_CHECK_H
#define TM_STAGES_KERNEL_CHECK_H

#include <stddef.h>

#if defined(TMILL_CHECK_KERNELS)
#define TM_CHECK_KERNELS 1
#else
#define TM_CHECK_KERNELS 0
#endif

/* What both made of the same inputs: `count` elements, the first of which has the number `first` in
 * the whole output. */
struct tm_kernel_outputs {
    const char *what; /* function, for the message */
    const void *kernel, *reference;
    size_t first, count, element_bytes;
};

/* Returns when all bytes are equal. Else says which kernel, which function, the number of the first
 * element that differs and the bytes of both on stderr, and aborts. */
void tm_kernel_compare(const struct tm_kernel_outputs *outputs);

#endif
