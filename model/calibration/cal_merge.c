/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char what_failed[] = "cannot merge calibrations";

struct merge {
    struct tm_cal_file **files; /* [count], by first layer, then by first window */
    size_t count;
    struct tm_cal_header header; /* of the result */
    struct tm_buf section, out;
};

static const struct tm_cal_header *header_of(const struct merge *m, size_t i)
{
    return tm_cal_file_header(m->files[i]);
}

static tm_status out_of_memory(struct tm_err *err)
{
    return tm_err_set(err, TM_E_NOMEM, NULL, what_failed, "close other programs", "out of memory");
}

static int by_layer_and_window(const void *a, const void *b)
{
    const struct tm_cal_header *x = tm_cal_file_header(*(struct tm_cal_file *const *)a);
    const struct tm_cal_header *y = tm_cal_file_header(*(struct tm_cal_file *const *)b);
    if (x->layer_first != y->layer_first) {
        return x->layer_first < y->layer_first ? -1 : 1;
    }
    return (x->ranges[0].first > y->ranges[0].first) - (x->ranges[0].first < y->ranges[0].first);
}

static tm_status open_all(struct merge *m, const char *const *paths, size_t count,
                          struct tm_err *err)
{
    m->files = tm_calloc(count, sizeof *m->files);
    if (m->files == NULL) {
        return out_of_memory(err);
    }
    for (; m->count < count; m->count++) {
        TM_TRY(tm_cal_file_open(paths[m->count], &m->files[m->count], err));
    }
    for (size_t i = 1; i < count; i++) {
        const char *difference = tm_cal_difference(header_of(m, 0), header_of(m, i));
        if (difference != NULL) {
            return tm_err_set(err, TM_E_INCOMPATIBLE, paths[i], what_failed,
                              "merge files that were made of one model and one text with the same "
                              "options",
                              "its %s is not that of %s", difference, paths[0]);
        }
    }
    qsort(m->files, count, sizeof *m->files, by_layer_and_window);
    return TM_OK;
}

/* ---- other layers, the same windows ---- */

static tm_status check_layers(struct merge *m, struct tm_err *err)
{
    TM_TRY(tm_cal_header_copy(header_of(m, 0), &m->header) == TM_OK ? TM_OK : out_of_memory(err));
    for (size_t i = 1; i < m->count; i++) {
        const struct tm_cal_header *h = header_of(m, i);
        const char *path = tm_cal_file_path(m->files[i]);
        uint32_t end = m->header.layer_first + m->header.layer_count;
        if (!tm_cal_same_windows(&m->header, h)) {
            return tm_err_set(err, TM_E_INCOMPATIBLE, path, what_failed,
                              "first merge the windows of each run of layers",
                              "both its layers and its windows are not those of %s",
                              tm_cal_file_path(m->files[0]));
        }
        if (h->layer_first != end) {
            return tm_err_set(err, TM_E_USAGE, path, what_failed,
                              "merge files whose layers follow one another",
                              "it begins at layer %lu, and the layer to go on with is %lu",
                              (unsigned long)h->layer_first, (unsigned long)end);
        }
        m->header.layer_count += h->layer_count;
    }
    return TM_OK;
}

static tm_status copy_layers(struct merge *m, struct tm_cal_writer *writer, struct tm_err *err)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct tm_cal_header *h = header_of(m, i);
        for (uint32_t s = 0; s < h->layer_count * TM_CAL_SECTIONS; s++) {
            TM_TRY(tm_cal_file_section(m->files[i], h->layer_first + s / TM_CAL_SECTIONS,
                                       s % TM_CAL_SECTIONS, &m->section, err));
            TM_TRY(tm_cal_writer_section(writer, tm_buf_view(&m->section), err));
        }
    }
    return TM_OK;
}

/* ---- other windows, the same layers ---- */

/* A range of one file, for the union. */
struct piece {
    struct tm_cal_range range;
    size_t file;
    uint64_t at; /* windows of the file before it */
};

static int by_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return (x->range.first > y->range.first) - (x->range.first < y->range.first);
}

