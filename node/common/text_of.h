/* SPDX-License-Identifier: Apache-2.0
 * A text as a model reads it: bytes, token ids, and the token that each window begins with. */
#ifndef TM_NODE_TEXT_OF_H
#define TM_NODE_TEXT_OF_H

#include "model/tokenizer/tokenizer.h"

#define TM_TEXT_BYTES_MAX ((size_t)1 << 28)
#define TM_TEXT_NO_FIRST UINT32_MAX

struct tm_text {
    const char *name; /* for errors and reports, borrowed */
    struct tm_buf bytes;
    struct tm_buf ids;    /* uint32_t each */
    uint32_t first_token; /* what the model wants before a text; TM_TEXT_NO_FIRST: nothing */
};

struct tm_text_options {
    struct tm_tokenizer *tokenizer; /* NULL: the model has none */
    const char *model_path;         /* for errors */
    const char *path;               /* NULL: the built-in text */
    struct tm_view built_in;
    const char *what; /* for errors: "cannot calibrate" */
};

/* Errors: TM_E_NOT_FOUND when the model has no tokenizer; those of tm_file_read; TM_E_MALFORMED
 * names the byte that is not UTF-8. Deinit in every case. */
tm_status tm_text_of(const struct tm_text_options *options, struct tm_text *out,
                     struct tm_err *err) TM_MUST_USE;
void tm_text_deinit(struct tm_text *text);
/* Its ids, borrowed. */
const uint32_t *tm_text_ids(const struct tm_text *text, size_t *count);

#endif
