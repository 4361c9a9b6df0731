/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_file.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define VERSION 1
#define FIXED_BYTES (3 * TM_DIGEST_BYTES + TM_CAL_ARCH_BYTES + 4 * 4 + 8 + 4 * 4)
#define RANGE_BYTES 16
#define SECTION_BYTES (8 + TM_DIGEST_BYTES)
#define HEADER_BYTES_MAX                                                                           \
    (FIXED_BYTES + TM_CAL_RANGES_MAX * RANGE_BYTES +                                               \
     TM_CAL_LAYERS_MAX * TM_CAL_SECTIONS * SECTION_BYTES)

static const uint8_t magic[8] = {'T', 'M', 'C', 'A', '\r', '\n', 0x1a, '\n'};
static const char what_read[] = "cannot read the calibration";
static const char hint_damaged[] = "the file is damaged: make or fetch it again";

/* ---- headers ---- */

void tm_cal_header_deinit(struct tm_cal_header *header)
{
    tm_free(header->ranges);
    *header = (struct tm_cal_header){0};
}

tm_status tm_cal_header_copy(const struct tm_cal_header *from, struct tm_cal_header *out)
{
    *out = *from;
    out->ranges = tm_memdup(from->ranges, from->range_count * sizeof *from->ranges);
    if (out->ranges == NULL) {
        *out = (struct tm_cal_header){0};
        return TM_E_NOMEM;
    }
    return TM_OK;
}

uint64_t tm_cal_windows_covered(const struct tm_cal_header *header)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < header->range_count; i++) {
        sum += header->ranges[i].end - header->ranges[i].first;
    }
    return sum;
}

bool tm_cal_same_windows(const struct tm_cal_header *a, const struct tm_cal_header *b)
{
    return a->range_count == b->range_count &&
           memcmp(a->ranges, b->ranges, a->range_count * sizeof *a->ranges) == 0;
}

const char *tm_cal_difference(const struct tm_cal_header *a, const struct tm_cal_header *b)
{
    if (!tm_digest_eq(&a->model, &b->model) || a->layers != b->layers ||
        memcmp(a->arch, b->arch, sizeof a->arch) != 0) {
        return "model";
    }
    if (!tm_digest_eq(&a->text, &b->text)) {
        return "text";
    }
    if (!tm_digest_eq(&a->ids, &b->ids) || a->first_token != b->first_token ||
        a->windows != b->windows) {
        return a->context != b->context ? "length of the windows" : "tokens of the text";
    }
    return a->context != b->context         ? "length of the windows"
           : a->width != b->width           ? "width of the blocks"
           : a->held_every != b->held_every ? "windows that are held out"
                                            : NULL;
}

/* ---- bytes ---- */

static tm_status put_header(const struct tm_cal_header *h, const struct tm_cal_section *sections,
                            struct tm_buf *out)
{
    TM_TRY(tm_buf_put(out, h->model.b, TM_DIGEST_BYTES));
    TM_TRY(tm_buf_put(out, h->text.b, TM_DIGEST_BYTES));
    TM_TRY(tm_buf_put(out, h->ids.b, TM_DIGEST_BYTES));
    TM_TRY(tm_buf_put(out, h->arch, sizeof h->arch));
    TM_TRY(tm_buf_put_u32(out, h->context));
    TM_TRY(tm_buf_put_u32(out, h->first_token));
    TM_TRY(tm_buf_put_u32(out, h->width));
    TM_TRY(tm_buf_put_u32(out, h->held_every));
    TM_TRY(tm_buf_put_u64(out, h->windows));
    TM_TRY(tm_buf_put_u32(out, h->layers));
    TM_TRY(tm_buf_put_u32(out, h->layer_first));
    TM_TRY(tm_buf_put_u32(out, h->layer_count));
    TM_TRY(tm_buf_put_u32(out, h->range_count));
    for (uint32_t i = 0; i < h->range_count; i++) {
        TM_TRY(tm_buf_put_u64(out, h->ranges[i].first));
        TM_TRY(tm_buf_put_u64(out, h->ranges[i].end));
    }
    for (size_t i = 0; i < (size_t)h->layer_count * TM_CAL_SECTIONS; i++) {
        TM_TRY(tm_buf_put_u64(out, sections[i].bytes));
        TM_TRY(tm_buf_put(out, sections[i].digest.b, TM_DIGEST_BYTES));
    }
    return TM_OK;
}

