/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a tar archive: a member that is found lies inside it. */
#include "model/tar.h"

#include "tests/support/memory_file.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct tm_file_in *file = NULL;
    struct tm_tar_member m;
    struct tm_err err;
    int fd = memory_file(data, size, path);
    tm_status status = tm_file_open(path, &file, &err);
    if (status == TM_OK) {
        status = tm_tar_find(file, "pickle", &m, &err);
    }
    TM_ASSERT(ok_or_ran_out(status) || status == TM_E_MALFORMED || status == TM_E_NOT_FOUND);
    TM_ASSERT(status != TM_OK || (m.at <= size && m.bytes <= size - m.at));
    tm_file_close(&file);
    close(fd);
    return 0;
}
