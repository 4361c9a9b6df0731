/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/logits_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/mem.h"

#define LABEL "tensormill.logits.v1"
#define MAGIC "TMLOGIT1"
#define HEADER_BYTES 64 /* magic, bytes of floats, their SHA-256, zeros */
#define PIECE_BYTES ((size_t)1 << 20)
#define SUFFIX ".logits"

struct tm_logits_cache {
    char dir[TM_PATH_MAX];
    uint64_t max_bytes;
    struct tm_digest weights;
    struct tm_logits_store store;
    char path[TM_PATH_MAX];  /* of the present window */
    struct tm_file_in *in;   /* it is being read */
    struct tm_file_out *out; /* it is being written */
    struct tm_hash *hash;    /* of what was written */
    uint64_t at;             /* bytes of floats read or written */
    uint8_t *piece;          /* PIECE_BYTES */
};

static void drop_files(struct tm_logits_cache *c)
{
    tm_file_close(&c->in);
    tm_file_out_abort(&c->out);
}

/* ---- names ---- */

static void put_u32(struct tm_hash *hash, uint32_t value)
{
    uint8_t bytes[4];
    tm_set_u32(bytes, value);
    tm_hash_update(hash, bytes, sizeof bytes);
}

static tm_status name_window(struct tm_logits_cache *c, const uint32_t *ids, uint32_t count)
{
    char name[TM_DIGEST_TEXT + sizeof SUFFIX], hex[TM_DIGEST_TEXT];
    tm_hash_update(c->hash, LABEL, sizeof LABEL - 1);
    tm_hash_update(c->hash, c->weights.b, sizeof c->weights.b);
    for (uint32_t i = 0; i < count; i++) {
        put_u32(c->hash, ids[i]);
    }
    struct tm_digest digest = tm_hash_final(c->hash);
    snprintf(name, sizeof name, "%s" SUFFIX, tm_digest_hex(&digest, hex));
    return tm_path_join(c->path, c->dir, name);
}

/* ---- reading ---- */

/* Whether the open file is whole: its floats have the digest of its header. */
static bool is_whole(struct tm_logits_cache *c)
{
    uint8_t header[HEADER_BYTES];
    uint64_t bytes = tm_file_bytes(c->in);
    if (bytes <= HEADER_BYTES || tm_file_read_at(c->in, 0, header, sizeof header, NULL) != TM_OK ||
        memcmp(header, MAGIC, 8) != 0 || tm_get_u64(header + 8) != bytes - HEADER_BYTES) {
        return false;
    }
    for (uint64_t at = HEADER_BYTES; at < bytes;) {
        size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        if (tm_file_read_at(c->in, at, c->piece, n, NULL) != TM_OK) {
            (void)tm_hash_final(c->hash);
            return false;
        }
        tm_hash_update(c->hash, c->piece, n);
        at += n;
    }
    struct tm_digest is = tm_hash_final(c->hash);
    return memcmp(is.b, header + 16, sizeof is.b) == 0;
}

static tm_status cache_begin(void *context, const uint32_t *ids, uint32_t count, bool *found,
                             struct tm_err *err)
{
    struct tm_logits_cache *c = context;
    (void)err;
    drop_files(c);
    c->at = 0;
    *found = false;
    if (name_window(c, ids, count) != TM_OK) {
        return TM_OK;
    }
    if (tm_file_open(c->path, &c->in, NULL) == TM_OK && is_whole(c)) {
        *found = true;
        (void)utimensat(AT_FDCWD, c->path, NULL, 0); /* it was used now */
        return TM_OK;
    }
    tm_file_close(&c->in);
    static const uint8_t header[HEADER_BYTES];
    if (tm_dir_make(c->dir, 0700, NULL) != TM_OK ||
        tm_file_out_begin(c->path, 0600, &c->out, NULL) != TM_OK ||
        tm_file_out_write(c->out, header, sizeof header, NULL) != TM_OK) {
        tm_file_out_abort(&c->out);
    }
    return TM_OK;
}

static tm_status cache_read(void *context, float *logits, size_t count, struct tm_err *err)
{
    struct tm_logits_cache *c = context;
    TM_TRY(tm_file_read_at(c->in, HEADER_BYTES + c->at, logits, count * sizeof *logits, err));
    c->at += count * sizeof *logits;
    return TM_OK;
}

/* ---- writing ---- */

static tm_status cache_write(void *context, const float *logits, size_t count, struct tm_err *err)
{
    struct tm_logits_cache *c = context;
    size_t bytes = count * sizeof *logits;
    (void)err;
    if (c->out == NULL) {
        return TM_OK;
    }
    if (c->at + bytes > c->max_bytes || tm_file_out_write(c->out, logits, bytes, NULL) != TM_OK) {
        tm_file_out_abort(&c->out);
        (void)tm_hash_final(c->hash);
        return TM_OK;
    }
    tm_hash_update(c->hash, logits, bytes);
    c->at += bytes;
    return TM_OK;
}

