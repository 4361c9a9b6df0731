/* SPDX-License-Identifier: Apache-2.0
 * The tokenizer of a model or of a package: packages carry the files of it as attachments, byte for
 * byte. */
#ifndef TM_NODE_TOKENIZER_OF_H
#define TM_NODE_TOKENIZER_OF_H

#include "model/tokenizer/tokenizer_open.h"
#include "package/package.h"

/* `path`: a package, or whatever tm_tokenizer_open takes. Errors: those of tm_package_open and
 * tm_tokenizer_open; TM_E_NOT_FOUND for a package without one. */
tm_status tm_tokenizer_of(const char *path, struct tm_tokenizer **out,
                          struct tm_err *err) TM_MUST_USE;
/* The same for an open package; path is for errors. */
tm_status tm_tokenizer_of_package(struct tm_package *package, const char *path,
                                  struct tm_tokenizer **out, struct tm_err *err) TM_MUST_USE;

#endif
