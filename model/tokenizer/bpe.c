/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define FIRST_SLOTS 1024u
#define NO_SYMBOL UINT32_MAX
#define JOINED_BYTES_MAX 4096 /* of a token's text */

void tm_bpe_init(struct tm_bpe *bpe, const struct tm_vocab *vocab)
{
    memset(bpe, 0, sizeof *bpe);
    bpe->vocab = vocab;
    bpe->unknown = TM_NO_TOKEN;
}

void tm_bpe_deinit(struct tm_bpe *bpe)
{
    tm_free(bpe->merges);
    tm_free(bpe->score_ranks);
    memset(bpe, 0, sizeof *bpe);
}

/* ---- rules ---- */

static struct tm_bpe_merge *slot_of(struct tm_bpe_merge *slots, uint32_t count, uint32_t left,
                                    uint32_t right)
{
    uint64_t key = ((uint64_t)left << 32 | right) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t slot = (uint32_t)(key >> 32) & (count - 1);
    while (slots[slot].left != TM_NO_TOKEN &&
           (slots[slot].left != left || slots[slot].right != right)) {
        slot = (slot + 1) & (count - 1);
    }
    return &slots[slot];
}

static tm_status grow(struct tm_bpe *bpe)
{
    uint32_t wanted = bpe->slot_count == 0 ? FIRST_SLOTS : bpe->slot_count * 2;
    struct tm_bpe_merge *slots = tm_realloc_array(NULL, wanted, sizeof *slots);
    if (slots == NULL) {
        return TM_E_NOMEM;
    }
    memset(slots, 0xff, wanted * sizeof *slots);
    for (uint32_t i = 0; i < bpe->slot_count; i++) {
        const struct tm_bpe_merge *old = &bpe->merges[i];
        if (old->left != TM_NO_TOKEN) {
            *slot_of(slots, wanted, old->left, old->right) = *old;
        }
    }
    tm_free(bpe->merges);
    bpe->merges = slots;
    bpe->slot_count = wanted;
    return TM_OK;
}

tm_status tm_bpe_merge(struct tm_bpe *bpe, struct tm_view left, struct tm_view right)
{
    uint8_t text[JOINED_BYTES_MAX];
    if (left.bytes > sizeof text || right.bytes > sizeof text - left.bytes) {
        return TM_E_MALFORMED;
    }
    memcpy(text, left.data, left.bytes);
    memcpy(text + left.bytes, right.data, right.bytes);
    struct tm_bpe_merge merge = {
        .left = tm_vocab_find(bpe->vocab, left),
        .right = tm_vocab_find(bpe->vocab, right),
        .rank = bpe->merge_count,
        .joined = tm_vocab_find(bpe->vocab, tm_view_of(text, left.bytes + right.bytes))};
    if (merge.left == TM_NO_TOKEN || merge.right == TM_NO_TOKEN || merge.joined == TM_NO_TOKEN) {
        return TM_E_MALFORMED;
    }
    if (bpe->merge_count >= TM_VOCAB_MAX) {
        return TM_E_LIMIT;
    }
    if (bpe->merge_count >= bpe->slot_count / 2) {
        TM_TRY(grow(bpe));
    }
    struct tm_bpe_merge *slot = slot_of(bpe->merges, bpe->slot_count, merge.left, merge.right);
    if (slot->left == TM_NO_TOKEN) {
        *slot = merge;
    }
    bpe->merge_count++;
    return TM_OK;
}

static int by_score(const void *a, const void *b, void *context)
{
    const struct tm_vocab_entry *entries = context;
    double x = entries[*(const uint32_t *)a].score, y = entries[*(const uint32_t *)b].score;
    return (x < y) - (x > y);
}

tm_status tm_bpe_use_scores(struct tm_bpe *bpe)
{
    uint32_t count = bpe->vocab->count;
    uint32_t *order = tm_realloc_array(NULL, (size_t)count + 1, sizeof *order);
    uint32_t *ranks = tm_calloc((size_t)count + 1, sizeof *ranks);
    if (order == NULL || ranks == NULL) {
        tm_free(order);
        tm_free(ranks);
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    qsort_r(order, count, sizeof *order, by_score, bpe->vocab->entries);
    for (uint32_t i = 1, rank = 0; i < count; i++) {
        rank += by_score(&order[i - 1], &order[i], bpe->vocab->entries) != 0;
        ranks[order[i]] = rank;
    }
    tm_free(order);
    tm_free(bpe->score_ranks);
    bpe->score_ranks = ranks;
    return TM_OK;
}

void tm_bpe_use_bytes(struct tm_bpe *bpe)
{
    bpe->byte_fallback = true;
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        bpe->bytes[i] = tm_vocab_find(bpe->vocab, tm_view_str(name));
        bpe->byte_fallback = bpe->byte_fallback && bpe->bytes[i] != TM_NO_TOKEN;
    }
}

