/* SPDX-License-Identifier: Apache-2.0
 * SentencePiece's precompiled normaliser: a double-array trie from character sequences to texts.
 *
 *   charsmap = u32 trie bytes, trie (u32 units, little-endian), NUL-terminated texts
 *
 * The trie is that of darts-clone; a leaf's value is an offset into the texts. Source:
 * sentencepiece src/normalizer.cc (the format), darts-clone (the meaning of the units). */
#ifndef TM_MODEL_TOKENIZER_CHARSMAP_H
#define TM_MODEL_TOKENIZER_CHARSMAP_H

#include "base/buf.h"

struct tm_charsmap {
    struct tm_view trie;  /* borrowed from the blob */
    struct tm_view texts; /* empty or ending in NUL */
};

/* An empty blob maps nothing. TM_E_MALFORMED when its sizes disagree. The blob outlives the map. */
tm_status tm_charsmap_open(struct tm_charsmap *map, struct tm_view blob,
                           struct tm_err *err) TM_MUST_USE;
/* The longest key that `text` begins with: its length (0: none) and what replaces it. */
size_t tm_charsmap_find(const struct tm_charsmap *map, struct tm_view text, struct tm_view *out);
/* Appends the normalised text (valid UTF-8 in, whatever the map says out). */
tm_status tm_charsmap_apply(const struct tm_charsmap *map, struct tm_view text,
                            struct tm_buf *out) TM_MUST_USE;

#endif
