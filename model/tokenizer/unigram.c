/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/unigram.h"

#include <string.h>

#include "base/utf8.h"

/* How much worse than the worst token an unknown character is. Source: sentencepiece,
 * src/unigram_model.cc (kUnkPenalty). */
#define UNKNOWN_PENALTY 10.0

tm_status tm_unigram_init(struct tm_unigram *unigram, const struct tm_vocab *vocab,
                          const struct tm_bpe *unknown)
{
    unigram->vocab = vocab;
    unigram->unknown = unknown;
    double worst = 0.0, best = -1e30;
    for (uint32_t id = 0; id < vocab->count; id++) {
        struct tm_view text;
        if (!tm_vocab_text(vocab, id, &text) || text.bytes == 0 ||
            tm_vocab_find(vocab, text) != id) {
            continue;
        }
        double score = vocab->entries[id].score;
        if (score <= TM_UNIGRAM_NEVER) {
            continue;
        }
        worst = score < worst ? score : worst;
        if (id != unknown->unknown && score < TM_UNIGRAM_ALWAYS) {
            best = score > best ? score : best;
        }
        if (id != unknown->unknown) {
            TM_TRY(tm_trie_put(&unigram->trie, text, id));
        }
    }
    unigram->unknown_score = worst - UNKNOWN_PENALTY;
    unigram->best_score = best;
    return TM_OK;
}

void tm_unigram_deinit(struct tm_unigram *unigram)
{
    tm_trie_deinit(&unigram->trie);
}

/* The best way to a position. */
struct best {
    double score;
    uint32_t start; /* where its last token begins; NOT_REACHED */
    uint32_t id;    /* TM_NO_TOKEN: an unknown character */
};

#define NOT_REACHED UINT32_MAX

static void offer(struct best *best, double score, size_t start, uint32_t id)
{
    if (best->start == NOT_REACHED || score > best->score) {
        *best = (struct best){score, (uint32_t)start, id};
    }
}

static double sum(const struct tm_unigram *unigram, double a, double b)
{
    return unigram->single_precision ? (double)(float)(a + b) : a + b;
}

static double score_of(const struct tm_unigram *unigram, uint32_t id, size_t bytes)
{
    double score = unigram->vocab->entries[id].score;
    return score < TM_UNIGRAM_ALWAYS ? score : (double)bytes * unigram->best_score - 0.1;
}

/* All ways on from position `at`. */
static void extend(const struct tm_unigram *unigram, struct tm_view text, size_t at,
                   size_t char_bytes, struct best *bests)
{
    double before = at == 0 ? 0.0 : bests[at].score;
    bool known = false;
    uint32_t node = TM_TRIE_ROOT;
    for (size_t end = at; end < text.bytes;) {
        node = tm_trie_step(&unigram->trie, node, text.data[end]);
        if (node == TM_TRIE_NONE) {
            break;
        }
        end++;
        uint32_t id = tm_trie_value(&unigram->trie, node);
        if (id != TM_TRIE_NONE) {
            double score = score_of(unigram, id, end - at);
            offer(&bests[end], sum(unigram, before, score), at, id);
            known = known || end - at == char_bytes;
        }
    }
    if (!known) {
        offer(&bests[at + char_bytes], sum(unigram, before, unigram->unknown_score), at,
              TM_NO_TOKEN);
    }
}

static tm_status search(const struct tm_unigram *unigram, struct tm_view text, struct tm_buf *work)
{
    uint8_t *room = NULL;
    tm_buf_clear(work);
    TM_TRY(tm_buf_extend(work, (text.bytes + 1) * sizeof(struct best), &room));
    struct best *bests = (struct best *)(void *)room;
    for (size_t i = 0; i <= text.bytes; i++) {
        bests[i] = (struct best){0.0, NOT_REACHED, TM_NO_TOKEN};
    }
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code;
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        length = length == 0 ? 1 : length;
        extend(unigram, text, at, length, bests);
        at += length;
    }
    return TM_OK;
}

/* Turns the chain of best tokens round: each position then knows where its token ends. */
static void reverse(struct best *bests, size_t end)
{
    uint32_t next = NOT_REACHED;
    size_t at = end;
    while (true) {
        uint32_t start = bests[at].start;
        bests[at].start = next;
        next = (uint32_t)at;
        if (at == 0) {
            break;
        }
        at = start;
    }
}

tm_status tm_unigram_encode(const struct tm_unigram *unigram, struct tm_view text,
                            struct tm_buf *work, struct tm_buf *ids)
{
    if (text.bytes == 0) {
        return TM_OK;
    }
    if (text.bytes > INT32_MAX) {
        return TM_E_LIMIT;
    }
    TM_TRY(search(unigram, text, work));
    struct best *bests = (struct best *)(void *)work->data;
    reverse(bests, text.bytes);
    for (size_t at = 0; at < text.bytes;) {
        size_t end = bests[at].start;
        uint32_t id = bests[end].id;
        if (id != TM_NO_TOKEN) {
            TM_TRY(tm_buf_put(ids, &id, sizeof id));
        } else {
            while (end < text.bytes && bests[bests[end].start].id == TM_NO_TOKEN) {
                end = bests[end].start;
            }
            struct tm_view run = tm_view_of(text.data + at, end - at);
            TM_TRY(tm_bpe_put_unknown(unigram->unknown, run, ids));
        }
        at = end;
    }
    return TM_OK;
}