/* ---- encoding ---- */

/* Text that is one unit so far; the living ones are a list. */
struct symbol {
    uint32_t at, bytes; /* bytes == 0: joined to the one before it */
    uint32_t id;        /* or TM_NO_TOKEN */
    uint32_t previous, next;
};

/* A pair that could be joined when it was seen; stale when one of the two has changed since. */
struct pair {
    uint32_t rank;
    uint32_t left; /* index of the symbol */
    uint32_t bytes;
    uint32_t joined;
};

void tm_bpe_work_init(struct tm_bpe_work *work)
{
    tm_buf_init(&work->symbols, (size_t)8 << 30);
    tm_buf_init(&work->heap, (size_t)8 << 30);
}

void tm_bpe_work_deinit(struct tm_bpe_work *work)
{
    tm_buf_deinit(&work->symbols);
    tm_buf_deinit(&work->heap);
}

static struct symbol *symbols_of(struct tm_bpe_work *work)
{
    return (struct symbol *)(void *)work->symbols.data;
}

static bool comes_before(const struct pair *a, const struct pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static tm_status heap_put(struct tm_buf *heap, struct pair pair)
{
    size_t at = heap->bytes / sizeof pair;
    TM_TRY(tm_buf_put(heap, &pair, sizeof pair));
    struct pair *pairs = (struct pair *)(void *)heap->data;
    while (at > 0 && comes_before(&pair, &pairs[(at - 1) / 2])) {
        pairs[at] = pairs[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    pairs[at] = pair;
    return TM_OK;
}

static struct pair heap_take(struct tm_buf *heap)
{
    struct pair *pairs = (struct pair *)(void *)heap->data;
    heap->bytes -= sizeof *pairs;
    size_t count = heap->bytes / sizeof *pairs, at = 0;
    struct pair first = pairs[0], last = pairs[count];
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && comes_before(&pairs[child + 1], &pairs[child]);
        if (!comes_before(&pairs[child], &last)) {
            break;
        }
        pairs[at] = pairs[child];
        at = child;
    }
    pairs[at] = last;
    return first;
}

/* Offers the pair of `left` and its neighbour, when they can be joined. */
static tm_status offer(const struct tm_bpe *bpe, struct tm_view text, struct tm_bpe_work *work,
                       uint32_t left)
{
    const struct symbol *symbols = symbols_of(work);
    if (left == NO_SYMBOL || symbols[left].next == NO_SYMBOL) {
        return TM_OK;
    }
    const struct symbol *a = &symbols[left], *b = &symbols[a->next];
    struct pair pair = {.left = left, .bytes = a->bytes + b->bytes};
    if (bpe->score_ranks != NULL) {
        pair.joined = tm_vocab_find(bpe->vocab, tm_view_of(text.data + a->at, pair.bytes));
        if (pair.joined == TM_NO_TOKEN) {
            return TM_OK;
        }
        pair.rank = bpe->score_ranks[pair.joined];
        return heap_put(&work->heap, pair);
    }
    if (bpe->merges == NULL || a->id == TM_NO_TOKEN || b->id == TM_NO_TOKEN) {
        return TM_OK;
    }
    const struct tm_bpe_merge *merge = slot_of(bpe->merges, bpe->slot_count, a->id, b->id);
    if (merge->left == TM_NO_TOKEN) {
        return TM_OK;
    }
    pair.rank = merge->rank;
    pair.joined = merge->joined;
    return heap_put(&work->heap, pair);
}

/* An unknown character that becomes nothing is left out before anything is joined: its neighbours
 * are neighbours then, as in Hugging Face's tokenizers. */
static bool is_dropped(const struct tm_bpe *bpe, uint32_t id)
{
    return id == TM_NO_TOKEN && bpe->unknown == TM_NO_TOKEN && !bpe->byte_fallback &&
           bpe->score_ranks == NULL;
}

static tm_status start_symbols(const struct tm_bpe *bpe, struct tm_view text,
                               struct tm_bpe_work *work)
{
    tm_buf_clear(&work->symbols);
    tm_buf_clear(&work->heap);
    uint32_t index = 0;
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code;
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        length = length == 0 ? 1 : length;
        struct symbol symbol = {.at = (uint32_t)at,
                                .bytes = (uint32_t)length,
                                .previous = index == 0 ? NO_SYMBOL : index - 1,
                                .next = index + 1};
        symbol.id = tm_vocab_find(bpe->vocab, tm_view_of(text.data + at, length));
        if (!is_dropped(bpe, symbol.id)) {
            TM_TRY(tm_buf_put(&work->symbols, &symbol, sizeof symbol));
            index++;
        }
        at += length;
    }
    if (index > 0) {
        symbols_of(work)[index - 1].next = NO_SYMBOL;
    }
    return TM_OK;
}

/* Whether both halves are still as they were when the pair was offered. A change in between makes
 * one of them longer or joins it away, so the sum of their lengths tells. */
static bool is_fresh(const struct symbol *symbols, const struct pair *pair)
{
    const struct symbol *a = &symbols[pair->left];
    return a->bytes > 0 && a->next != NO_SYMBOL && a->bytes + symbols[a->next].bytes == pair->bytes;
}

static tm_status join_all(const struct tm_bpe *bpe, struct tm_view text, struct tm_bpe_work *work)
{
    size_t count = work->symbols.bytes / sizeof(struct symbol);
    for (uint32_t i = 0; i + 1 < count; i++) {
        TM_TRY(offer(bpe, text, work, i));
    }
    while (work->heap.bytes > 0) {
        struct pair pair = heap_take(&work->heap);
        struct symbol *symbols = symbols_of(work);
        if (!is_fresh(symbols, &pair)) {
            continue;
        }
        struct symbol *a = &symbols[pair.left], *b = &symbols[a->next];
        a->bytes = pair.bytes;
        a->id = pair.joined;
        a->next = b->next;
        b->bytes = 0;
        if (a->next != NO_SYMBOL) {
            symbols[a->next].previous = pair.left;
        }
        TM_TRY(offer(bpe, text, work, a->previous));
        TM_TRY(offer(bpe, text, work, pair.left));
    }
    return TM_OK;
}

static tm_status put_id(struct tm_buf *ids, uint32_t id)
{
    return tm_buf_put(ids, &id, sizeof id);
}

tm_status tm_bpe_put_unknown(const struct tm_bpe *bpe, struct tm_view text, struct tm_buf *ids)
{
    if (bpe->byte_fallback) {
        for (size_t i = 0; i < text.bytes; i++) {
            TM_TRY(put_id(ids, bpe->bytes[text.data[i]]));
        }
        return TM_OK;
    }
    return bpe->unknown == TM_NO_TOKEN ? TM_OK : put_id(ids, bpe->unknown);
}

tm_status tm_bpe_encode(const struct tm_bpe *bpe, struct tm_view text, struct tm_bpe_work *work,
                        struct tm_buf *ids)
{
    if (text.bytes == 0) {
        return TM_OK;
    }
    if (text.bytes > INT32_MAX) {
        return TM_E_LIMIT;
    }
    uint32_t whole = bpe->whole_words ? tm_vocab_find(bpe->vocab, text) : TM_NO_TOKEN;
    if (whole != TM_NO_TOKEN) {
        return put_id(ids, whole);
    }
    TM_TRY(start_symbols(bpe, text, work));
    TM_TRY(join_all(bpe, text, work));
    const struct symbol *symbols = symbols_of(work);
    bool after_unknown = false;
    for (uint32_t i = work->symbols.bytes > 0 ? 0 : NO_SYMBOL; i != NO_SYMBOL;
         i = symbols[i].next) {
        if (symbols[i].id != TM_NO_TOKEN) {
            TM_TRY(put_id(ids, symbols[i].id));
            after_unknown = false;
            continue;
        }
        bool fused = after_unknown && bpe->fuse_unknown && !bpe->byte_fallback;
        if (!fused) {
            struct tm_view rest = tm_view_of(text.data + symbols[i].at, symbols[i].bytes);
            TM_TRY(tm_bpe_put_unknown(bpe, rest, ids));
        }
        after_unknown = true;
    }
    return TM_OK;
}
