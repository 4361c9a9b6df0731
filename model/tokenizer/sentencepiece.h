/* SPDX-License-Identifier: Apache-2.0
 * What tokenizer.model and a GGUF file's "llama" and "t5" tokenizers have in common:
 * SentencePiece's tokens with scores and kinds, and its way with blanks. */
#ifndef TM_MODEL_TOKENIZER_SENTENCEPIECE_H
#define TM_MODEL_TOKENIZER_SENTENCEPIECE_H

#include "model/tokenizer/tokenizer_parts.h"

/* sentencepiece.ModelProto.SentencePiece.Type; GGUF's tokenizer.ggml.token_type is the same. */
enum tm_piece_kind {
    TM_PIECE_NORMAL = 1,
    TM_PIECE_UNKNOWN = 2,
    TM_PIECE_CONTROL = 3,
    TM_PIECE_USER_DEFINED = 4,
    TM_PIECE_UNUSED = 5,
    TM_PIECE_BYTE = 6
};

struct tm_spm_settings {
    struct tm_view charsmap;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
};

/* One token: into the vocabulary, or the added tokens (control; user-defined of a BPE model).
 * tokenizer->model is set before. */
tm_status tm_spm_put(struct tm_tokenizer *tokenizer, uint32_t id, struct tm_view text, double score,
                     uint32_t kind, struct tm_err *err) TM_MUST_USE;
/* The normaliser, the decoder and the byte tokens, once all tokens are in. */
tm_status tm_spm_settle(struct tm_tokenizer *tokenizer, const struct tm_spm_settings *settings,
                        struct tm_err *err) TM_MUST_USE;

#endif