tm_status tm_cal_header_write(const struct tm_cal_header *header,
                              const struct tm_cal_section *sections, struct tm_buf *out)
{
    size_t begin = out->bytes;
    uint8_t *front;
    TM_TRY(tm_buf_extend(out, TM_CAL_FRONT_BYTES, &front));
    TM_TRY(put_header(header, sections, out));
    front = out->data + begin;
    size_t bytes = out->bytes - begin - TM_CAL_FRONT_BYTES;
    struct tm_digest digest = tm_digest_of(tm_view_of(front + TM_CAL_FRONT_BYTES, bytes));
    memcpy(front, magic, sizeof magic);
    tm_set_u32(front + 8, VERSION);
    tm_set_u32(front + 12, (uint32_t)bytes);
    memcpy(front + 16, digest.b, TM_DIGEST_BYTES);
    return TM_OK;
}

static tm_status bad(struct tm_err *err, const char *why)
{
    return tm_err_set(err, TM_E_MALFORMED, NULL, what_read, hint_damaged, "%s", why);
}

static struct tm_digest get_digest(struct tm_cursor *in)
{
    struct tm_digest out = {{0}};
    struct tm_view bytes = tm_cursor_take(in, TM_DIGEST_BYTES);
    if (bytes.bytes == TM_DIGEST_BYTES) {
        memcpy(out.b, bytes.data, TM_DIGEST_BYTES);
    }
    return out;
}

static bool arch_ok(const char arch[TM_CAL_ARCH_BYTES])
{
    size_t length = strnlen(arch, TM_CAL_ARCH_BYTES);
    for (size_t i = 0; i < TM_CAL_ARCH_BYTES; i++) {
        if (i < length ? arch[i] <= ' ' || arch[i] > '~' : arch[i] != 0) {
            return false;
        }
    }
    return length > 0 && length < TM_CAL_ARCH_BYTES;
}

static tm_status get_fixed(struct tm_cursor *in, struct tm_cal_header *h, struct tm_err *err)
{
    h->model = get_digest(in);
    h->text = get_digest(in);
    h->ids = get_digest(in);
    struct tm_view arch = tm_cursor_take(in, TM_CAL_ARCH_BYTES);
    if (arch.bytes == TM_CAL_ARCH_BYTES) {
        memcpy(h->arch, arch.data, arch.bytes);
    }
    h->context = tm_cursor_u32(in);
    h->first_token = tm_cursor_u32(in);
    h->width = tm_cursor_u32(in);
    h->held_every = tm_cursor_u32(in);
    h->windows = tm_cursor_u64(in);
    h->layers = tm_cursor_u32(in);
    h->layer_first = tm_cursor_u32(in);
    h->layer_count = tm_cursor_u32(in);
    h->range_count = tm_cursor_u32(in);
    if (in->overrun || !arch_ok(h->arch) || h->context < 2 || h->held_every < 2 ||
        h->windows == 0 || h->layers > TM_CAL_LAYERS_MAX || h->layer_count == 0 ||
        h->layer_count > h->layers || h->layer_first > h->layers - h->layer_count ||
        h->range_count == 0 || h->range_count > TM_CAL_RANGES_MAX) {
        return bad(err, "its header has impossible numbers");
    }
    uint64_t left = (uint64_t)h->range_count * RANGE_BYTES +
                    (uint64_t)h->layer_count * TM_CAL_SECTIONS * SECTION_BYTES;
    return tm_cursor_left(in) == left ? TM_OK
                                      : bad(err, "its header has another size than it says");
}

static tm_status get_ranges(struct tm_cursor *in, struct tm_cal_header *h, struct tm_err *err)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < h->range_count; i++) {
        struct tm_cal_range *range = &h->ranges[i];
        range->first = tm_cursor_u64(in);
        range->end = tm_cursor_u64(in);
        if (range->first >= range->end || range->end > h->windows ||
            (i > 0 && range->first <= end)) {
            return bad(err, "its windows are not in ascending order within the text");
        }
        end = range->end;
    }
    return TM_OK;
}

