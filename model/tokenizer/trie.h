/* SPDX-License-Identifier: Apache-2.0
 * A tree of texts by their bytes: finds every stored text that a text begins with in one walk. */
#ifndef TM_MODEL_TOKENIZER_TRIE_H
#define TM_MODEL_TOKENIZER_TRIE_H

#include "base/buf.h"

#define TM_TRIE_NONE UINT32_MAX
#define TM_TRIE_ROOT 0u

struct tm_trie {
    struct tm_trie_slot *slots; /* hash table of edges; a power of two */
    uint32_t slot_count, edges;
    struct tm_buf values; /* u32 by node */
};

struct tm_trie_slot {
    uint32_t parent, child; /* child == 0: free, for the root is nobody's child */
    uint32_t byte;
};

void tm_trie_init(struct tm_trie *trie);
void tm_trie_deinit(struct tm_trie *trie);
/* Of two equal texts the later value holds. value < TM_TRIE_NONE. TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_trie_put(struct tm_trie *trie, struct tm_view text, uint32_t value) TM_MUST_USE;
/* The node below `node` by one more byte, or TM_TRIE_NONE. Walks start at TM_TRIE_ROOT. */
uint32_t tm_trie_step(const struct tm_trie *trie, uint32_t node, uint8_t byte);
/* The value of the text that ends at `node`, or TM_TRIE_NONE. */
uint32_t tm_trie_value(const struct tm_trie *trie, uint32_t node);
/* The longest stored text that `text` begins with: its length (0: none) and value. */
size_t tm_trie_longest(const struct tm_trie *trie, struct tm_view text, uint32_t *value);

#endif
