/* SPDX-License-Identifier: Apache-2.0
 * Members of a tar archive (POSIX ustar), by name. Only plain files count. Private to model/. */
#ifndef TM_MODEL_TAR_H
#define TM_MODEL_TAR_H

#include "base/file.h"

#define TM_TAR_BLOCK 512

struct tm_tar_member {
    uint64_t at, bytes; /* of its content, in the file */
};

/* The member of that name. TM_E_NOT_FOUND without one; TM_E_MALFORMED, with a byte offset, for a
 * wrong checksum, a size that is no number or leaves the file, and for a name that is there twice.
 */
tm_status tm_tar_find(struct tm_file_in *file, const char *name, struct tm_tar_member *out,
                      struct tm_err *err) TM_MUST_USE;
/* Whether a file that starts with these TM_TAR_BLOCK bytes is one: the checksum is right. */
bool tm_tar_is(struct tm_view head);

#endif
