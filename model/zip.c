/* SPDX-License-Identifier: Apache-2.0 */
#include "model/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "model/crc32.h"
#include "model/where.h"

#define END_SIGNATURE 0x06054b50u
#define END_BYTES 22
#define LOCATOR_SIGNATURE 0x07064b50u
#define LOCATOR_BYTES 20
#define END64_SIGNATURE 0x06064b50u
#define END64_BYTES 56
#define CENTRAL_SIGNATURE 0x02014b50u
#define CENTRAL_BYTES 46
#define LOCAL_SIGNATURE 0x04034b50u
#define LOCAL_BYTES 30
#define COMMENT_MAX 65535

#define FLAG_ENCRYPTED 0x0001u
#define FLAG_DESCRIPTOR 0x0008u /* sizes and CRC follow the data */
#define FLAG_PATCH 0x0020u
#define FLAG_STRONG 0x0040u
#define FLAG_HIDDEN 0x2000u /* parts of the headers are masked */

#define EXTRA_ZIP64 1
#define NOT_HERE 0xffffffffu /* the value is in the ZIP64 field */

static const char what_failed[] = "cannot read the zip archive";

struct opener {
    struct tm_zip *zip;
    const char *path;
    uint64_t file_bytes;
    uint64_t directory_at, directory_bytes, count;
    struct tm_err *err;
};

