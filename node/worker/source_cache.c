/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/source_cache.h"

#include "base/mem.h"

/* Enough for a worker: it holds at most 64 units, and whole blocks of a model are 64 KiB and more.
 */
#define ENTRIES_MAX 1024

struct tm_source_cache {
    uint64_t limit_bytes, bytes, clock;
    struct tm_source *entries[ENTRIES_MAX];
    size_t count;
};

tm_status tm_source_cache_new(uint64_t limit_bytes, struct tm_source_cache **out)
{
    *out = tm_calloc(1, sizeof **out);
    if (*out == NULL) {
        return TM_E_NOMEM;
    }
    (*out)->limit_bytes = limit_bytes;
    return TM_OK;
}

static void drop(struct tm_source_cache *cache, size_t index)
{
    struct tm_source *s = cache->entries[index];
    cache->bytes -= s->total;
    cache->entries[index] = cache->entries[--cache->count];
    tm_buf_deinit(&s->bytes);
    tm_free(s);
}

void tm_source_cache_destroy(struct tm_source_cache **cache)
{
    if (*cache == NULL) {
        return;
    }
    while ((*cache)->count > 0) {
        drop(*cache, (*cache)->count - 1);
    }
    tm_free(*cache);
    *cache = NULL;
}

struct tm_source *tm_source_find(struct tm_source_cache *cache, const struct tm_digest *id)
{
    for (size_t i = 0; i < cache->count; i++) {
        if (tm_digest_eq(&cache->entries[i]->id, id)) {
            return cache->entries[i];
        }
    }
    return NULL;
}

/* Drops the entry that nobody has needed for longest; false when all are pinned. */
static bool make_room(struct tm_source_cache *cache)
{
    size_t oldest = cache->count;
    for (size_t i = 0; i < cache->count; i++) {
        const struct tm_source *s = cache->entries[i];
        if (s->pins == 0 && (oldest == cache->count || s->used < cache->entries[oldest]->used)) {
            oldest = i;
        }
    }
    if (oldest == cache->count) {
        return false;
    }
    drop(cache, oldest);
    return true;
}

tm_status tm_source_add(struct tm_source_cache *cache, const struct tm_digest *id, uint32_t total,
                        struct tm_source **out)
{
    *out = NULL;
    while (cache->count == ENTRIES_MAX || cache->bytes + total > cache->limit_bytes) {
        /* One unit always fits, however small the limit. */
        if (!make_room(cache) && (cache->count == ENTRIES_MAX || cache->count > 0)) {
            return TM_E_LIMIT;
        }
        if (cache->count == 0) {
            break;
        }
    }
    struct tm_source *s = tm_calloc(1, sizeof *s);
    if (s == NULL) {
        return TM_E_NOMEM;
    }
    s->id = *id;
    s->total = total;
    s->pins = 1;
    s->used = ++cache->clock;
    tm_buf_init(&s->bytes, total);
    if (tm_buf_reserve(&s->bytes, total) != TM_OK) {
        tm_free(s);
        return TM_E_NOMEM;
    }
    cache->entries[cache->count++] = s;
    cache->bytes += total;
    *out = s;
    return TM_OK;
}

void tm_source_pin(struct tm_source_cache *cache, struct tm_source *source)
{
    source->pins++;
    source->used = ++cache->clock;
}

void tm_source_unpin(struct tm_source_cache *cache, struct tm_source *source)
{
    TM_ASSERT(source->pins > 0);
    source->pins--;
    if (source->pins > 0 || source->whole) {
        return;
    }
    for (size_t i = 0; i < cache->count; i++) {
        if (cache->entries[i] == source) {
            drop(cache, i); /* half a source is of no use to anybody */
            return;
        }
    }
}

void tm_source_restart(struct tm_source *source)
{
    tm_buf_clear(&source->bytes);
    source->asked = 0;
}

tm_status tm_source_put(struct tm_source *source, uint32_t offset, struct tm_view piece,
                        uint64_t now_ms)
{
    if (source->whole || offset != source->bytes.bytes || piece.bytes == 0 ||
        piece.bytes > source->total - offset) {
        return TM_E_NOTHING;
    }
    TM_TRY(tm_buf_put(&source->bytes, piece.data, piece.bytes));
    source->progress_ms = now_ms;
    if (source->bytes.bytes < source->total) {
        return TM_OK;
    }
    struct tm_digest digest = tm_digest_of(tm_buf_view(&source->bytes));
    if (!tm_digest_eq(&digest, &source->id)) {
        tm_source_restart(source);
        return TM_E_VERIFY;
    }
    source->whole = true;
    return TM_OK;
}

struct tm_source *tm_source_unfinished(struct tm_source_cache *cache, size_t *index)
{
    while (*index < cache->count) {
        struct tm_source *s = cache->entries[(*index)++];
        if (!s->whole) {
            return s;
        }
    }
    return NULL;
}

uint64_t tm_source_cache_bytes(const struct tm_source_cache *cache)
{
    return cache->bytes;
}
