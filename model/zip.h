/* SPDX-License-Identifier: Apache-2.0
 * Directory of a zip archive (PKWARE APPNOTE 6.3.9, with ZIP64), read from an open file. What the
 * central directory says is checked against each local header: one archive, one meaning. Data is
 * read only when it is stored, not compressed. Private to model/. */
#ifndef TM_MODEL_ZIP_H
#define TM_MODEL_ZIP_H

#include "base/file.h"

#define TM_ZIP_ENTRIES_MAX (1u << 20)
#define TM_ZIP_DIRECTORY_MAX (128u << 20) /* bytes */

struct tm_zip_entry {
    struct tm_view name; /* into the directory; no NUL, not empty, unique */
    uint64_t header;     /* file offset of the local header */
    uint64_t at;         /* file offset of the data */
    uint64_t bytes;      /* in the file, and of the content when it is stored */
    uint32_t crc;        /* 0 also when the writer computed none (torch can) */
    uint16_t method;     /* 0: stored */
};

struct tm_zip {
    struct tm_file_in *file; /* borrowed */
    struct tm_buf directory;
    struct tm_zip_entry *entries; /* in bytewise order of names */
    size_t count;
};

/* TM_E_MALFORMED, with a byte offset, for: no or a doubtful end record, several disks, encrypted
 * entries, names twice, entries that overlap or leave the file, headers that disagree. Memory is
 * bounded by the bytes of the directory. The caller calls tm_zip_deinit in every case. */
tm_status tm_zip_open(struct tm_file_in *file, struct tm_zip *out, struct tm_err *err) TM_MUST_USE;
void tm_zip_deinit(struct tm_zip *zip);
/* NULL when there is none. */
const struct tm_zip_entry *tm_zip_find(const struct tm_zip *zip, struct tm_view name);
/* TM_E_MALFORMED when the entry is compressed. */
tm_status tm_zip_check_stored(const struct tm_zip *zip, const struct tm_zip_entry *entry,
                              struct tm_err *err) TM_MUST_USE;
/* The content of a stored entry appended to out; TM_E_MALFORMED when its CRC is wrong or it has
 * more than out can hold. */
tm_status tm_zip_read(const struct tm_zip *zip, const struct tm_zip_entry *entry,
                      struct tm_buf *out, struct tm_err *err) TM_MUST_USE;

#endif