static tm_status get_sections(struct tm_cursor *in, size_t count, struct tm_cal_section *sections,
                              struct tm_err *err)
{
    for (size_t i = 0; i < count; i++) {
        sections[i].bytes = tm_cursor_u64(in);
        sections[i].digest = get_digest(in);
        if (sections[i].bytes > TM_CAL_SECTION_MAX) {
            return bad(err, "a section is larger than any may be");
        }
    }
    return TM_OK;
}

tm_status tm_cal_header_parse(struct tm_view bytes, struct tm_cal_header *out,
                              struct tm_cal_section **sections, struct tm_err *err)
{
    struct tm_cursor in = tm_cursor_of(bytes);
    *out = (struct tm_cal_header){0};
    *sections = NULL;
    tm_status status = get_fixed(&in, out, err);
    size_t count = (size_t)out->layer_count * TM_CAL_SECTIONS;
    if (status == TM_OK) {
        out->ranges = tm_calloc(out->range_count, sizeof *out->ranges);
        *sections = tm_calloc(count, sizeof **sections);
        if (out->ranges == NULL || *sections == NULL) {
            status = tm_err_set(err, TM_E_NOMEM, NULL, what_read, NULL, "out of memory");
        } else {
            status = get_ranges(&in, out, err);
            status = status == TM_OK ? get_sections(&in, count, *sections, err) : status;
        }
    }
    if (status != TM_OK) {
        tm_cal_header_deinit(out);
        tm_free(*sections);
        *sections = NULL;
    }
    return status;
}

/* ---- reading ---- */

struct tm_cal_file {
    struct tm_file_in *in;
    struct tm_cal_header header;
    struct tm_cal_section *sections;
    uint64_t *offsets;
    size_t section_count;
};

bool tm_cal_file_is(const char *path)
{
    struct tm_file_in *in = NULL;
    uint8_t front[sizeof magic];
    if (!tm_path_exists(path) || tm_path_is_dir(path) || tm_file_open(path, &in, NULL) != TM_OK) {
        return false;
    }
    bool is = tm_file_bytes(in) >= sizeof front &&
              tm_file_read_at(in, 0, front, sizeof front, NULL) == TM_OK &&
              memcmp(front, magic, sizeof magic) == 0;
    tm_file_close(&in);
    return is;
}

static tm_status read_header(struct tm_cal_file *file, struct tm_err *err)
{
    uint8_t front[TM_CAL_FRONT_BYTES] = {0};
    uint64_t bytes = tm_file_bytes(file->in);
    if (bytes >= sizeof front) {
        TM_TRY(tm_file_read_at(file->in, 0, front, sizeof front, err));
    }
    if (memcmp(front, magic, sizeof magic) != 0) {
        return bad(err, "it does not begin like a .tmcal");
    }
    uint32_t version = tm_get_u32(front + 8), header_bytes = tm_get_u32(front + 12);
    if (version != VERSION) {
        return tm_err_set(err, TM_E_INCOMPATIBLE, NULL, what_read, "use a newer tmill",
                          "it is of version %lu, and this program knows version %d",
                          (unsigned long)version, VERSION);
    }
    if (header_bytes > bytes - sizeof front || header_bytes > HEADER_BYTES_MAX) {
        return bad(err, "its header has another size than it says");
    }
    struct tm_buf buf;
    uint8_t *at;
    tm_buf_init(&buf, HEADER_BYTES_MAX);
    tm_status status = tm_buf_extend(&buf, header_bytes, &at);
    if (status == TM_OK) {
        status = tm_file_read_at(file->in, sizeof front, at, header_bytes, err);
    }
    if (status == TM_OK) {
        struct tm_digest digest = tm_digest_of(tm_buf_view(&buf));
        status = memcmp(digest.b, front + 16, TM_DIGEST_BYTES) == 0
                     ? tm_cal_header_parse(tm_buf_view(&buf), &file->header, &file->sections, err)
                     : tm_err_set(err, TM_E_VERIFY, NULL, what_read, hint_damaged,
                                  "its header has another digest");
    }
    tm_buf_deinit(&buf);
    file->section_count = (size_t)file->header.layer_count * TM_CAL_SECTIONS;
    return status;
}

