/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/kernel_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"

static void print_bytes(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, "%s%02x", i == 0 ? "" : " ", bytes[i]);
    }
}

void tm_kernel_compare(const struct tm_kernel_outputs *o)
{
    const uint8_t *got = o->kernel, *want = o->reference;
    for (size_t i = 0; i < o->count; i++, got += o->element_bytes, want += o->element_bytes) {
        if (memcmp(got, want, o->element_bytes) == 0) {
            continue;
        }
        fprintf(stderr, "kernel %s of %s: element %zu is ", tm_kernel_name(tm_kernel_current()),
                o->what, o->first + i);
        print_bytes(got, o->element_bytes);
        fprintf(stderr, ", the reference gives ");
        print_bytes(want, o->element_bytes);
        fprintf(stderr, "\n");
        abort();
    }
}
