/* SPDX-License-Identifier: Apache-2.0
 * A hash table from content id to a number, open addressing. Ids are SHA-256, so their first bytes
 * are the hash. Not thread-safe. */
#ifndef TM_PACKAGE_DIGEST_MAP_H
#define TM_PACKAGE_DIGEST_MAP_H

#include "crypto/digest.h"

struct tm_digest_slot {
    struct tm_digest key;
    uint64_t value;
    bool used;
};

struct tm_digest_map {
    struct tm_digest_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

void tm_digest_map_init(struct tm_digest_map *map);
void tm_digest_map_deinit(struct tm_digest_map *map);
bool tm_digest_map_get(const struct tm_digest_map *map, const struct tm_digest *key, uint64_t *out);
/* Adds or replaces. TM_E_NOMEM leaves the map as it was. */
tm_status tm_digest_map_put(struct tm_digest_map *map, const struct tm_digest *key,
                            uint64_t value) TM_MUST_USE;
/* false when key is not there. */
bool tm_digest_map_remove(struct tm_digest_map *map, const struct tm_digest *key);

#endif