static struct piece *pieces_of(const struct merge *m, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < m->count; i++) {
        *count += header_of(m, i)->range_count;
    }
    struct piece *pieces = tm_calloc(*count, sizeof *pieces);
    size_t n = 0;
    for (size_t i = 0; i < m->count && pieces != NULL; i++) {
        uint64_t at = 0;
        for (uint32_t r = 0; r < header_of(m, i)->range_count; r++) {
            pieces[n] = (struct piece){header_of(m, i)->ranges[r], i, at};
            at += pieces[n].range.end - pieces[n].range.first;
            n++;
        }
    }
    if (pieces != NULL) {
        qsort(pieces, n, sizeof *pieces, by_first);
    }
    return pieces;
}

/* The ranges of the result; a window that two files have is refused. */
static tm_status join_windows(struct merge *m, const struct piece *pieces, size_t count,
                              struct tm_err *err)
{
    TM_TRY(tm_cal_header_copy(header_of(m, 0), &m->header) == TM_OK ? TM_OK : out_of_memory(err));
    struct tm_cal_range *ranges =
        tm_realloc_array(m->header.ranges, count, sizeof *m->header.ranges);
    if (ranges == NULL) {
        return out_of_memory(err);
    }
    m->header.ranges = ranges;
    uint32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tm_cal_range *range = &pieces[i].range;
        if (i > 0 && range->first < pieces[i - 1].range.end) {
            return tm_err_set(err, TM_E_USAGE, tm_cal_file_path(m->files[pieces[i].file]),
                              what_failed, "merge files of other windows: none may count twice",
                              "window %llu is in %s too", (unsigned long long)range->first,
                              tm_cal_file_path(m->files[pieces[i - 1].file]));
        }
        if (n > 0 && ranges[n - 1].end == range->first) {
            ranges[n - 1].end = range->end;
        } else {
            ranges[n++] = *range;
        }
    }
    m->header.range_count = n;
    return n <= TM_CAL_RANGES_MAX
               ? TM_OK
               : tm_err_set(err, TM_E_LIMIT, NULL, what_failed, "merge neighbouring windows first",
                            "the result has %lu runs of windows, at most %d are possible",
                            (unsigned long)n, TM_CAL_RANGES_MAX);
}

static tm_status add_input(struct merge *m, uint32_t layer, enum tm_cal_kind kind, size_t file,
                           struct tm_cal_input *sum, struct tm_err *err)
{
    struct tm_cal_input more;
    TM_TRY(tm_cal_file_input(m->files[file], layer, kind, &more, err));
    tm_status status = tm_cal_input_merge(sum, &more);
    tm_cal_input_deinit(&more);
    if (status == TM_E_INCOMPATIBLE) {
        return tm_err_set(err, status, tm_cal_file_path(m->files[file]), what_failed,
                          "merge files of one program's version",
                          "layer %lu, %s: its scales are not those of %s", (unsigned long)layer,
                          tm_cal_kind_name(kind), tm_cal_file_path(m->files[0]));
    }
    if (status == TM_E_LIMIT) {
        return tm_err_set(err, status, tm_cal_file_path(m->files[file]), what_failed, NULL,
                          "together they have more than 2^32 tokens");
    }
    return status == TM_OK ? TM_OK : out_of_memory(err);
}

static tm_status merge_input(struct merge *m, uint32_t layer, enum tm_cal_kind kind,
                             struct tm_err *err)
{
    struct tm_cal_input sum;
    TM_TRY(tm_cal_file_input(m->files[0], layer, kind, &sum, err));
    tm_status status = TM_OK;
    for (size_t i = 1; i < m->count && status == TM_OK; i++) {
        status = add_input(m, layer, kind, i, &sum, err);
    }
    tm_buf_clear(&m->out);
    if (status == TM_OK) {
        status = tm_cal_input_write(&sum, &m->out) == TM_OK ? TM_OK : out_of_memory(err);
    }
    tm_cal_input_deinit(&sum);
    return status;
}

