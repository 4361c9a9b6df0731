/* SPDX-License-Identifier: Apache-2.0
 * The file .tmcal (docs/formats/calibration.md): which model, text and windows; then for each layer
 * a section for each input and one with a digest of each window. It covers a run of layers and a
 * set of windows; files of other windows, or of other layers, can be put together. Sizes and
 * digests are checked before anything is parsed; equal sums are equal files. */
#ifndef TM_MODEL_CAL_FILE_H
#define TM_MODEL_CAL_FILE_H

#include "base/file.h"
#include "crypto/digest.h"
#include "model/calibration/cal_input.h"

#define TM_CAL_ARCH_BYTES 16
#define TM_CAL_LAYERS_MAX 4096
#define TM_CAL_RANGES_MAX 65536
#define TM_CAL_SECTIONS (TM_CAL_KINDS + 1) /* of a layer; the last has the windows' digests */
#define TM_CAL_SECTION_MAX ((size_t)1 << 32)

/* Windows first, first + 1 ... end - 1. */
struct tm_cal_range {
    uint64_t first, end;
};

struct tm_cal_header {
    struct tm_digest model;       /* tm_model_digest */
    struct tm_digest text;        /* SHA-256 of its bytes */
    struct tm_digest ids;         /* SHA-256 of its token ids, u32 each */
    char arch[TM_CAL_ARCH_BYTES]; /* zeros behind the name */
    uint32_t context;             /* tokens of a window */
    uint32_t first_token;         /* in the place of each window's first; UINT32_MAX: none */
    uint32_t width;               /* most columns of a block, 0: no limit */
    uint32_t held_every;          /* the last of each so many windows is held out */
    uint64_t windows;             /* that the text has */
    uint32_t layers;              /* that the model has */
    uint32_t layer_first, layer_count;
    uint32_t range_count;
    struct tm_cal_range *ranges; /* ascending, with gaps between them */
};

void tm_cal_header_deinit(struct tm_cal_header *header);
tm_status tm_cal_header_copy(const struct tm_cal_header *from,
                             struct tm_cal_header *out) TM_MUST_USE;
uint64_t tm_cal_windows_covered(const struct tm_cal_header *header);
bool tm_cal_same_windows(const struct tm_cal_header *a, const struct tm_cal_header *b);
/* What two files differ in that may not differ when they are put together ("model", "text", ...);
 * NULL when nothing. Layers and windows may differ. */
const char *tm_cal_difference(const struct tm_cal_header *a, const struct tm_cal_header *b);

/* ---- bytes ---- */

/* The fixed front of a file, and the header behind it up to and with the table of sections. */
#define TM_CAL_FRONT_BYTES 48
struct tm_cal_section {
    uint64_t bytes;
    struct tm_digest digest;
};
/* sections[layer_count * TM_CAL_SECTIONS] */
tm_status tm_cal_header_write(const struct tm_cal_header *header,
                              const struct tm_cal_section *sections,
                              struct tm_buf *out) TM_MUST_USE;
/* The header behind the front; *sections is freed with tm_free. TM_E_MALFORMED, TM_E_NOMEM; on
 * failure both are empty. */
tm_status tm_cal_header_parse(struct tm_view bytes, struct tm_cal_header *out,
                              struct tm_cal_section **sections, struct tm_err *err) TM_MUST_USE;

/* ---- reading ---- */

struct tm_cal_file;
/* Whether a file begins like a .tmcal. */
bool tm_cal_file_is(const char *path);
/* TM_E_MALFORMED, TM_E_INCOMPATIBLE for another version, TM_E_VERIFY for a digest; those of
 * tm_file_open. */
tm_status tm_cal_file_open(const char *path, struct tm_cal_file **out,
                           struct tm_err *err) TM_MUST_USE;
void tm_cal_file_close(struct tm_cal_file **file);
const struct tm_cal_header *tm_cal_file_header(const struct tm_cal_file *file);
const char *tm_cal_file_path(const struct tm_cal_file *file);
/* Section `section` of layer `layer`, counted from the model's first, into out, which is cleared
 * before. TM_E_VERIFY when its digest is another. */
tm_status tm_cal_file_section(struct tm_cal_file *file, uint32_t layer, uint32_t section,
                              struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* One input, which the caller frees with tm_cal_input_deinit. */
tm_status tm_cal_file_input(struct tm_cal_file *file, uint32_t layer, enum tm_cal_kind kind,
                            struct tm_cal_input *out, struct tm_err *err) TM_MUST_USE;

/* ---- writing ---- */

struct tm_cal_writer;
/* The file appears under its name at commit. header is copied. */
tm_status tm_cal_writer_begin(const char *path, const struct tm_cal_header *header,
                              struct tm_cal_writer **out, struct tm_err *err) TM_MUST_USE;
/* The next section, in order: layer by layer, input by input, then the digests. */
tm_status tm_cal_writer_section(struct tm_cal_writer *writer, struct tm_view section,
                                struct tm_err *err) TM_MUST_USE;
/* Both free the writer. */
tm_status tm_cal_writer_commit(struct tm_cal_writer **writer, struct tm_err *err) TM_MUST_USE;
void tm_cal_writer_abort(struct tm_cal_writer **writer);

#endif