static tm_status bad_at(const struct opener *o, uint64_t offset, const char *why)
{
    struct tm_where where;
    tm_where_byte(&where, o->path, offset);
    return tm_err_set(o->err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s", why);
}

static tm_status bad_entry(const struct opener *o, const struct tm_zip_entry *e, const char *why)
{
    struct tm_where where;
    tm_where_named(&where, o->path, "entry", e->name);
    return tm_err_set(o->err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s (at byte %llu)",
                      why, (unsigned long long)e->header);
}

static tm_status no_memory(const struct opener *o)
{
    return tm_err_set(o->err, TM_E_NOMEM, o->path, what_failed, NULL, "out of memory");
}

static tm_status read_at(const struct opener *o, uint64_t offset, uint8_t *out, size_t bytes)
{
    return tm_file_read_at(o->zip->file, offset, out, bytes, o->err);
}

/* ---- the end records ---- */

/* The end record is the last thing in the file, with a comment that ends where the file does. */
static tm_status find_end(const struct opener *o, uint64_t *at, uint8_t end[END_BYTES])
{
    uint64_t take =
        o->file_bytes < END_BYTES + COMMENT_MAX ? o->file_bytes : (uint64_t)END_BYTES + COMMENT_MAX;
    uint8_t *tail = tm_alloc((size_t)take);
    if (tail == NULL) {
        return no_memory(o);
    }
    tm_status status = read_at(o, o->file_bytes - take, tail, (size_t)take);
    bool found = false;
    for (uint64_t left = END_BYTES; status == TM_OK && left <= take && !found; left++) {
        const uint8_t *p = tail + take - left;
        found = tm_get_u32(p) == END_SIGNATURE && tm_get_u16(p + 20) == left - END_BYTES;
        if (found) {
            *at = o->file_bytes - left;
            memcpy(end, p, END_BYTES);
        }
    }
    tm_free(tail);
    if (status == TM_OK && !found) {
        return tm_err_set(o->err, TM_E_MALFORMED, o->path, what_failed, "fetch the file again",
                          "the end record of the archive is missing: the file is truncated, or "
                          "something follows the archive; it ends at byte %llu",
                          (unsigned long long)o->file_bytes);
    }
    return status;
}

/* Replaces what the end record says when a ZIP64 locator stands before it; both must agree where
 * both speak. *limit is where the directory must end. */
static tm_status read_end64(struct opener *o, uint64_t end_at, const uint8_t end[END_BYTES],
                            uint64_t *limit)
{
    uint8_t locator[LOCATOR_BYTES], end64[END64_BYTES];
    if (end_at < LOCATOR_BYTES + END64_BYTES) {
        return TM_OK;
    }
    TM_TRY(read_at(o, end_at - LOCATOR_BYTES, locator, LOCATOR_BYTES));
    if (tm_get_u32(locator) != LOCATOR_SIGNATURE) {
        return TM_OK;
    }
    uint64_t at = tm_get_u64(locator + 8), limit_at = end_at - LOCATOR_BYTES - END64_BYTES;
    if (tm_get_u32(locator + 4) != 0 || tm_get_u32(locator + 16) > 1) {
        return bad_at(o, end_at - LOCATOR_BYTES, "the archive is spread over several disks");
    }
    if (at > limit_at) {
        return bad_at(o, end_at - LOCATOR_BYTES, "the ZIP64 locator points past itself");
    }
    TM_TRY(read_at(o, at, end64, END64_BYTES));
    if (tm_get_u32(end64) != END64_SIGNATURE || tm_get_u64(end64 + 4) != limit_at - at + 44) {
        return bad_at(o, at, "no ZIP64 end record where the locator points");
    }
    if (tm_get_u32(end64 + 16) != 0 || tm_get_u32(end64 + 20) != 0 ||
        tm_get_u64(end64 + 24) != tm_get_u64(end64 + 32)) {
        return bad_at(o, at, "the archive is spread over several disks");
    }
    bool agree =
        (tm_get_u16(end + 10) == 0xffff || tm_get_u16(end + 10) == tm_get_u64(end64 + 32)) &&
        (tm_get_u32(end + 12) == NOT_HERE || tm_get_u32(end + 12) == tm_get_u64(end64 + 40)) &&
        (tm_get_u32(end + 16) == NOT_HERE || tm_get_u32(end + 16) == tm_get_u64(end64 + 48));
    if (!agree) {
        return bad_at(o, at, "the two end records disagree");
    }
    o->count = tm_get_u64(end64 + 32);
    o->directory_bytes = tm_get_u64(end64 + 40);
    o->directory_at = tm_get_u64(end64 + 48);
    *limit = at;
    return TM_OK;
}

static tm_status read_end(struct opener *o)
{
    uint8_t end[END_BYTES] = {0};
    uint64_t end_at = 0, limit = 0;
    if (o->file_bytes < END_BYTES) {
        return bad_at(o, 0, "too short to be an archive");
    }
    TM_TRY(find_end(o, &end_at, end));
    if (tm_get_u16(end + 4) != 0 || tm_get_u16(end + 6) != 0 ||
        tm_get_u16(end + 8) != tm_get_u16(end + 10)) {
        return bad_at(o, end_at, "the archive is spread over several disks");
    }
    limit = end_at;
    o->count = tm_get_u16(end + 10);
    o->directory_bytes = tm_get_u32(end + 12);
    o->directory_at = tm_get_u32(end + 16);
    TM_TRY(read_end64(o, end_at, end, &limit));
    if (o->directory_at > limit || o->directory_bytes != limit - o->directory_at) {
        return bad_at(o, end_at, "the central directory does not lie before the end record");
    }
    if (o->count > TM_ZIP_ENTRIES_MAX || o->directory_bytes > TM_ZIP_DIRECTORY_MAX ||
        o->count > o->directory_bytes / CENTRAL_BYTES) {
        return bad_at(o, end_at, "a count of entries that the central directory cannot hold");
    }
    return TM_OK;
}

/* ---- the central directory ---- */

/* Takes the values that are 0xffffffff in the fixed part from the ZIP64 field, in its order. */
static bool apply_zip64(struct tm_view extra, uint64_t *content, struct tm_zip_entry *e)
{
    uint64_t *const values[] = {content, &e->bytes, &e->header};
    struct tm_cursor c = tm_cursor_of(extra);
    while (tm_cursor_left(&c) > 0) {
        uint16_t id = tm_cursor_u16(&c);
        struct tm_cursor field = tm_cursor_of(tm_cursor_take(&c, tm_cursor_u16(&c)));
        if (c.overrun) {
            return false;
        }
        for (size_t i = 0; id == EXTRA_ZIP64 && i < 3; i++) {
            if (*values[i] == NOT_HERE) {
                *values[i] = tm_cursor_u64(&field);
            }
        }
        if (field.overrun) {
            return false;
        }
        if (id == EXTRA_ZIP64) {
            return true;
        }
    }
    return true;
}

static tm_status read_central(struct opener *o, struct tm_cursor *c, struct tm_zip_entry *e)
{
    uint64_t here = o->directory_at + c->at;
    uint32_t signature = tm_cursor_u32(c);
    tm_cursor_u16(c); /* made by */
    tm_cursor_u16(c); /* needed */
    unsigned flags = tm_cursor_u16(c);
    e->method = tm_cursor_u16(c);
    tm_cursor_u32(c); /* time and date */
    e->crc = tm_cursor_u32(c);
    e->bytes = tm_cursor_u32(c);
    uint64_t content = tm_cursor_u32(c);
    uint16_t name_bytes = tm_cursor_u16(c), extra_bytes = tm_cursor_u16(c),
             comment_bytes = tm_cursor_u16(c), disk = tm_cursor_u16(c);
    tm_cursor_u16(c); /* attributes */
    tm_cursor_u32(c);
    e->header = tm_cursor_u32(c);
    e->name = tm_cursor_take(c, name_bytes);
    struct tm_view extra = tm_cursor_take(c, extra_bytes);
    tm_cursor_take(c, comment_bytes);
    if (c->overrun || signature != CENTRAL_SIGNATURE) {
        return bad_at(o, here, "the central directory is damaged");
    }
    if (name_bytes == 0 || memchr(e->name.data, 0, e->name.bytes) != NULL) {
        return bad_at(o, here, "an entry without a name, or with a NUL in it");
    }
    if (!apply_zip64(extra, &content, e)) {
        return bad_entry(o, e, "its extra fields are damaged");
    }
    if ((flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_HIDDEN | FLAG_PATCH)) != 0) {
        return bad_entry(o, e, "it is encrypted or patched");
    }
    if (disk != 0) {
        return bad_entry(o, e, "it lies on another disk");
    }
    if (e->method == 0 && content != e->bytes) {
        return bad_entry(o, e, "it is stored, and its two sizes differ");
    }
    return TM_OK;
}

