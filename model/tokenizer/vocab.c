/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/vocab.h"

#include <string.h>

#include "base/mem.h"

#define FIRST_SLOTS 1024u

void tm_vocab_init(struct tm_vocab *vocab)
{
    memset(vocab, 0, sizeof *vocab);
    tm_buf_init(&vocab->bytes, TM_VOCAB_BYTES_MAX);
}

void tm_vocab_deinit(struct tm_vocab *vocab)
{
    tm_buf_deinit(&vocab->bytes);
    tm_free(vocab->entries);
    tm_free(vocab->slots);
    memset(vocab, 0, sizeof *vocab);
}

/* FNV-1a with a last stir: the low bits choose the slot. */
static uint32_t hash(struct tm_view text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.bytes; i++) {
        h = (h ^ text.data[i]) * UINT64_C(0x100000001b3);
    }
    return (uint32_t)(h ^ h >> 32);
}

static struct tm_view text_of(const struct tm_vocab *vocab, uint32_t id)
{
    return tm_view_of(vocab->bytes.data + vocab->entries[id].at, vocab->entries[id].bytes);
}

/* The slot of text, or the free one where it belongs. */
static uint32_t slot_of(const struct tm_vocab *vocab, struct tm_view text)
{
    uint32_t mask = vocab->slot_count - 1;
    uint32_t slot = hash(text) & mask;
    while (vocab->slots[slot] != TM_NO_TOKEN &&
           !tm_view_eq(text_of(vocab, vocab->slots[slot]), text)) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static tm_status grow_slots(struct tm_vocab *vocab)
{
    uint32_t wanted = vocab->slot_count == 0 ? FIRST_SLOTS : vocab->slot_count * 2;
    uint32_t *slots = tm_realloc_array(NULL, wanted, sizeof *slots);
    if (slots == NULL) {
        return TM_E_NOMEM;
    }
    memset(slots, 0xff, wanted * sizeof *slots);
    uint32_t *old = vocab->slots;
    uint32_t old_count = vocab->slot_count;
    vocab->slots = slots;
    vocab->slot_count = wanted;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != TM_NO_TOKEN) {
            slots[slot_of(vocab, text_of(vocab, old[i]))] = old[i];
        }
    }
    tm_free(old);
    return TM_OK;
}

static tm_status grow_entries(struct tm_vocab *vocab, uint32_t id)
{
    if (id >= TM_VOCAB_MAX) {
        return TM_E_LIMIT;
    }
    if (id < vocab->capacity) {
        return TM_OK;
    }
    uint32_t wanted = vocab->capacity == 0 ? FIRST_SLOTS : vocab->capacity * 2;
    while (wanted <= id) {
        wanted *= 2;
    }
    struct tm_vocab_entry *entries =
        tm_realloc_array(vocab->entries, wanted, sizeof *vocab->entries);
    if (entries == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = vocab->capacity; i < wanted; i++) {
        entries[i] = (struct tm_vocab_entry){.at = TM_NO_TOKEN};
    }
    vocab->entries = entries;
    vocab->capacity = wanted;
    return TM_OK;
}

tm_status tm_vocab_put(struct tm_vocab *vocab, uint32_t id, struct tm_view text, double score)
{
    TM_TRY(grow_entries(vocab, id));
    if (vocab->entries[id].at != TM_NO_TOKEN) {
        return TM_E_MALFORMED;
    }
    if (vocab->used >= vocab->slot_count / 2) {
        TM_TRY(grow_slots(vocab));
    }
    uint32_t at = (uint32_t)vocab->bytes.bytes;
    TM_TRY(tm_buf_put(&vocab->bytes, text.data, text.bytes));
    vocab->entries[id] = (struct tm_vocab_entry){at, (uint32_t)text.bytes, score};
    vocab->count = id >= vocab->count ? id + 1 : vocab->count;
    uint32_t slot = slot_of(vocab, text);
    if (vocab->slots[slot] == TM_NO_TOKEN) {
        vocab->slots[slot] = id;
        vocab->used++;
    }
    return TM_OK;
}

uint32_t tm_vocab_find(const struct tm_vocab *vocab, struct tm_view text)
{
    return vocab->slot_count == 0 ? TM_NO_TOKEN : vocab->slots[slot_of(vocab, text)];
}

bool tm_vocab_text(const struct tm_vocab *vocab, uint32_t id, struct tm_view *out)
{
    if (id >= vocab->count || vocab->entries[id].at == TM_NO_TOKEN) {
        return false;
    }
    *out = text_of(vocab, id);
    return true;
}
