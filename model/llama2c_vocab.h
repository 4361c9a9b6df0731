/* SPDX-License-Identifier: Apache-2.0
 * The tokenizer of llama2.c (tokenizer.bin) as the tokenizer.ggml.* pairs of GGUF. Private to
 * model/.
 *
 *   file  = i32 longest token, token ...        to the end of the file
 *   token = f32 score, i32 bytes, text          the first three are <unk>, <s> and </s>
 *
 * In the texts a blank stands for what SentencePiece and GGUF write as U+2581. */
#ifndef TM_MODEL_LLAMA2C_VOCAB_H
#define TM_MODEL_LLAMA2C_VOCAB_H

#include "base/buf.h"

#define TM_LLAMA2C_VOCAB_PAIRS 7

/* Appends the pairs (docs/formats/gguf-metadata.md) of a file that holds exactly `tokens` tokens.
 * TM_E_MALFORMED, and out as it was, when it does not. */
tm_status tm_llama2c_vocab_put(struct tm_view file, uint32_t tokens,
                               struct tm_buf *out) TM_MUST_USE;

#endif