static int compare_names(struct tm_view a, struct tm_view b)
{
    int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int by_name(const void *a, const void *b)
{
    const struct tm_zip_entry *x = a, *y = b;
    return compare_names(x->name, y->name);
}

static int by_header(const void *a, const void *b)
{
    const struct tm_zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static tm_status read_directory(struct opener *o)
{
    struct tm_zip *zip = o->zip;
    uint8_t *at = NULL;
    zip->entries = tm_calloc((size_t)o->count, sizeof *zip->entries);
    if (zip->entries == NULL ||
        tm_buf_extend(&zip->directory, (size_t)o->directory_bytes, &at) != TM_OK) {
        return no_memory(o);
    }
    if (o->directory_bytes > 0) {
        TM_TRY(read_at(o, o->directory_at, at, (size_t)o->directory_bytes));
    }
    struct tm_cursor c = tm_cursor_of(tm_buf_view(&zip->directory));
    for (zip->count = 0; zip->count < o->count; zip->count++) {
        TM_TRY(read_central(o, &c, &zip->entries[zip->count]));
    }
    if (tm_cursor_left(&c) > 0) {
        return bad_at(o, o->directory_at + c.at, "bytes of the central directory left over");
    }
    return TM_OK;
}

/* ---- local headers ---- */

/* Sizes and CRC of the local header may be left to the data descriptor; then they are 0 there. */
static bool local_agrees(const uint8_t head[LOCAL_BYTES], const struct tm_zip_entry *e)
{
    unsigned flags = tm_get_u16(head + 6);
    uint32_t crc = tm_get_u32(head + 14), packed = tm_get_u32(head + 18);
    bool later = (flags & FLAG_DESCRIPTOR) != 0;
    bool size_ok = packed == e->bytes || packed == NOT_HERE || (later && packed == 0);
    bool crc_ok = crc == e->crc || (later && crc == 0);
    return size_ok && crc_ok && tm_get_u16(head + 8) == e->method &&
           (flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_HIDDEN | FLAG_PATCH)) == 0;
}

static tm_status read_local(struct opener *o, struct tm_zip_entry *e, uint8_t *name)
{
    uint8_t head[LOCAL_BYTES];
    if (e->header > o->directory_at || o->directory_at - e->header < LOCAL_BYTES + e->name.bytes) {
        return bad_entry(o, e, "its header lies outside of the archive");
    }
    TM_TRY(read_at(o, e->header, head, LOCAL_BYTES));
    if (tm_get_u32(head) != LOCAL_SIGNATURE) {
        return bad_entry(o, e, "no header where the central directory points");
    }
    if (tm_get_u16(head + 26) != e->name.bytes) {
        return bad_entry(o, e, "its header has another name than the central directory");
    }
    TM_TRY(read_at(o, e->header + LOCAL_BYTES, name, e->name.bytes));
    if (memcmp(name, e->name.data, e->name.bytes) != 0) {
        return bad_entry(o, e, "its header has another name than the central directory");
    }
    if (!local_agrees(head, e)) {
        return bad_entry(o, e, "its header and the central directory disagree");
    }
    e->at = e->header + LOCAL_BYTES + e->name.bytes + tm_get_u16(head + 28);
    if (e->at > o->directory_at || e->bytes > o->directory_at - e->at) {
        return bad_entry(o, e, "its data leaves the archive");
    }
    return TM_OK;
}

/* Reads all local headers in the order of the file: none may begin within the one before. */
static tm_status read_locals(struct opener *o)
{
    struct tm_zip *zip = o->zip;
    uint8_t *name = tm_alloc(UINT16_MAX);
    uint64_t end = 0;
    tm_status status = TM_OK;
    if (name == NULL) {
        return no_memory(o);
    }
    TM_ASSERT(zip->entries != NULL);
    if (zip->count > 0) {
        qsort(zip->entries, zip->count, sizeof *zip->entries, by_header);
    }
    for (size_t i = 0; i < zip->count && status == TM_OK; i++) {
        struct tm_zip_entry *e = &zip->entries[i];
        status = e->header < end ? bad_entry(o, e, "it overlaps the entry before it")
                                 : read_local(o, e, name);
        end = e->at + e->bytes;
    }
    tm_free(name);
    return status;
}

/* ---- the archive ---- */

tm_status tm_zip_open(struct tm_file_in *file, struct tm_zip *out, struct tm_err *err)
{
    struct opener o = {
        .zip = out, .path = tm_file_path(file), .file_bytes = tm_file_bytes(file), .err = err};
    memset(out, 0, sizeof *out);
    out->file = file;
    tm_buf_init(&out->directory, TM_ZIP_DIRECTORY_MAX);
    TM_TRY(read_end(&o));
    TM_TRY(read_directory(&o));
    TM_TRY(read_locals(&o));
    if (out->count > 0) {
        qsort(out->entries, out->count, sizeof *out->entries, by_name);
    }
    for (size_t i = 1; i < out->count; i++) {
        if (compare_names(out->entries[i - 1].name, out->entries[i].name) == 0) {
            return bad_entry(&o, &out->entries[i], "the name is there twice");
        }
    }
    return TM_OK;
}

void tm_zip_deinit(struct tm_zip *zip)
{
    tm_free(zip->entries);
    tm_buf_deinit(&zip->directory);
    memset(zip, 0, sizeof *zip);
}

const struct tm_zip_entry *tm_zip_find(const struct tm_zip *zip, struct tm_view name)
{
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(zip->entries[middle].name, name);
        if (order == 0) {
            return &zip->entries[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

tm_status tm_zip_check_stored(const struct tm_zip *zip, const struct tm_zip_entry *entry,
                              struct tm_err *err)
{
    struct tm_where where;
    if (entry->method == 0) {
        return TM_OK;
    }
    tm_where_named(&where, tm_file_path(zip->file), "entry", entry->name);
    return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed,
                      "unpack the archive and pack it again without compression",
                      "it is compressed (method %u), and torch stores entries as they are (at byte "
                      "%llu)",
                      entry->method, (unsigned long long)entry->header);
}

tm_status tm_zip_read(const struct tm_zip *zip, const struct tm_zip_entry *entry,
                      struct tm_buf *out, struct tm_err *err)
{
    struct tm_where where;
    uint8_t *at = NULL;
    TM_TRY(tm_zip_check_stored(zip, entry, err));
    tm_where_named(&where, tm_file_path(zip->file), "entry", entry->name);
    if (entry->bytes > out->max_bytes - out->bytes) {
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "it has %llu bytes, and at most %llu are read",
                          (unsigned long long)entry->bytes, (unsigned long long)out->max_bytes);
    }
    if (tm_buf_extend(out, (size_t)entry->bytes, &at) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, where.text, what_failed, NULL, "out of memory");
    }
    if (entry->bytes == 0) {
        return TM_OK;
    }
    TM_TRY(tm_file_read_at(zip->file, entry->at, at, (size_t)entry->bytes, err));
    uint32_t crc = tm_crc32(0, tm_view_of(at, (size_t)entry->bytes));
    if (entry->crc != 0 && crc != entry->crc) {
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, "fetch the file again",
                          "its checksum (CRC-32) is %08x, and the archive says %08x (at byte %llu)",
                          crc, entry->crc, (unsigned long long)entry->at);
    }
    return TM_OK;
}
