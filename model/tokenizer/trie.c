/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/trie.h"

#include <string.h>

#include "base/mem.h"

#define FIRST_SLOTS 256u
#define NODES_MAX (1u << 26)

void tm_trie_init(struct tm_trie *trie)
{
    memset(trie, 0, sizeof *trie);
    tm_buf_init(&trie->values, NODES_MAX * sizeof(uint32_t));
}

void tm_trie_deinit(struct tm_trie *trie)
{
    tm_free(trie->slots);
    tm_buf_deinit(&trie->values);
    tm_trie_init(trie);
}

static struct tm_trie_slot *slot_of(struct tm_trie_slot *slots, uint32_t count, uint32_t parent,
                                    uint32_t byte)
{
    uint64_t key = ((uint64_t)parent << 8 | byte) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t slot = (uint32_t)(key >> 32) & (count - 1);
    while (slots[slot].child != 0 && (slots[slot].parent != parent || slots[slot].byte != byte)) {
        slot = (slot + 1) & (count - 1);
    }
    return &slots[slot];
}

static tm_status grow(struct tm_trie *trie)
{
    uint32_t wanted = trie->slot_count == 0 ? FIRST_SLOTS : trie->slot_count * 2;
    struct tm_trie_slot *slots = tm_calloc(wanted, sizeof *slots);
    if (slots == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < trie->slot_count; i++) {
        const struct tm_trie_slot *old = &trie->slots[i];
        if (old->child != 0) {
            *slot_of(slots, wanted, old->parent, old->byte) = *old;
        }
    }
    tm_free(trie->slots);
    trie->slots = slots;
    trie->slot_count = wanted;
    return TM_OK;
}

static tm_status add_node(struct tm_trie *trie, uint32_t *out)
{
    const uint32_t none = TM_TRIE_NONE;
    *out = (uint32_t)(trie->values.bytes / sizeof none);
    return tm_buf_put(&trie->values, &none, sizeof none);
}

static uint32_t *value_at(const struct tm_trie *trie, uint32_t node)
{
    return (uint32_t *)(void *)trie->values.data + node;
}

tm_status tm_trie_put(struct tm_trie *trie, struct tm_view text, uint32_t value)
{
    uint32_t node = TM_TRIE_ROOT;
    if (trie->values.bytes == 0) {
        TM_TRY(add_node(trie, &node));
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (trie->edges >= trie->slot_count / 2) {
            TM_TRY(grow(trie));
        }
        struct tm_trie_slot *slot = slot_of(trie->slots, trie->slot_count, node, text.data[i]);
        if (slot->child == 0) {
            uint32_t child;
            TM_TRY(add_node(trie, &child));
            *slot = (struct tm_trie_slot){.parent = node, .child = child, .byte = text.data[i]};
            trie->edges++;
        }
        node = slot->child;
    }
    *value_at(trie, node) = value;
    return TM_OK;
}

uint32_t tm_trie_step(const struct tm_trie *trie, uint32_t node, uint8_t byte)
{
    if (trie->slot_count == 0) {
        return TM_TRIE_NONE;
    }
    uint32_t child = slot_of(trie->slots, trie->slot_count, node, byte)->child;
    return child == 0 ? TM_TRIE_NONE : child;
}

uint32_t tm_trie_value(const struct tm_trie *trie, uint32_t node)
{
    return trie->values.bytes == 0 ? TM_TRIE_NONE : *value_at(trie, node);
}

size_t tm_trie_longest(const struct tm_trie *trie, struct tm_view text, uint32_t *value)
{
    size_t length = 0;
    uint32_t node = TM_TRIE_ROOT;
    for (size_t i = 0; i < text.bytes; i++) {
        node = tm_trie_step(trie, node, text.data[i]);
        if (node == TM_TRIE_NONE) {
            break;
        }
        if (tm_trie_value(trie, node) != TM_TRIE_NONE) {
            *value = tm_trie_value(trie, node);
            length = i + 1;
        }
    }
    return length;
}
