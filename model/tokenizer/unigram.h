/* SPDX-License-Identifier: Apache-2.0
 * Unigram segmentation of one piece: the cut with the highest sum of scores (Kudo 2018), found by
 * Viterbi's algorithm. Of equally good cuts the one whose last token begins earliest is taken. */
#ifndef TM_MODEL_TOKENIZER_UNIGRAM_H
#define TM_MODEL_TOKENIZER_UNIGRAM_H

#include "model/tokenizer/bpe.h"
#include "model/tokenizer/trie.h"

/* A score that stands for "always taken": better than any cut of the same text into other tokens.
 * What it becomes: sentencepiece, src/unigram_model.cc (user-defined symbols). */
#define TM_UNIGRAM_ALWAYS 1e30
/* A token that no text becomes: SentencePiece's bytes. */
#define TM_UNIGRAM_NEVER (-1e30)

struct tm_unigram {
    const struct tm_vocab *vocab; /* borrowed */
    const struct tm_bpe *unknown; /* borrowed: what an unknown run becomes */
    struct tm_trie trie;
    double unknown_score, best_score;
    /* Sums are rounded to float, as SentencePiece keeps them; Hugging Face's tokenizers keeps them
     * in double, and near ties fall differently. */
    bool single_precision;
};

/* Builds the tree of all texts of the vocabulary but the unknown token's, in a zeroed struct. */
tm_status tm_unigram_init(struct tm_unigram *unigram, const struct tm_vocab *vocab,
                          const struct tm_bpe *unknown) TM_MUST_USE;
void tm_unigram_deinit(struct tm_unigram *unigram);
/* Appends the ids (u32 each) of valid UTF-8; neighbouring unknown characters are one unknown run.
 * `work` is work space. TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_unigram_encode(const struct tm_unigram *unigram, struct tm_view text,
                            struct tm_buf *work, struct tm_buf *ids) TM_MUST_USE;

#endif
