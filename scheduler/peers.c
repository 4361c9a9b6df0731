/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/peers.h"

#include "base/bytes.h"
#include "base/mem.h"

void tm_peers_init(struct tm_peers *peers, uint64_t seed)
{
    *peers = (struct tm_peers){.seed = seed};
}

void tm_peers_deinit(struct tm_peers *peers)
{
    tm_free(peers->items);
    tm_free(peers->slots);
    *peers = (struct tm_peers){0};
}

/* Ids are hashes already; the secret seed is mixed in by a multiply-xorshift (as in splitmix64). */
static uint32_t slot_of(const struct tm_peers *peers, const struct tm_node_id *id)
{
    uint64_t h = tm_get_u64(id->b) ^ peers->seed;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u + tm_get_u64(id->b + 8);
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(h ^ h >> 31) & (peers->slot_count - 1);
}

static void place(struct tm_peers *peers, uint32_t index)
{
    uint32_t slot = slot_of(peers, &peers->items[index].id);
    while (peers->slots[slot] != TM_NONE) {
        slot = (slot + 1) & (peers->slot_count - 1);
    }
    peers->slots[slot] = index;
}

static void rebuild(struct tm_peers *peers)
{
    for (uint32_t i = 0; i < peers->slot_count; i++) {
        peers->slots[i] = TM_NONE;
    }
    for (uint32_t i = 0; i < peers->count; i++) {
        if (peers->items[i].state != TM_PEER_FREE) {
            place(peers, i);
        }
    }
}

uint32_t tm_peers_find(const struct tm_peers *peers, const struct tm_node_id *id)
{
    if (peers->slot_count == 0) {
        return TM_NONE;
    }
    uint32_t slot = slot_of(peers, id);
    while (peers->slots[slot] != TM_NONE) {
        if (tm_node_id_eq(&peers->items[peers->slots[slot]].id, id)) {
            return peers->slots[slot];
        }
        slot = (slot + 1) & (peers->slot_count - 1);
    }
    return TM_NONE;
}

static tm_status grow(struct tm_peers *peers)
{
    uint32_t capacity = peers->capacity > 0 ? peers->capacity * 2 : 16;
    struct tm_peer *items = tm_realloc_array(peers->items, capacity, sizeof *items);
    if (items == NULL) {
        return TM_E_NOMEM;
    }
    peers->items = items;
    uint32_t *slots = tm_realloc_array(peers->slots, (size_t)capacity * 2, sizeof *slots);
    if (slots == NULL) {
        return TM_E_NOMEM;
    }
    peers->slots = slots;
    peers->slot_count = capacity * 2;
    peers->capacity = capacity;
    rebuild(peers);
    return TM_OK;
}

static bool forgettable(const struct tm_peer *peer)
{
    return peer->state == TM_PEER_GONE && peer->accepted == 0 && peer->leases == TM_NONE &&
           peer->claims == TM_NONE && peer->made == TM_NONE;
}

/* An entry for one more node that is not banned. */
static tm_status find_room(struct tm_peers *peers, uint32_t *out)
{
    if (peers->live < TM_MESH_NODES_MAX) {
        if (peers->count == peers->capacity) {
            TM_TRY(grow(peers));
        }
        *out = peers->count++;
        return TM_OK;
    }
    for (uint32_t i = 0; i < peers->count; i++) {
        if (forgettable(&peers->items[i])) {
            tm_peers_set_state(peers, i, TM_PEER_FREE);
            rebuild(peers);
            *out = i;
            return TM_OK;
        }
    }
    return TM_E_LIMIT;
}

tm_status tm_peers_add(struct tm_peers *peers, const struct tm_node_id *id, uint32_t *out)
{
    TM_ASSERT(tm_peers_find(peers, id) == TM_NONE);
    if (peers->banned >= TM_PEERS_BANNED_MAX) {
        return TM_E_LIMIT;
    }
    uint32_t index = TM_NONE;
    TM_TRY(find_room(peers, &index));
    peers->items[index] = (struct tm_peer){.id = *id,
                                           .cores = 1,
                                           .leases = TM_NONE,
                                           .claims = TM_NONE,
                                           .made = TM_NONE,
                                           .group = TM_NONE};
    tm_peers_set_state(peers, index, TM_PEER_GONE);
    place(peers, index);
    *out = index;
    return TM_OK;
}

void tm_peers_set_state(struct tm_peers *peers, uint32_t index, enum tm_peer_state state)
{
    enum tm_peer_state old = peers->items[index].state;
    peers->live -= old == TM_PEER_READY || old == TM_PEER_GONE ? 1 : 0;
    peers->ready -= old == TM_PEER_READY ? 1 : 0;
    peers->banned -= old == TM_PEER_BANNED ? 1 : 0;
    peers->live += state == TM_PEER_READY || state == TM_PEER_GONE ? 1 : 0;
    peers->ready += state == TM_PEER_READY ? 1 : 0;
    peers->banned += state == TM_PEER_BANNED ? 1 : 0;
    peers->items[index].state = state;
}

void tm_peer_bar(struct tm_peer *peer, uint32_t strikes, uint32_t free, uint64_t base_ms,
                 uint64_t now_ms)
{
    if (strikes > free) {
        uint32_t doublings = strikes - free - 1;
        uint64_t until = now_ms + (base_ms << (doublings < 6 ? doublings : 6));
        peer->barred_ms = until > peer->barred_ms ? until : peer->barred_ms;
    }
}
