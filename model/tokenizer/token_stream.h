/* SPDX-License-Identifier: Apache-2.0
 * Text of tokens as they come, for a terminal: never a part of a UTF-8 character. What is put out
 * all in all is what tm_tokenizer_decode gives for all ids at once, byte for byte. */
#ifndef TM_MODEL_TOKENIZER_TOKEN_STREAM_H
#define TM_MODEL_TOKENIZER_TOKEN_STREAM_H

#include "model/tokenizer/tokenizer.h"

struct tm_token_stream;

/* flags: as for tm_tokenizer_decode. The tokenizer outlives the stream and may be used between the
 * calls, by the same thread. */
tm_status tm_token_stream_new(struct tm_tokenizer *tokenizer, unsigned flags,
                              struct tm_token_stream **out) TM_MUST_USE;
void tm_token_stream_destroy(struct tm_token_stream **stream);
/* Appends what the next token makes certain. Held back until it is decided: up to 3 bytes that may
 * begin a character. Bytes that are no UTF-8 and cannot become any are put out as they are. With
 * the few decoders that look at all tokens at once, all text comes at the end.
 * TM_E_MALFORMED: there is no such id (nothing changed); TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_token_stream_put(struct tm_token_stream *stream, uint32_t id, struct tm_buf *out,
                              struct tm_err *err) TM_MUST_USE;
/* Appends what is still held back, whatever it is; the stream is then as new. */
tm_status tm_token_stream_end(struct tm_token_stream *stream, struct tm_buf *out,
                              struct tm_err *err) TM_MUST_USE;

#endif