struct entry {
    char *name;
    uint64_t bytes;
    struct timespec used;
};

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used,
                          *y = &((const struct entry *)b)->used;
    if (x->tv_sec != y->tv_sec) {
        return x->tv_sec < y->tv_sec ? -1 : 1;
    }
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Files of the cache among the folder's; what else lies there is not touched. */
static size_t list_entries(const struct tm_logits_cache *c, const struct tm_dir_list *list,
                           struct entry *out)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        char path[TM_PATH_MAX];
        struct stat st;
        size_t bytes = strlen(list->names[i]), end = sizeof SUFFIX - 1;
        if (bytes == TM_DIGEST_TEXT - 1 + end &&
            strcmp(list->names[i] + bytes - end, SUFFIX) == 0 &&
            tm_path_join(path, c->dir, list->names[i]) == TM_OK && lstat(path, &st) == 0 &&
            S_ISREG(st.st_mode)) {
            out[count++] = (struct entry){list->names[i], (uint64_t)st.st_size, st.st_mtim};
        }
    }
    return count;
}

/* Removes those that were not used for longest until the rest has room. */
static void keep_within(const struct tm_logits_cache *c)
{
    struct tm_dir_list list;
    if (tm_dir_list(c->dir, &list, NULL) != TM_OK) {
        return;
    }
    struct entry *entries = tm_calloc(list.count + 1, sizeof *entries);
    if (entries != NULL) {
        size_t count = list_entries(c, &list, entries);
        uint64_t sum = 0;
        qsort(entries, count, sizeof *entries, by_use);
        for (size_t i = 0; i < count; i++) {
            sum += entries[i].bytes;
        }
        for (size_t i = 0; i < count && sum > c->max_bytes; i++) {
            char path[TM_PATH_MAX];
            if (tm_path_join(path, c->dir, entries[i].name) == TM_OK &&
                tm_file_remove_in(NULL, path, NULL) == TM_OK) {
                sum -= entries[i].bytes;
            }
        }
    }
    tm_free(entries);
    tm_dir_list_free(&list);
}

static tm_status cache_end(void *context, struct tm_err *err)
{
    struct tm_logits_cache *c = context;
    (void)err;
    if (c->out != NULL) {
        uint8_t header[HEADER_BYTES] = MAGIC;
        struct tm_digest digest = tm_hash_final(c->hash);
        tm_set_u64(header + 8, c->at);
        memcpy(header + 16, digest.b, sizeof digest.b);
        if (tm_file_out_write_at(c->out, 0, header, sizeof header, NULL) == TM_OK &&
            tm_file_out_commit(&c->out, NULL) == TM_OK) {
            keep_within(c);
        }
    }
    drop_files(c);
    return TM_OK;
}

/* ---- life ---- */

tm_status tm_logits_cache_open(const char *dir, uint64_t max_bytes, const struct tm_digest *weights,
                               struct tm_logits_cache **out, struct tm_err *err)
{
    char cache[TM_PATH_MAX];
    struct tm_logits_cache *c = tm_calloc(1, sizeof *c);
    tm_status status = c != NULL ? TM_OK : TM_E_NOMEM;
    if (status == TM_OK) {
        c->piece = tm_alloc(PIECE_BYTES);
        status = c->piece != NULL ? tm_hash_new(&c->hash) : TM_E_NOMEM;
    }
    if (status == TM_OK && dir == NULL) {
        status = tm_xdg_dir(TM_XDG_CACHE, cache, err);
    }
    if (status == TM_OK) {
        status =
            dir == NULL ? tm_path_join(c->dir, cache, "logits") : tm_path_join(c->dir, dir, "");
    }
    if (status != TM_OK) {
        tm_logits_cache_close(&c);
        return status;
    }
    c->max_bytes = max_bytes;
    c->weights = *weights;
    c->store = (struct tm_logits_store){c, cache_begin, cache_read, cache_write, cache_end};
    *out = c;
    return TM_OK;
}

void tm_logits_cache_close(struct tm_logits_cache **cache)
{
    if (*cache != NULL) {
        drop_files(*cache);
        tm_hash_destroy(&(*cache)->hash);
        tm_free((*cache)->piece);
        tm_free(*cache);
        *cache = NULL;
    }
}

const struct tm_logits_store *tm_logits_cache_store(struct tm_logits_cache *cache)
{
    return &cache->store;
}
