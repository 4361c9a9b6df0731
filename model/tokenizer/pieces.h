/* SPDX-License-Identifier: Apache-2.0
 * A text cut into pieces on its way to token ids. Each step of a tokenizer reads one list of pieces
 * and writes the next: it splits pieces, rewrites their text, or leaves them. */
#ifndef TM_MODEL_TOKENIZER_PIECES_H
#define TM_MODEL_TOKENIZER_PIECES_H

#include "base/buf.h"

#define TM_NO_TOKEN UINT32_MAX
#define TM_PIECES_TEXT_MAX ((size_t)1 << 30) /* bytes of text in one list */

struct tm_piece {
    size_t at, bytes; /* in text */
    uint32_t token;   /* an added token found in the text, or TM_NO_TOKEN */
    bool at_start;    /* begins where the whole text begins */
};

struct tm_pieces {
    struct tm_buf text;
    struct tm_buf spans; /* struct tm_piece each */
};

void tm_pieces_init(struct tm_pieces *p);
void tm_pieces_deinit(struct tm_pieces *p);
void tm_pieces_clear(struct tm_pieces *p);
size_t tm_pieces_count(const struct tm_pieces *p);
const struct tm_piece *tm_pieces_at(const struct tm_pieces *p, size_t index);
struct tm_view tm_pieces_text(const struct tm_pieces *p, const struct tm_piece *piece);
/* Appends a piece with a copy of its text; empty ones are dropped unless they are tokens.
 * TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_pieces_add(struct tm_pieces *p, struct tm_view text, uint32_t token,
                        bool at_start) TM_MUST_USE;
/* Makes a piece of the text that was appended to p->text since `from` (nothing when there is none
 * of it). */
tm_status tm_pieces_close(struct tm_pieces *p, size_t from, bool at_start) TM_MUST_USE;

#endif
