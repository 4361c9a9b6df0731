/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/pieces.h"

#include <string.h>

#define SPANS_BYTES_MAX (TM_PIECES_TEXT_MAX * 4)

void tm_pieces_init(struct tm_pieces *p)
{
    tm_buf_init(&p->text, TM_PIECES_TEXT_MAX);
    tm_buf_init(&p->spans, SPANS_BYTES_MAX);
}

void tm_pieces_deinit(struct tm_pieces *p)
{
    tm_buf_deinit(&p->text);
    tm_buf_deinit(&p->spans);
}

void tm_pieces_clear(struct tm_pieces *p)
{
    tm_buf_clear(&p->text);
    tm_buf_clear(&p->spans);
}

size_t tm_pieces_count(const struct tm_pieces *p)
{
    return p->spans.bytes / sizeof(struct tm_piece);
}

const struct tm_piece *tm_pieces_at(const struct tm_pieces *p, size_t index)
{
    return (const struct tm_piece *)(const void *)p->spans.data + index;
}

struct tm_view tm_pieces_text(const struct tm_pieces *p, const struct tm_piece *piece)
{
    return tm_view_of(p->text.data + piece->at, piece->bytes);
}

static tm_status put_span(struct tm_pieces *p, size_t at, uint32_t token, bool at_start)
{
    struct tm_piece piece;
    memset(&piece, 0, sizeof piece);
    piece.at = at;
    piece.bytes = p->text.bytes - at;
    piece.token = token;
    piece.at_start = at_start;
    return tm_buf_put(&p->spans, &piece, sizeof piece);
}

tm_status tm_pieces_add(struct tm_pieces *p, struct tm_view text, uint32_t token, bool at_start)
{
    if (text.bytes == 0 && token == TM_NO_TOKEN) {
        return TM_OK;
    }
    size_t at = p->text.bytes;
    TM_TRY(tm_buf_put(&p->text, text.data, text.bytes));
    return put_span(p, at, token, at_start);
}

tm_status tm_pieces_close(struct tm_pieces *p, size_t from, bool at_start)
{
    return p->text.bytes == from ? TM_OK : put_span(p, from, TM_NO_TOKEN, at_start);
}
