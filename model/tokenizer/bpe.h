/* SPDX-License-Identifier: Apache-2.0
 * Byte-pair encoding of one piece: starts from its characters and joins the best pair of neighbours
 * until none can be joined. Of equally good pairs the leftmost is joined first.
 *
 * "Best" is the earliest rule of a list of merges (GPT-2, Sennrich et al. 2016), or, for
 * SentencePiece, the joined text with the highest score in the vocabulary. */
#ifndef TM_MODEL_TOKENIZER_BPE_H
#define TM_MODEL_TOKENIZER_BPE_H

#include "model/tokenizer/vocab.h"

struct tm_bpe {
    const struct tm_vocab *vocab; /* borrowed */
    struct tm_bpe_merge *merges;  /* hash table; NULL: joined by score */
    uint32_t slot_count, merge_count;
    uint32_t *score_ranks; /* by id, without merges: 0 for the highest score */
    uint32_t unknown;      /* or TM_NO_TOKEN */
    uint32_t bytes[256];   /* "<0x00>".."<0xFF>", when byte_fallback */
    bool byte_fallback;
    bool fuse_unknown; /* neighbouring unknown characters become one token */
    bool whole_words;  /* a piece that is in the vocabulary is one token ("ignore_merges") */
};

struct tm_bpe_merge {
    uint32_t left, right; /* left == TM_NO_TOKEN: a free slot */
    uint32_t rank, joined;
};

/* Work space of the encoder, reused from piece to piece. */
struct tm_bpe_work {
    struct tm_buf symbols, heap;
};

void tm_bpe_init(struct tm_bpe *bpe, const struct tm_vocab *vocab);
void tm_bpe_deinit(struct tm_bpe *bpe);
/* The next rule; both texts and their joined text must be in the vocabulary (TM_E_MALFORMED). A
 * rule that is there already is left as it is. TM_E_LIMIT past TM_VOCAB_MAX rules. */
tm_status tm_bpe_merge(struct tm_bpe *bpe, struct tm_view left, struct tm_view right) TM_MUST_USE;
/* Joins by score instead: ranks the vocabulary. */
tm_status tm_bpe_use_scores(struct tm_bpe *bpe) TM_MUST_USE;
/* Finds the 256 byte tokens; without all of them there is no byte fallback. */
void tm_bpe_use_bytes(struct tm_bpe *bpe);

void tm_bpe_work_init(struct tm_bpe_work *work);
void tm_bpe_work_deinit(struct tm_bpe_work *work);
/* Appends the ids (u32 each) of valid UTF-8. An unknown character without fallback and without an
 * unknown token gives nothing. TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_bpe_encode(const struct tm_bpe *bpe, struct tm_view text, struct tm_bpe_work *work,
                        struct tm_buf *ids) TM_MUST_USE;
/* Appends the ids of one unknown run of characters: bytes, the unknown token, or nothing. */
tm_status tm_bpe_put_unknown(const struct tm_bpe *bpe, struct tm_view text,
                             struct tm_buf *ids) TM_MUST_USE;

#endif
