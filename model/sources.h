/* SPDX-License-Identifier: Apache-2.0
 * An inventory while it is built, with the files that it names: each is opened once and stays open,
 * so that what was checked is what is read. Private to the readers of model/. */
#ifndef TM_MODEL_SOURCES_H
#define TM_MODEL_SOURCES_H

#include "base/file.h"
#include "model/inventory.h"
#include "model/layout.h"
#include "model/sniff.h"

#define TM_ATTACHMENT_MAX (256u << 20) /* bytes */

struct tm_sources {
    struct tm_inventory inventory;
    struct tm_file_in *files[TM_INVENTORY_FILES_MAX]; /* as inventory.files */
    struct tm_layout *layouts;                        /* tensor.layout - 1 is an index */
    size_t layout_count;
    struct tm_layout_check *checks; /* layout.check - 1 is an index */
    size_t check_count;
    const char *tensors_under; /* which dictionary of a PyTorch checkpoint (model/pth.h), or NULL */
};

/* A zeroed one is empty and valid. */
void tm_sources_deinit(struct tm_sources *sources);
/* Opens a regular file; *file is its index. */
tm_status tm_sources_open(struct tm_sources *sources, const char *path, uint32_t *file,
                          struct tm_err *err) TM_MUST_USE;
/* tm_sniff on an open file. */
tm_status tm_sources_sniff(struct tm_sources *sources, uint32_t file, enum tm_file_kind *out,
                           struct tm_err *err) TM_MUST_USE;
/* Opens path and carries the whole of it along as `name`. A Git LFS pointer is refused. */
tm_status tm_sources_attach_file(struct tm_sources *sources, const char *path, const char *name,
                                 struct tm_err *err) TM_MUST_USE;
tm_status tm_sources_attach_range(struct tm_sources *sources, const char *name, uint32_t file,
                                  uint64_t offset, uint64_t bytes, struct tm_err *err) TM_MUST_USE;
/* data is copied. */
tm_status tm_sources_attach_bytes(struct tm_sources *sources, const char *name, struct tm_view data,
                                  struct tm_err *err) TM_MUST_USE;
/* bytes at offset of an attachment, appended to out. TM_E_USAGE outside of it. */
tm_status tm_sources_read_range(struct tm_sources *sources, size_t index, uint64_t offset,
                                size_t bytes, struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* A whole attachment appended to out. */
tm_status tm_sources_read_attachment(struct tm_sources *sources, size_t index, struct tm_buf *out,
                                     struct tm_err *err) TM_MUST_USE;
/* The same for a check: *out is what a layout names it by. */
tm_status tm_sources_add_check(struct tm_sources *sources, uint64_t at, uint64_t bytes,
                               uint32_t crc, uint32_t *out) TM_MUST_USE;
/* Copies a layout; *out is what a tensor names it by. TM_E_NOMEM. */
tm_status tm_sources_add_layout(struct tm_sources *sources, const struct tm_layout *layout,
                                uint32_t *out) TM_MUST_USE;
/* The error of a failed tm_inventory_* or tm_buf_* call: memory or a limit. */
tm_status tm_sources_fail(tm_status status, const char *path, struct tm_err *err) TM_MUST_USE;

#endif
