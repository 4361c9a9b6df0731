/* SPDX-License-Identifier: Apache-2.0
 * Lines of an HTTP head, one after the other. A range that is read can be written again: the line
 * holds its first byte in decimal. */
#include "node/edge/http_head.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_line(struct tm_view line)
{
    bool known = false;
    uint64_t start = 0;
    char text[32];
    bool status = tm_http_is_status_line(line);
    bool field = tm_http_content_range(line, &known, &start);
    TM_ASSERT(!(status && field));
    if (known) {
        int bytes = snprintf(text, sizeof text, "%" PRIu64 "-", start);
        TM_ASSERT(field && memmem(line.data, line.bytes, text, (size_t)bytes) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t bytes = end != NULL ? (size_t)(end - data) + 1 : size;
        fuzz_line(tm_view_of(data, bytes));
        data += bytes;
        size -= bytes;
    }
    return 0;
}
