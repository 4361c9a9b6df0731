/* SPDX-License-Identifier: Apache-2.0
 * How many tokens and merges a tokenizer has, from a tokenizer.json of Hugging Face or from GGUF
 * metadata. Texts compare bytewise: two Unicode forms of one letter are two tokens. */
#ifndef TM_MODEL_TOKENIZER_COUNT_H
#define TM_MODEL_TOKENIZER_COUNT_H

#include "base/buf.h"

#define TM_TOKENS_MAX (2u << 20) /* eight times the largest vocabularies of 2026 */

struct tm_token_counts {
    uint64_t tokens; /* with added ones */
    uint64_t merges;
    uint64_t repeated; /* entries whose text an earlier entry has too; legal, worth a warning */
};

/* TM_E_MALFORMED, naming path, when the text is no JSON or holds a vocabulary or merges in a form
 * that is not known: never a count that leaves something out. */
tm_status tm_token_count_json(struct tm_view text, const char *path, struct tm_token_counts *out,
                              struct tm_err *err) TM_MUST_USE;
/* blob: checked GGUF metadata (model/gguf_meta.h). All 0 without tokenizer.ggml.tokens. */
tm_status tm_token_count_gguf(struct tm_view blob, const char *path, struct tm_token_counts *out,
                              struct tm_err *err) TM_MUST_USE;

#endif
