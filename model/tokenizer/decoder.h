/* SPDX-License-Identifier: Apache-2.0
 * The "decoder" of tokenizer.json, as a list of steps that turn the texts of tokens back into
 * bytes. Unlike Hugging Face's, the result is what the tokens stand for, byte for byte: bytes that
 * are no UTF-8 are not replaced. */
#ifndef TM_MODEL_TOKENIZER_DECODER_H
#define TM_MODEL_TOKENIZER_DECODER_H

#include "base/json.h"
#include "model/tokenizer/normalize.h"
#include "model/tokenizer/pieces.h"

#define TM_DECODER_STEPS_MAX 16

enum tm_token_decoder_kind {
    TM_DECODE_BYTE_LEVEL,    /* characters that stand for bytes; other tokens as they are */
    TM_DECODE_METASPACE,     /* U+2581 is a blank, but for one at the very start */
    TM_DECODE_REPLACE,       /* like the normaliser's */
    TM_DECODE_BYTE_FALLBACK, /* "<0x0A>" is a byte */
    TM_DECODE_FUSE,          /* one text of all */
    TM_DECODE_STRIP,         /* up to `start` times the character at the start, `stop` at the end */
    TM_DECODE_STRIP_FIRST    /* up to `start` times the character before everything else */
};

struct tm_token_decoder_step {
    enum tm_token_decoder_kind kind;
    bool keep_first; /* METASPACE: the blank at the start is kept */
    uint64_t start, stop;
    uint8_t content[4]; /* STRIP: one character */
    size_t content_bytes;
    struct tm_normals replace; /* REPLACE: one step */
};

struct tm_token_decoder {
    struct tm_token_decoder_step steps[TM_DECODER_STEPS_MAX];
    size_t count;
};

void tm_token_decoder_init(struct tm_token_decoder *decoder);
void tm_token_decoder_deinit(struct tm_token_decoder *decoder);
tm_status tm_token_decoder_json(struct tm_token_decoder *decoder, const struct tm_json *node,
                                struct tm_err *err) TM_MUST_USE;
/* What SentencePiece does: blanks for marks, bytes for byte tokens, and without up to `strip` marks
 * at the start: the one that was put before the text, or all of them. */
tm_status tm_token_decoder_sentencepiece(struct tm_token_decoder *decoder, uint64_t strip,
                                         struct tm_err *err) TM_MUST_USE;
tm_status tm_token_decoder_byte_level(struct tm_token_decoder *decoder,
                                      struct tm_err *err) TM_MUST_USE;
/* `pieces` holds the texts of the tokens; appends their bytes to *out. */
tm_status tm_token_decoder_apply(const struct tm_token_decoder *decoder, struct tm_pieces *pieces,
                                 struct tm_pieces *spare, struct tm_buf *out) TM_MUST_USE;

/* The same, some tokens at a time: what all calls append together is what one would. */
struct tm_token_decoding {
    bool begun[TM_DECODER_STEPS_MAX];    /* METASPACE: there was a token before */
    uint64_t left[TM_DECODER_STEPS_MAX]; /* STRIP_FIRST: how many may still come */
};
/* Whether that is so: not where a step looks at the text of all tokens at once (FUSE). */
bool tm_token_decoder_streams(const struct tm_token_decoder *decoder);
void tm_token_decoder_begin(const struct tm_token_decoder *decoder,
                            struct tm_token_decoding *decoding);
tm_status tm_token_decoder_next(const struct tm_token_decoder *decoder,
                                struct tm_token_decoding *decoding, struct tm_pieces *pieces,
                                struct tm_pieces *spare, struct tm_buf *out) TM_MUST_USE;

#endif
