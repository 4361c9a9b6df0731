/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary: texts by id and ids by text. Ids may have gaps. */
#ifndef TM_MODEL_TOKENIZER_VOCAB_H
#define TM_MODEL_TOKENIZER_VOCAB_H

#include "model/tokenizer/pieces.h"

#define TM_VOCAB_MAX (1u << 21)               /* tokens */
#define TM_VOCAB_BYTES_MAX ((size_t)64 << 20) /* of all texts */

struct tm_vocab {
    struct tm_buf bytes;
    struct tm_vocab_entry *entries; /* by id */
    uint32_t count;                 /* largest id + 1 */
    uint32_t capacity;
    uint32_t *slots; /* hash table of ids, TM_NO_TOKEN = free; a power of two */
    uint32_t slot_count;
    uint32_t used;
};

struct tm_vocab_entry {
    uint32_t at, bytes; /* at = TM_NO_TOKEN: there is no such id */
    double score;
};

void tm_vocab_init(struct tm_vocab *vocab);
void tm_vocab_deinit(struct tm_vocab *vocab);
/* A text that is there already keeps its first id for tm_vocab_find. TM_E_MALFORMED for an id that
 * is taken; TM_E_LIMIT past the maxima; TM_E_NOMEM. */
tm_status tm_vocab_put(struct tm_vocab *vocab, uint32_t id, struct tm_view text,
                       double score) TM_MUST_USE;
/* TM_NO_TOKEN when absent. */
uint32_t tm_vocab_find(const struct tm_vocab *vocab, struct tm_view text);
/* false when there is no such id. */
bool tm_vocab_text(const struct tm_vocab *vocab, uint32_t id, struct tm_view *out);

#endif
