/* SPDX-License-Identifier: Apache-2.0 */
#include "package/digest_map.h"

#include "base/bytes.h"
#include "base/mem.h"

#define CAPACITY_MIN 64

void tm_digest_map_init(struct tm_digest_map *map)
{
    *map = (struct tm_digest_map){0};
}

void tm_digest_map_deinit(struct tm_digest_map *map)
{
    tm_free(map->slots);
    tm_digest_map_init(map);
}

static size_t home_of(const struct tm_digest_map *map, const struct tm_digest *key)
{
    return (size_t)tm_get_u64(key->b) & (map->capacity - 1);
}

/* The slot of key, or the free slot where it belongs. The map is never full. */
static size_t find(const struct tm_digest_map *map, const struct tm_digest *key)
{
    size_t i = home_of(map, key);
    while (map->slots[i].used && memcmp(map->slots[i].key.b, key->b, TM_DIGEST_BYTES) != 0) {
        i = (i + 1) & (map->capacity - 1);
    }
    return i;
}

bool tm_digest_map_get(const struct tm_digest_map *map, const struct tm_digest *key, uint64_t *out)
{
    if (map->count == 0) {
        return false;
    }
    const struct tm_digest_slot *slot = &map->slots[find(map, key)];
    if (!slot->used) {
        return false;
    }
    *out = slot->value;
    return true;
}

static tm_status grow(struct tm_digest_map *map)
{
    struct tm_digest_map bigger = {
        .capacity = map->capacity == 0 ? CAPACITY_MIN : map->capacity * 2, .count = map->count};
    bigger.slots = tm_calloc(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].used) {
            bigger.slots[find(&bigger, &map->slots[i].key)] = map->slots[i];
        }
    }
    tm_free(map->slots);
    *map = bigger;
    return TM_OK;
}

tm_status tm_digest_map_put(struct tm_digest_map *map, const struct tm_digest *key, uint64_t value)
{
    if ((map->count + 1) * 4 > map->capacity * 3) {
        TM_TRY(grow(map));
    }
    struct tm_digest_slot *slot = &map->slots[find(map, key)];
    map->count += slot->used ? 0 : 1;
    *slot = (struct tm_digest_slot){.key = *key, .value = value, .used = true};
    return TM_OK;
}

bool tm_digest_map_remove(struct tm_digest_map *map, const struct tm_digest *key)
{
    if (map->count == 0) {
        return false;
    }
    size_t hole = find(map, key), mask = map->capacity - 1;
    if (!map->slots[hole].used) {
        return false;
    }
    /* Moves back whatever would no longer be found across the hole. */
    for (size_t i = (hole + 1) & mask; map->slots[i].used; i = (i + 1) & mask) {
        size_t home = home_of(map, &map->slots[i].key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].used = false;
    map->count--;
    return true;
}
