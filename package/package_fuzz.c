/* SPDX-License-Identifier: Apache-2.0
 * Packages from hostile bytes. The first byte chooses the way in: 0 tables behind a header whose
 * digests are not checked (as if the owner had signed anything), 1 a ledger, 2 both ends as a
 * device gets them, 3 a file. What parses must be written again to the same bytes. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "package/ledger.h"
#include "package/package_tables.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_tables(struct tm_view in)
{
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    struct tm_buf out;
    struct tm_err err;
    if (tm_pkg_header_parse(in, "fuzz", &layout, &err) != TM_OK || in.bytes < layout.front_bytes) {
        return;
    }
    struct tm_view tables = tm_view_of(in.data + TM_PACKAGE_HEADER_BYTES,
                                       (size_t)layout.front_bytes - TM_PACKAGE_HEADER_BYTES);
    tm_status status = tm_pkg_tables_parse(tables, "fuzz", &layout, &meta, &err);
    if (status != TM_OK) {
        TM_ASSERT(ran_out(status) || status == TM_E_MALFORMED || status == TM_E_VERIFY);
        TM_ASSERT(ran_out(status) || err.why[0] != '\0');
        return;
    }
    tm_buf_init(&out, tables.bytes);
    status = tm_pkg_tables_write(&meta, &out);
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(&out), tables));
    uint32_t owner = 0;
    for (uint32_t i = 0; i < meta.chunk_count; i++) {
        TM_ASSERT(tm_pkg_chunk_pipeline(&meta, i, &owner) < meta.pipeline_count);
    }
    tm_buf_deinit(&out);
    tm_pkg_meta_deinit(&meta);
}

static void fuzz_ledger(struct tm_view in)
{
    struct tm_pkg_ledger ledger;
    struct tm_buf out;
    struct tm_err err;
    uint32_t chunks = in.bytes >= 8 ? tm_get_u32(in.data + 4) : 0;
    tm_status status = tm_pkg_ledger_parse(in, 0, "fuzz", chunks, &ledger, &err);
    if (status != TM_OK) {
        TM_ASSERT(ran_out(status) || (status == TM_E_MALFORMED && err.why[0] != '\0'));
        return;
    }
    tm_buf_init(&out, in.bytes);
    status = tm_pkg_ledger_write(&ledger, chunks, &out, &err);
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(&out), in));
    tm_buf_deinit(&out);
    tm_pkg_ledger_deinit(&ledger);
}

static void fuzz_parts(struct tm_view in)
{
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    struct tm_err err;
    if (tm_pkg_layout_parse(in, &layout, &err) != TM_OK || in.bytes < layout.front_bytes ||
        in.bytes < layout.back_offset) {
        return;
    }
    struct tm_view front = tm_view_of(in.data, (size_t)layout.front_bytes);
    struct tm_view back =
        tm_view_of(in.data + layout.back_offset, in.bytes - (size_t)layout.back_offset);
    if (tm_pkg_parse_parts(front, back, "fuzz", NULL, NULL, &meta, &ledger, &err) == TM_OK) {
        tm_pkg_meta_deinit(&meta);
        tm_pkg_ledger_deinit(&ledger);
    }
}

static void fuzz_file(struct tm_view in)
{
    struct tm_package *package;
    struct tm_err err;
    char path[64];
    int fd = memfd_create("package_fuzz", 0);
    TM_ASSERT(fd >= 0);
    TM_ASSERT(write(fd, in.data, in.bytes) == (ssize_t)in.bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tm_status status = tm_package_open(path, &package, &err);
    if (status == TM_OK) {
        uint32_t good;
        status = tm_package_check(package, &err);
        TM_ASSERT(ok_or_ran_out(status) || tm_status_exit_code(status) == 4);
        status = tm_package_check_ledger(package, &good, &err);
        TM_ASSERT(ok_or_ran_out(status) || status == TM_E_VERIFY);
        tm_package_close(&package);
    } else {
        TM_ASSERT(ran_out(status) || tm_status_exit_code(status) == 4);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ways[])(struct tm_view) = {fuzz_tables, fuzz_ledger, fuzz_parts, fuzz_file};
    struct tm_err err;
    if (tm_crypto_init(&err) != TM_OK || size == 0) {
        return 0;
    }
    ways[data[0] % 4](tm_view_of(data + 1, size - 1));
    return 0;
}
