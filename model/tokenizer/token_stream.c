/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/token_stream.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/tokenizer/tokenizer_parts.h"

struct tm_token_stream {
    struct tm_tokenizer *tokenizer;
    unsigned flags;
    size_t count; /* of tokens so far */
    struct tm_token_decoding decoding;
    struct tm_buf held; /* bytes that may begin a character */
    struct tm_buf ids;  /* where the decoder wants all at once */
};

static void restart(struct tm_token_stream *s)
{
    s->count = 0;
    tm_buf_clear(&s->held);
    tm_buf_clear(&s->ids);
    tm_token_decoder_begin(&s->tokenizer->decoder, &s->decoding);
}

tm_status tm_token_stream_new(struct tm_tokenizer *tokenizer, unsigned flags,
                              struct tm_token_stream **out)
{
    struct tm_token_stream *s = tm_calloc(1, sizeof *s);
    *out = s;
    if (s == NULL) {
        return TM_E_NOMEM;
    }
    s->tokenizer = tokenizer;
    s->flags = flags;
    tm_buf_init(&s->held, TM_PIECES_TEXT_MAX);
    tm_buf_init(&s->ids, TM_PIECES_TEXT_MAX);
    restart(s);
    return TM_OK;
}

void tm_token_stream_destroy(struct tm_token_stream **stream)
{
    if (*stream == NULL) {
        return;
    }
    tm_buf_deinit(&(*stream)->held);
    tm_buf_deinit(&(*stream)->ids);
    tm_free(*stream);
    *stream = NULL;
}

/* How many bytes at the end may begin a character that is not whole yet. */
static size_t unfinished(struct tm_view text)
{
    for (size_t back = 1; back <= 3 && back <= text.bytes; back++) {
        const uint8_t *start = text.data + text.bytes - back;
        if ((*start & 0xc0) == 0x80) {
            continue;
        }
        size_t length = *start >= 0xf0 ? 4 : *start >= 0xe0 ? 3 : *start >= 0xc2 ? 2 : 1;
        if (length <= back || *start > 0xf4) {
            return 0;
        }
        /* Completed with the least and the greatest continuation: one of them tells whether the
         * second byte, which alone may be wrong, is right. */
        uint8_t low[4], high[4];
        uint32_t code;
        memset(low, 0x80, sizeof low);
        memset(high, 0xbf, sizeof high);
        memcpy(low, start, back);
        memcpy(high, start, back);
        return tm_utf8_decode((const char *)low, length, &code) > 0 ||
                       tm_utf8_decode((const char *)high, length, &code) > 0
                   ? back
                   : 0;
    }
    return 0;
}

/* Puts out what is held but for an unfinished character. */
static tm_status release(struct tm_token_stream *s, struct tm_buf *out)
{
    size_t keep = unfinished(tm_buf_view(&s->held)), whole = s->held.bytes - keep;
    TM_TRY(tm_buf_put(out, s->held.data, whole));
    if (keep > 0) {
        memmove(s->held.data, s->held.data + whole, keep);
    }
    s->held.bytes = keep;
    return TM_OK;
}

static tm_status put(struct tm_token_stream *s, uint32_t id, struct tm_buf *out)
{
    struct tm_tokenizer *t = s->tokenizer;
    tm_pieces_clear(&t->pieces);
    TM_TRY(tm_tokenizer_put_token(t, id, s->flags));
    if (!tm_token_decoder_streams(&t->decoder)) {
        return tm_buf_put(&s->ids, &id, sizeof id);
    }
    TM_TRY(tm_token_decoder_next(&t->decoder, &s->decoding, &t->pieces, &t->spare, &s->held));
    return release(s, out);
}

tm_status tm_token_stream_put(struct tm_token_stream *s, uint32_t id, struct tm_buf *out,
                              struct tm_err *err)
{
    tm_status status = put(s, id, out);
    if (status != TM_OK) {
        return tm_tokenizer_fail_token(s->tokenizer, s->count, id, status, err);
    }
    s->count++;
    return TM_OK;
}

tm_status tm_token_stream_end(struct tm_token_stream *s, struct tm_buf *out, struct tm_err *err)
{
    const uint32_t *ids = (const uint32_t *)(const void *)s->ids.data;
    size_t count = s->ids.bytes / sizeof *ids;
    tm_status status = tm_tokenizer_decode(s->tokenizer, ids, count, s->flags, out, err);
    if (status == TM_OK) {
        status = tm_buf_put(out, s->held.data, s->held.bytes);
        status = status == TM_OK ? TM_OK
                                 : tm_tokenizer_fail_token(s->tokenizer, s->count, 0, status, err);
    }
    restart(s);
    return status;
}