/* Sections follow one another; the file ends with the last. */
static tm_status find_sections(struct tm_cal_file *file, uint64_t at, struct tm_err *err)
{
    file->offsets = tm_calloc(file->section_count, sizeof *file->offsets);
    if (file->offsets == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what_read, NULL, "out of memory");
    }
    for (size_t i = 0; i < file->section_count; i++) {
        file->offsets[i] = at;
        at += file->sections[i].bytes; /* of at most 2^32 each: no overflow */
    }
    if (at != tm_file_bytes(file->in)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_read, hint_damaged,
                          "it has %llu bytes, and its sections end at byte %llu",
                          (unsigned long long)tm_file_bytes(file->in), (unsigned long long)at);
    }
    return TM_OK;
}

tm_status tm_cal_file_open(const char *path, struct tm_cal_file **out, struct tm_err *err)
{
    *out = NULL;
    struct tm_cal_file *file = tm_calloc(1, sizeof *file);
    if (file == NULL) {
        return tm_err_set(err, TM_E_NOMEM, path, what_read, NULL, "out of memory");
    }
    tm_status status = tm_file_open(path, &file->in, err);
    if (status == TM_OK) {
        status = read_header(file, err);
        if (status == TM_OK) {
            uint64_t header = FIXED_BYTES + (uint64_t)file->header.range_count * RANGE_BYTES +
                              file->section_count * SECTION_BYTES;
            status = find_sections(file, TM_CAL_FRONT_BYTES + header, err);
        }
        if (status == TM_E_NOMEM) {
            tm_err_set(err, status, NULL, what_read, NULL, "out of memory");
        }
        if (status != TM_OK && err != NULL && err->where[0] == 0) {
            tm_err_prefix(err, path);
        }
    }
    if (status != TM_OK) {
        tm_cal_file_close(&file);
    }
    *out = file;
    return status;
}

void tm_cal_file_close(struct tm_cal_file **file)
{
    struct tm_cal_file *f = *file;
    if (f == NULL) {
        return;
    }
    tm_file_close(&f->in);
    tm_cal_header_deinit(&f->header);
    tm_free(f->sections);
    tm_free(f->offsets);
    tm_free(f);
    *file = NULL;
}

const struct tm_cal_header *tm_cal_file_header(const struct tm_cal_file *file)
{
    return &file->header;
}

const char *tm_cal_file_path(const struct tm_cal_file *file)
{
    return tm_file_path(file->in);
}

/* Where a section is, for errors. */
static const char *place(const struct tm_cal_file *file, uint32_t layer, uint32_t section,
                         char out[512])
{
    const char *name =
        section < TM_CAL_KINDS ? tm_cal_kind_name((enum tm_cal_kind)section) : "windows";
    snprintf(out, 512, "%s: layer %lu, %s", tm_cal_file_path(file), (unsigned long)layer, name);
    return out;
}

tm_status tm_cal_file_section(struct tm_cal_file *file, uint32_t layer, uint32_t section,
                              struct tm_buf *out, struct tm_err *err)
{
    const struct tm_cal_header *h = &file->header;
    TM_ASSERT(layer >= h->layer_first && layer - h->layer_first < h->layer_count);
    TM_ASSERT(section < TM_CAL_SECTIONS);
    size_t index = (size_t)(layer - h->layer_first) * TM_CAL_SECTIONS + section;
    char where[512];
    uint8_t *at;
    tm_buf_clear(out);
    tm_status status = tm_buf_extend(out, file->sections[index].bytes, &at);
    if (status != TM_OK) {
        return tm_err_set(err, status, place(file, layer, section, where), what_read,
                          "close other programs", "out of memory");
    }
    TM_TRY(tm_file_read_at(file->in, file->offsets[index], at, file->sections[index].bytes, err));
    struct tm_digest digest = tm_digest_of(tm_buf_view(out));
    if (!tm_digest_eq(&digest, &file->sections[index].digest)) {
        return tm_err_set(err, TM_E_VERIFY, place(file, layer, section, where), what_read,
                          hint_damaged, "it has another digest");
    }
    return TM_OK;
}

