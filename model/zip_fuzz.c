/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a zip archive: what is accepted lies inside it, does not overlap and has one name
 * each; stored entries can be read or have a wrong checksum. */
#include "model/zip.h"

#include <string.h>

#include "tests/support/memory_file.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tm_zip *zip, size_t size)
{
    struct tm_err err;
    uint64_t sum = 0;
    for (size_t i = 0; i < zip->count; i++) {
        const struct tm_zip_entry *e = &zip->entries[i];
        struct tm_buf out;
        TM_ASSERT(e->header < e->at && e->at <= size && e->bytes <= size - e->at);
        TM_ASSERT(tm_zip_find(zip, e->name) == e);
        sum += e->bytes;
        tm_buf_init(&out, size);
        tm_status status = tm_zip_check_stored(zip, e, &err);
        if (status == TM_OK) {
            status = tm_zip_read(zip, e, &out, &err);
            TM_ASSERT(status != TM_OK || out.bytes == e->bytes);
        }
        TM_ASSERT(ok_or_ran_out(status) || status == TM_E_MALFORMED);
        tm_buf_deinit(&out);
    }
    TM_ASSERT(sum <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct tm_file_in *file = NULL;
    struct tm_zip zip;
    struct tm_err err;
    int fd = memory_file(data, size, path);
    tm_status status = tm_file_open(path, &file, &err);
    TM_ASSERT(ok_or_ran_out(status));
    if (status == TM_OK) {
        status = tm_zip_open(file, &zip, &err);
        TM_ASSERT(ok_or_ran_out(status) || status == TM_E_MALFORMED);
        if (status == TM_OK) {
            check(&zip, size);
        }
        tm_zip_deinit(&zip);
    }
    tm_file_close(&file);
    close(fd);
    return 0;
}
