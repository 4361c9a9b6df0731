/* SPDX-License-Identifier: Apache-2.0
 * Source bytes of units in a worker's memory, by their SHA-256: those that are on their way, and
 * whole ones, of which the least recently used go when the limit is reached. Pinned ones stay. One
 * thread. */
#ifndef TM_NODE_SOURCE_CACHE_H
#define TM_NODE_SOURCE_CACHE_H

#include "base/buf.h"
#include "crypto/digest.h"

struct tm_source {
    struct tm_digest id;
    uint32_t total;       /* bytes when whole */
    bool whole;           /* all there, and they hash to id */
    uint32_t asked;       /* credit given so far */
    uint64_t progress_ms; /* when a piece last came */
    struct tm_buf bytes;
    unsigned pins;
    uint64_t used; /* order of use */
};

struct tm_source_cache;
tm_status tm_source_cache_new(uint64_t limit_bytes, struct tm_source_cache **out) TM_MUST_USE;
void tm_source_cache_destroy(struct tm_source_cache **cache);
/* NULL when it is not there. */
struct tm_source *tm_source_find(struct tm_source_cache *cache, const struct tm_digest *id);
/* A new, empty entry with room for total bytes, pinned once; others make room. TM_E_NOMEM;
 * TM_E_LIMIT when the pinned ones leave no room. */
tm_status tm_source_add(struct tm_source_cache *cache, const struct tm_digest *id, uint32_t total,
                        struct tm_source **out) TM_MUST_USE;
void tm_source_pin(struct tm_source_cache *cache, struct tm_source *source);
void tm_source_unpin(struct tm_source_cache *cache, struct tm_source *source);
/* A piece that came. TM_E_NOTHING: it does not continue what is there (late, repeated) and is
 * dropped. TM_E_VERIFY: the last piece came and the whole is not what its id says; it is empty
 * again and can be asked for anew. */
tm_status tm_source_put(struct tm_source *source, uint32_t offset, struct tm_view piece,
                        uint64_t now_ms) TM_MUST_USE;
/* Starts an unfinished one over. */
void tm_source_restart(struct tm_source *source);
/* Unfinished entries, one by one: index from 0 until NULL. */
struct tm_source *tm_source_unfinished(struct tm_source_cache *cache, size_t *index);
uint64_t tm_source_cache_bytes(const struct tm_source_cache *cache);

#endif