/* The digests of all windows in the order of windows. */
static tm_status merge_digests(struct merge *m, uint32_t layer, const struct piece *pieces,
                               size_t count, struct tm_err *err)
{
    uint8_t *at;
    size_t row = TM_DIGEST_BYTES;
    tm_buf_clear(&m->out);
    if (tm_buf_extend(&m->out, tm_cal_windows_covered(&m->header) * row, &at) != TM_OK) {
        return out_of_memory(err);
    }
    for (size_t f = 0; f < m->count; f++) {
        TM_TRY(tm_cal_file_section(m->files[f], layer, TM_CAL_KINDS, &m->section, err));
        if (m->section.bytes != tm_cal_windows_covered(header_of(m, f)) * row) {
            return tm_err_set(err, TM_E_MALFORMED, tm_cal_file_path(m->files[f]), what_failed,
                              "the file is damaged: make or fetch it again",
                              "layer %lu has %llu bytes of digests for %llu windows",
                              (unsigned long)layer, (unsigned long long)m->section.bytes,
                              (unsigned long long)tm_cal_windows_covered(header_of(m, f)));
        }
        uint64_t before = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t windows = pieces[i].range.end - pieces[i].range.first;
            if (pieces[i].file == f) {
                memcpy(at + before * row, m->section.data + pieces[i].at * row, windows * row);
            }
            before += windows;
        }
    }
    return TM_OK;
}

static tm_status add_windows(struct merge *m, struct tm_cal_writer *writer,
                             const struct piece *pieces, size_t count, struct tm_err *err)
{
    for (uint32_t i = 0; i < m->header.layer_count; i++) {
        uint32_t layer = m->header.layer_first + i;
        for (uint32_t s = 0; s < TM_CAL_SECTIONS; s++) {
            TM_TRY(s < TM_CAL_KINDS ? merge_input(m, layer, (enum tm_cal_kind)s, err)
                                    : merge_digests(m, layer, pieces, count, err));
            TM_TRY(tm_cal_writer_section(writer, tm_buf_view(&m->out), err));
        }
    }
    return TM_OK;
}

/* ---- both ---- */

static bool same_layers(const struct merge *m)
{
    const struct tm_cal_header *first = header_of(m, 0), *last = header_of(m, m->count - 1);
    return first->layer_first == last->layer_first && first->layer_count == last->layer_count;
}

static tm_status merge_open(struct merge *m, const char *out, struct tm_err *err)
{
    struct tm_cal_writer *writer = NULL;
    struct piece *pieces = NULL;
    size_t count = 0;
    bool windows = same_layers(m);
    tm_status status = TM_OK;
    if (windows) {
        pieces = pieces_of(m, &count);
        status = pieces != NULL ? join_windows(m, pieces, count, err) : out_of_memory(err);
    } else {
        status = check_layers(m, err);
    }
    if (status == TM_OK) {
        status = tm_cal_writer_begin(out, &m->header, &writer, err);
    }
    if (status == TM_OK) {
        status = windows ? add_windows(m, writer, pieces, count, err) : copy_layers(m, writer, err);
    }
    if (status == TM_OK) {
        status = tm_cal_writer_commit(&writer, err);
    }
    tm_cal_writer_abort(&writer);
    tm_free(pieces);
    return status;
}

tm_status tm_cal_merge(const char *const *paths, size_t count, const char *out, struct tm_err *err)
{
    TM_ASSERT(count > 0 && count <= TM_CAL_MERGE_MAX);
    struct merge m = {.files = NULL};
    tm_buf_init(&m.section, TM_CAL_SECTION_MAX);
    tm_buf_init(&m.out, TM_CAL_SECTION_MAX);
    tm_status status = open_all(&m, paths, count, err);
    if (status == TM_OK) {
        status = merge_open(&m, out, err);
    }
    for (size_t i = 0; i < m.count; i++) {
        tm_cal_file_close(&m.files[i]);
    }
    tm_free(m.files);
    tm_cal_header_deinit(&m.header);
    tm_buf_deinit(&m.section);
    tm_buf_deinit(&m.out);
    return status;
}
