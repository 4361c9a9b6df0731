/* SPDX-License-Identifier: Apache-2.0
 * Finds the tokenizer of a model, with what the files beside it say (begin and end of a text, chat
 * template):
 *
 *   tokenizer.json, else tokenizer.model, else the metadata of a GGUF or llama2.c file
 *   with tokenizer_config.json, chat_template.jinja, generation_config.json
 *
 * For a path that may be a package too: node/common/tokenizer_of.h. */
#ifndef TM_MODEL_TOKENIZER_OPEN_H
#define TM_MODEL_TOKENIZER_OPEN_H

#include "model/tokenizer/tokenizer.h"

/* `path`: a model of any kind that model/checkpoint.h opens, a folder with a tokenizer and no
 * model, tokenizer.json or tokenizer.model itself. A file of weights that has no tokenizer in it
 * takes the one in its folder. Errors: TM_E_NOT_FOUND (no such path, or no tokenizer), and those of
 * model/tokenizer/tokenizer.h. */
tm_status tm_tokenizer_open(const char *path, struct tm_tokenizer **out,
                            struct tm_err *err) TM_MUST_USE;

/* The same over anything that has small files by name: "tokenizer.json" and so on, "gguf-metadata"
 * (model/gguf_meta.h). */
struct tm_tokenizer_files {
    /* Appends the whole file to out. TM_E_NOTHING, and err left alone, when it is not there. */
    tm_status (*read)(void *context, const char *name, struct tm_buf *out, struct tm_err *err);
    void *context;
    const char *path; /* for errors */
};
tm_status tm_tokenizer_open_files(const struct tm_tokenizer_files *files, struct tm_tokenizer **out,
                                  struct tm_err *err) TM_MUST_USE;

#endif
