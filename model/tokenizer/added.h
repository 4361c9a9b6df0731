/* SPDX-License-Identifier: Apache-2.0
 * Added tokens: texts that are cut out of the input before anything else sees them, longest first
 * at every position, as Hugging Face's tokenizers does. */
#ifndef TM_MODEL_TOKENIZER_ADDED_H
#define TM_MODEL_TOKENIZER_ADDED_H

#include "model/tokenizer/normalize.h"
#include "model/tokenizer/pieces.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/trie.h"

#define TM_ADDED_MAX 65536

struct tm_added_token {
    uint32_t id;
    size_t at, bytes;             /* its text, in tm_added.texts */
    size_t shown_at, shown_bytes; /* what it is turned into: its text, normalised where it is */
    bool special;                 /* steers the model: BOS, end of turn */
    bool normalized;              /* found in the normalised text, not in the raw one */
    bool verbatim;       /* then: by its own text, not by its normalised one (SentencePiece) */
    bool single_word;    /* only where no word character touches it */
    bool lstrip, rstrip; /* takes the white space beside it along */
};

struct tm_added {
    struct tm_buf texts;
    struct tm_buf tokens;           /* struct tm_added_token each */
    struct tm_buf by_id;            /* u32 each: indices of tokens, once sealed */
    struct tm_trie raw, normalized; /* values are indices of tokens */
};

void tm_added_init(struct tm_added *added);
void tm_added_deinit(struct tm_added *added);
size_t tm_added_count(const struct tm_added *added);
const struct tm_added_token *tm_added_at(const struct tm_added *added, size_t index);
struct tm_view tm_added_text(const struct tm_added *added, const struct tm_added_token *token);
/* What the token stands for in decoded text; after tm_added_seal. */
struct tm_view tm_added_shown(const struct tm_added *added, const struct tm_added_token *token);
/* The token of an id (the first of equal ones), or NULL; after tm_added_seal. */
const struct tm_added_token *tm_added_find(const struct tm_added *added, uint32_t id);
/* Where its texts lie is set here. TM_E_LIMIT, TM_E_NOMEM, TM_E_MALFORMED (no text). */
tm_status tm_added_put(struct tm_added *added, struct tm_added_token token,
                       struct tm_view text) TM_MUST_USE;
/* Builds the trees, once all tokens are there. */
tm_status tm_added_seal(struct tm_added *added, const struct tm_normals *normals) TM_MUST_USE;
/* Cuts valid UTF-8 into tokens and normalised text, appended to *out. specials: special tokens in
 * the text are recognised; otherwise they are ordinary text, as always in the spans of `plain`.
 * Special tokens of the normalised text are ordinary between two other tokens as soon as there is a
 * span. */
tm_status tm_added_cut(const struct tm_added *added, const struct tm_normals *normals,
                       struct tm_view text, bool specials, const struct tm_text_spans *plain,
                       struct tm_pieces *out) TM_MUST_USE;

#endif
