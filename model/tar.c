/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tar.h"

#include <string.h>

#include "model/where.h"

static const char what_failed[] = "cannot read the tar archive";

#define NAME_BYTES 100
#define SIZE_AT 124
#define SIZE_BYTES 12
#define SUM_AT 148
#define SUM_BYTES 8
#define TYPE_AT 156
#define MEMBERS_MAX 10000u

/* An octal number, ended by a blank or NUL; false for anything else. */
static bool octal(const uint8_t *field, size_t bytes, uint64_t *out)
{
    size_t i = 0, digits = 0;
    *out = 0;
    while (i < bytes && field[i] == ' ') {
        i++;
    }
    for (; i < bytes && field[i] >= '0' && field[i] <= '7'; i++, digits++) {
        *out = *out << 3 | (uint64_t)(field[i] - '0');
    }
    return digits > 0 && digits < SIZE_BYTES && (i == bytes || field[i] == 0 || field[i] == ' ');
}

/* The sum of all bytes of the header, its own field taken as blanks. */
static uint64_t sum_of(const uint8_t *header)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TM_TAR_BLOCK; i++) {
        sum += i >= SUM_AT && i < SUM_AT + SUM_BYTES ? (uint8_t)' ' : header[i];
    }
    return sum;
}

bool tm_tar_is(struct tm_view head)
{
    uint64_t sum;
    return head.bytes >= TM_TAR_BLOCK && head.data[0] != 0 &&
           octal(head.data + SUM_AT, SUM_BYTES, &sum) && sum == sum_of(head.data);
}

static tm_status bad(struct tm_file_in *file, uint64_t at, const char *why, struct tm_err *err)
{
    struct tm_where where;
    tm_where_byte(&where, tm_file_path(file), at);
    return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, "fetch the file again", "%s",
                      why);
}

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, TM_TAR_BLOCK - 1) == 0;
}

static bool is_named(const uint8_t *header, const char *name)
{
    size_t bytes = strlen(name);
    const uint8_t *at = header;
    if (memcmp(at, "./", 2) == 0) { /* as `tar c .` writes it */
        at += 2;
    }
    return bytes < NAME_BYTES - 2 && memcmp(at, name, bytes + 1) == 0;
}

tm_status tm_tar_find(struct tm_file_in *file, const char *name, struct tm_tar_member *out,
                      struct tm_err *err)
{
    uint64_t total = tm_file_bytes(file), at = 0, size = 0;
    bool found = false;
    for (uint32_t members = 0; at < total; members++) {
        uint8_t header[TM_TAR_BLOCK];
        if (total - at < TM_TAR_BLOCK) {
            return bad(file, at, "it ends within a header", err);
        }
        TM_TRY(tm_file_read_at(file, at, header, sizeof header, err));
        if (is_zero(header)) {
            break;
        }
        if (!tm_tar_is(tm_view_of(header, sizeof header)) ||
            !octal(header + SIZE_AT, SIZE_BYTES, &size)) {
            return bad(file, at, "a header with a wrong checksum or size", err);
        }
        at += TM_TAR_BLOCK;
        if (size > total - at || members == MEMBERS_MAX) {
            return bad(file, at - TM_TAR_BLOCK, "a member that is longer than the file", err);
        }
        bool plain = header[TYPE_AT] == '0' || header[TYPE_AT] == 0;
        if (plain && is_named(header, name)) {
            if (found) {
                return bad(file, at - TM_TAR_BLOCK, "a name that is there twice", err);
            }
            found = true;
            *out = (struct tm_tar_member){at, size};
        }
        uint64_t padding = (TM_TAR_BLOCK - size % TM_TAR_BLOCK) % TM_TAR_BLOCK;
        at += size + (padding < total - at - size ? padding : total - at - size);
    }
    return found ? TM_OK
                 : tm_err_set(err, TM_E_NOT_FOUND, tm_file_path(file), what_failed, NULL,
                              "it has no member '%s'", name);
}
