/* SPDX-License-Identifier: Apache-2.0
 * The "normalizer" of tokenizer.json, as a list of steps over a text. Unicode's forms come from
 * utf8proc. */
#ifndef TM_MODEL_TOKENIZER_NORMALIZE_H
#define TM_MODEL_TOKENIZER_NORMALIZE_H

#include "base/json.h"
#include "model/tokenizer/charsmap.h"
#include "model/tokenizer/regex.h"

#define TM_NORMAL_STEPS_MAX 32

enum tm_normal_kind {
    TM_NORMAL_NFC,
    TM_NORMAL_NFD,
    TM_NORMAL_NFKC,
    TM_NORMAL_NFKD,
    TM_NORMAL_LOWERCASE,
    TM_NORMAL_STRIP,         /* white space at the ends */
    TM_NORMAL_STRIP_ACCENTS, /* nonspacing marks */
    TM_NORMAL_REPLACE,       /* every match of regex by text */
    TM_NORMAL_PREPEND,       /* text before a text that is not empty */
    TM_NORMAL_CHARSMAP       /* SentencePiece's map */
};

struct tm_normal {
    enum tm_normal_kind kind;
    bool left, right;       /* STRIP */
    struct tm_regex *regex; /* REPLACE */
    uint8_t *text;          /* REPLACE, PREPEND; CHARSMAP: the blob */
    size_t text_bytes;
    struct tm_charsmap map;
};

struct tm_normals {
    struct tm_normal steps[TM_NORMAL_STEPS_MAX];
    size_t count;
};

void tm_normals_init(struct tm_normals *normals);
void tm_normals_deinit(struct tm_normals *normals);
/* Appends the steps of a "normalizer" value (null: none). TM_E_INCOMPATIBLE names a type that is
 * not known. */
tm_status tm_normals_json(struct tm_normals *normals, const struct tm_json *node,
                          struct tm_err *err) TM_MUST_USE;
/* Appends one step; takes over regex and copies text. */
tm_status tm_normals_add(struct tm_normals *normals, enum tm_normal_kind kind,
                         struct tm_regex *regex, struct tm_view text,
                         struct tm_err *err) TM_MUST_USE;
/* All steps over valid UTF-8; *out is replaced. `spare` is work space. */
tm_status tm_normals_apply(const struct tm_normals *normals, struct tm_view text,
                           struct tm_buf *out, struct tm_buf *spare) TM_MUST_USE;
/* One step of the kind REPLACE; appends. */
tm_status tm_normals_replace(const struct tm_normal *step, struct tm_view text,
                             struct tm_buf *out) TM_MUST_USE;
/* Unicode's White_Space. */
bool tm_is_space(uint32_t code);

#endif
