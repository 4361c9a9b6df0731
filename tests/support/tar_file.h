/* SPDX-License-Identifier: Apache-2.0
 * Members of a tar archive, made for tests. */
#ifndef TM_TESTS_TAR_FILE_H
#define TM_TESTS_TAR_FILE_H

#include "model/tar.h"
#include "tests/support/model_files.h"

/* The end of the archive, two blocks of zeros, is up to the caller. */
static inline void tar_put(struct tm_buf *tar, const char *name, struct tm_view data, char type)
{
    uint8_t header[TM_TAR_BLOCK] = {0}, padding[TM_TAR_BLOCK] = {0};
    size_t bytes = data.bytes;
    unsigned sum = 0;
    memcpy(header, name, strlen(name));
    snprintf((char *)header + 124, 12, "%011o", (unsigned)bytes);
    header[156] = (uint8_t)type;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < sizeof header; i++) {
        sum += header[i];
    }
    snprintf((char *)header + 148, 8, "%06o", sum);
    put_bytes(tar, header, sizeof header);
    put_bytes(tar, data.data, bytes);
    put_bytes(tar, padding, (TM_TAR_BLOCK - bytes % TM_TAR_BLOCK) % TM_TAR_BLOCK);
}

#endif