tm_status tm_cal_file_input(struct tm_cal_file *file, uint32_t layer, enum tm_cal_kind kind,
                            struct tm_cal_input *out, struct tm_err *err)
{
    struct tm_buf buf;
    char where[512];
    *out = (struct tm_cal_input){0};
    tm_buf_init(&buf, TM_CAL_SECTION_MAX);
    tm_status status = tm_cal_file_section(file, layer, kind, &buf, err);
    if (status == TM_OK) {
        status = tm_cal_input_read(tm_buf_view(&buf), tm_cal_kind_whole(kind), out, err);
        if (status != TM_OK) {
            tm_err_prefix(err, place(file, layer, kind, where));
        }
    }
    tm_buf_deinit(&buf);
    return status;
}

/* ---- writing ---- */

struct tm_cal_writer {
    struct tm_file_out *out;
    struct tm_cal_header header;
    struct tm_cal_section *sections;
    size_t section_count, done;
};

static tm_status write_front(struct tm_cal_writer *writer, bool first, struct tm_err *err)
{
    struct tm_buf buf;
    tm_buf_init(&buf, TM_CAL_FRONT_BYTES + HEADER_BYTES_MAX);
    tm_status status = tm_cal_header_write(&writer->header, writer->sections, &buf);
    if (status != TM_OK) {
        tm_err_set(err, status, NULL, "cannot write the calibration", NULL, "out of memory");
    } else if (first) {
        status = tm_file_out_write(writer->out, buf.data, buf.bytes, err);
    } else {
        status = tm_file_out_write_at(writer->out, 0, buf.data, buf.bytes, err);
    }
    tm_buf_deinit(&buf);
    return status;
}

tm_status tm_cal_writer_begin(const char *path, const struct tm_cal_header *header,
                              struct tm_cal_writer **out, struct tm_err *err)
{
    struct tm_cal_writer *writer = tm_calloc(1, sizeof *writer);
    tm_status status = writer != NULL ? TM_OK : TM_E_NOMEM;
    if (status == TM_OK) {
        writer->section_count = (size_t)header->layer_count * TM_CAL_SECTIONS;
        writer->sections = tm_calloc(writer->section_count, sizeof *writer->sections);
        status =
            writer->sections != NULL ? tm_cal_header_copy(header, &writer->header) : TM_E_NOMEM;
    }
    if (status != TM_OK) {
        tm_err_set(err, status, path, "cannot write the calibration", NULL, "out of memory");
    } else {
        status = tm_file_out_begin(path, 0644, &writer->out, err);
    }
    if (status == TM_OK) {
        status = write_front(writer, true, err);
    }
    if (status != TM_OK) {
        tm_cal_writer_abort(&writer);
    }
    *out = writer;
    return status;
}

tm_status tm_cal_writer_section(struct tm_cal_writer *writer, struct tm_view section,
                                struct tm_err *err)
{
    TM_ASSERT(writer->done < writer->section_count && section.bytes <= TM_CAL_SECTION_MAX);
    writer->sections[writer->done++] =
        (struct tm_cal_section){section.bytes, tm_digest_of(section)};
    return tm_file_out_write(writer->out, section.data, section.bytes, err);
}

tm_status tm_cal_writer_commit(struct tm_cal_writer **writer, struct tm_err *err)
{
    struct tm_cal_writer *w = *writer;
    TM_ASSERT(w->done == w->section_count);
    tm_status status = write_front(w, false, err);
    if (status == TM_OK) {
        status = tm_file_out_commit(&w->out, err);
    }
    tm_cal_writer_abort(writer);
    return status;
}

void tm_cal_writer_abort(struct tm_cal_writer **writer)
{
    struct tm_cal_writer *w = *writer;
    if (w == NULL) {
        return;
    }
    tm_file_out_abort(&w->out);
    tm_cal_header_deinit(&w->header);
    tm_free(w->sections);
    tm_free(w);
    *writer = NULL;
}
