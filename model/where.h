/* SPDX-License-Identifier: Apache-2.0
 * The "where" of an error: a path, perhaps a tensor, perhaps a byte offset, shortened so that each
 * part survives in struct tm_err. Bytes stay raw: tm_err_line escapes when it prints. */
#ifndef TM_MODEL_WHERE_H
#define TM_MODEL_WHERE_H

#include "base/buf.h"

struct tm_where {
    char text[512];
};

/* "PATH: tensor 'NAME'"; without the tensor when the name is empty, without the path when it is "".
 */
void tm_where(struct tm_where *out, const char *path, struct tm_view tensor);
/* The same with another noun, of at most 16 bytes: "PATH: key 'NAME'". */
void tm_where_named(struct tm_where *out, const char *path, const char *noun, struct tm_view name);
/* "PATH: byte 96". */
void tm_where_byte(struct tm_where *out, const char *path, uint64_t offset);

#endif
