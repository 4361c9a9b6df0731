/* SPDX-License-Identifier: Apache-2.0 */
#include "package/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "package/digest_map.h"

#define NONE UINT32_MAX

/* An object in the order of use: a doubly linked list through an array. */
struct object {
    struct tm_digest id;
    uint64_t bytes;
    uint32_t older, newer; /* NONE at the ends; in the free list: newer is the next free one */
    bool seen_whole;       /* written or read by us; one that was found may be torn */
};

struct tm_store {
    struct tm_root *root; /* DIR */
    char *dir;            /* DIR/objects */
    char *temp;           /* DIR/objects/tmp: unfinished writes, each locked by its writer */
    enum tm_store_kind kind;
    bool sync;
    uint64_t limit_bytes;
    pthread_mutex_t lock; /* guards what follows; never held while an object is read or written */
    bool indexed;
    struct tm_digest_map map; /* id -> number of the object */
    struct object *objects;
    uint32_t count, capacity; /* of the array */
    uint32_t free_first, oldest, newest;
    uint64_t bytes;
    uint64_t temp_next; /* number of the next temporary file */
};

/* ---- paths ---- */

/* DIR/objects/ab of an id, and the object in it; either may be NULL. */
static tm_status object_path(const struct tm_store *s, const struct tm_digest *id, char *folder,
                             char *path)
{
    char hex[TM_DIGEST_TEXT], sub[3];
    char at[TM_PATH_MAX];
    tm_digest_hex(id, hex);
    memcpy(sub, hex, 2);
    sub[2] = '\0';
    TM_TRY(tm_path_join(at, s->dir, sub));
    if (folder != NULL) {
        memcpy(folder, at, TM_PATH_MAX);
    }
    return path != NULL ? tm_path_join(path, at, hex) : TM_OK;
}

static struct tm_digest hash_of(const struct tm_store *s, struct tm_view data)
{
    return s->kind == TM_STORE_LEAF ? tm_merkle_leaf(data) : tm_digest_of(data);
}

/* ---- index; the lock is held ---- */

static void unlink_object(struct tm_store *s, uint32_t at)
{
    struct object *o = &s->objects[at];
    *(o->older == NONE ? &s->oldest : &s->objects[o->older].newer) = o->newer;
    *(o->newer == NONE ? &s->newest : &s->objects[o->newer].older) = o->older;
}

static void link_newest(struct tm_store *s, uint32_t at)
{
    struct object *o = &s->objects[at];
    o->older = s->newest;
    o->newer = NONE;
    *(s->newest == NONE ? &s->oldest : &s->objects[s->newest].newer) = at;
    s->newest = at;
}

static tm_status index_add(struct tm_store *s, const struct tm_digest *id, uint64_t bytes)
{
    uint64_t known;
    if (tm_digest_map_get(&s->map, id, &known)) {
        s->bytes += bytes - s->objects[known].bytes;
        s->objects[known].bytes = bytes;
        unlink_object(s, (uint32_t)known);
        link_newest(s, (uint32_t)known);
        return TM_OK;
    }
    if (s->free_first == NONE && s->count == s->capacity) {
        uint32_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        if (capacity < s->capacity) {
            return TM_E_LIMIT;
        }
        struct object *more = tm_realloc_array(s->objects, capacity, sizeof *more);
        if (more == NULL) {
            return TM_E_NOMEM;
        }
        s->objects = more;
        s->capacity = capacity;
    }
    uint32_t at = s->free_first != NONE ? s->free_first : s->count;
    TM_TRY(tm_digest_map_put(&s->map, id, at));
    if (at == s->free_first) {
        s->free_first = s->objects[at].newer;
    } else {
        s->count++;
    }
    s->objects[at] = (struct object){.id = *id, .bytes = bytes};
    link_newest(s, at);
    s->bytes += bytes;
    return TM_OK;
}

static void index_drop(struct tm_store *s, const struct tm_digest *id)
{
    uint64_t at;
    if (tm_digest_map_get(&s->map, id, &at)) {
        unlink_object(s, (uint32_t)at);
        s->bytes -= s->objects[at].bytes;
        s->objects[at].newer = s->free_first;
        s->free_first = (uint32_t)at;
        tm_digest_map_remove(&s->map, id);
    }
}

/* ---- building the index from the folder ---- */

struct found {
    struct tm_digest id;
    uint64_t bytes;
    struct timespec used;
};

struct found_list {
    struct found *items;
    size_t count, capacity;
};

static tm_status found_add(struct found_list *list, const struct found *item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
        struct found *more = tm_realloc_array(list->items, capacity, sizeof *more);
        if (more == NULL) {
            return TM_E_NOMEM;
        }
        list->items = more;
        list->capacity = capacity;
    }
    list->items[list->count++] = *item;
    return TM_OK;
}

/* A regular file; its size and times in *st. */
static bool is_object(const struct tm_store *s, const char *path, struct stat *st)
{
    struct tm_root_at at;
    if (tm_root_at(s->root, path, &at) != 0) {
        return false;
    }
    bool ok = fstatat(at.fd, at.name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
    tm_root_at_close(&at);
    return ok;
}

/* Objects of one folder DIR/objects/ab; files of other names are not ours and stay. */
static tm_status scan_folder(const struct tm_store *s, const char *sub, struct found_list *list,
                             struct tm_err *err)
{
    char folder[TM_PATH_MAX], path[TM_PATH_MAX];
    struct tm_dir_list names;
    TM_TRY(tm_path_join(folder, s->dir, sub));
    TM_TRY(tm_dir_list_in(s->root, folder, &names, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < names.count && status == TM_OK; i++) {
        struct found item;
        struct stat st;
        if (tm_digest_parse(tm_view_str(names.names[i]), &item.id) != TM_OK ||
            tm_path_join(path, folder, names.names[i]) != TM_OK || !is_object(s, path, &st)) {
            continue;
        }
        item.bytes = (uint64_t)st.st_size;
        item.used = st.st_mtim;
        status = found_add(list, &item);
    }
    tm_dir_list_free(&names);
    return status;
}

static int found_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) {
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    }
    if (x->used.tv_nsec != y->used.tv_nsec) {
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    }
    return memcmp(x->id.b, y->id.b, TM_DIGEST_BYTES);
}

static void index_clear(struct tm_store *s)
{
    tm_digest_map_deinit(&s->map);
    tm_free(s->objects);
    s->objects = NULL;
    s->count = s->capacity = 0;
    s->free_first = s->oldest = s->newest = NONE;
    s->bytes = 0;
    s->indexed = false;
}

static tm_status scan_all(struct tm_store *s, struct found_list *list, struct tm_err *err)
{
    struct tm_dir_list subs;
    TM_TRY(tm_dir_list_in(s->root, s->dir, &subs, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < subs.count && status == TM_OK; i++) {
        if (strlen(subs.names[i]) == 2) {
            status = scan_folder(s, subs.names[i], list, err);
        }
    }
    tm_dir_list_free(&subs);
    return status;
}

/* Builds the index at the first use; the lock is held. */
static tm_status ensure_index(struct tm_store *s, struct tm_err *err)
{
    if (s->indexed) {
        return TM_OK;
    }
    struct found_list list = {0};
    tm_status status = scan_all(s, &list, err);
    if (status == TM_OK && list.count > 0) {
        qsort(list.items, list.count, sizeof *list.items, found_order);
    }
    for (size_t i = 0; i < list.count && status == TM_OK; i++) {
        status = index_add(s, &list.items[i].id, list.items[i].bytes);
    }
    tm_free(list.items);
    if (status != TM_OK) {
        index_clear(s);
        if (status == TM_E_NOMEM) {
            tm_err_set(err, status, s->dir, "cannot index the store", NULL, "out of memory");
        }
        return status;
    }
    s->indexed = true;
    return TM_OK;
}

static tm_status lock_indexed(struct tm_store *s, struct tm_err *err)
{
    pthread_mutex_lock(&s->lock);
    tm_status status = ensure_index(s, err);
    if (status != TM_OK) {
        pthread_mutex_unlock(&s->lock);
    }
    return status;
}

/* ---- open and close ---- */

/* Removes a temporary file whose writer is gone: a living one holds a lock on it. */
static void clean_one(const struct tm_store *s, const char *path)
{
    struct tm_root_at at;
    if (tm_root_at(s->root, path, &at) != 0) {
        return;
    }
    /* O_NONBLOCK: what is not ours may be a named pipe. */
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = tm_os_openat(at.fd, at.name, flags, 0);
    if (fd >= 0) {
        if (tm_os_flock(fd, LOCK_EX | LOCK_NB) == 0) {
            unlinkat(at.fd, at.name, 0);
        }
        close(fd);
    }
    tm_root_at_close(&at);
}

static void clean_temp(const struct tm_store *s)
{
    struct tm_dir_list names;
    char path[TM_PATH_MAX];
    if (tm_dir_list_in(s->root, s->temp, &names, NULL) != TM_OK) {
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (tm_path_join(path, s->temp, names.names[i]) == TM_OK) {
            clean_one(s, path);
        }
    }
    tm_dir_list_free(&names);
}

static tm_status make_dirs(struct tm_store *s, const char *dir, struct tm_err *err)
{
    char path[TM_PATH_MAX], temp[TM_PATH_MAX];
    if (tm_path_join(path, dir, "objects") != TM_OK || tm_path_join(temp, path, "tmp") != TM_OK) {
        return tm_err_set(err, TM_E_LIMIT, dir, "cannot open the store", NULL,
                          "the path is longer than %d bytes", TM_PATH_MAX);
    }
    s->dir = tm_strdup(path);
    s->temp = tm_strdup(temp);
    if (s->dir == NULL || s->temp == NULL) {
        return tm_err_set(err, TM_E_NOMEM, dir, "cannot open the store", NULL, "out of memory");
    }
    TM_TRY(tm_dir_make(dir, 0755, err));
    TM_TRY(tm_root_open(dir, &s->root, err));
    TM_TRY(tm_dir_make_in(s->root, s->dir, 0755, err));
    return tm_dir_make_in(s->root, s->temp, 0755, err);
}

tm_status tm_store_open(const struct tm_store_options *options, struct tm_store **out,
                        struct tm_err *err)
{
    *out = NULL;
    struct tm_store *s = tm_calloc(1, sizeof *s);
    if (s == NULL) {
        return tm_err_set(err, TM_E_NOMEM, options->dir, "cannot open the store", NULL,
                          "out of memory");
    }
    s->kind = options->kind;
    s->sync = options->sync;
    s->limit_bytes = options->limit_bytes;
    s->free_first = s->oldest = s->newest = NONE;
    pthread_mutex_init(&s->lock, NULL);
    tm_status status = make_dirs(s, options->dir, err);
    if (status != TM_OK) {
        tm_store_close(&s);
        return status;
    }
    clean_temp(s);
    *out = s;
    return TM_OK;
}

void tm_store_close(struct tm_store **store)
{
    struct tm_store *s = *store;
    if (s == NULL) {
        return;
    }
    index_clear(s);
    pthread_mutex_destroy(&s->lock);
    tm_root_close(&s->root);
    tm_free(s->dir);
    tm_free(s->temp);
    tm_free(s);
    *store = NULL;
}

/* ---- use ---- */

bool tm_store_has(struct tm_store *store, const struct tm_digest *id)
{
    uint64_t at;
    if (lock_indexed(store, NULL) != TM_OK) {
        return false;
    }
    bool has = tm_digest_map_get(&store->map, id, &at);
    pthread_mutex_unlock(&store->lock);
    return has;
}

uint64_t tm_store_bytes(struct tm_store *store)
{
    if (lock_indexed(store, NULL) != TM_OK) {
        return 0;
    }
    uint64_t bytes = store->bytes;
    pthread_mutex_unlock(&store->lock);
    return bytes;
}

uint64_t tm_store_count(struct tm_store *store)
{
    if (lock_indexed(store, NULL) != TM_OK) {
        return 0;
    }
    uint64_t count = 0;
    for (uint32_t at = store->oldest; at != NONE; at = store->objects[at].newer) {
        count++;
    }
    pthread_mutex_unlock(&store->lock);
    return count;
}

/* A file that the index no longer names; one that stays is found by the next scan. */
static void unlink_quietly(const struct tm_store *s, const char *path)
{
    tm_status ignored = tm_file_remove_in(s->root, path, NULL);
    (void)ignored;
}

/* Removes the least recently used objects until `more` bytes fit; the lock is held. */
static void make_room(struct tm_store *s, uint64_t more)
{
    char path[TM_PATH_MAX];
    while (s->oldest != NONE && s->bytes > s->limit_bytes - more) {
        struct tm_digest id = s->objects[s->oldest].id;
        if (object_path(s, &id, NULL, path) == TM_OK) {
            unlink_quietly(s, path);
        }
        index_drop(s, &id);
    }
}

static tm_status write_fd(int fd, struct tm_view data, const char *path, struct tm_err *err)
{
    for (size_t done = 0; done < data.bytes;) {
        ssize_t put = write(fd, data.data + done, data.bytes - done);
        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            return tm_err_set_os(err, put == 0 ? EIO : errno, path, "cannot write an object");
        }
    }
    return TM_OK;
}

/* Names the finished temporary file path, in a folder that is made when it is not there. */
static tm_status name_object(struct tm_store *s, const struct tm_root_at *temp, const char *folder,
                             const char *path, struct tm_err *err)
{
    struct tm_root_at at;
    bool made = !tm_path_is_dir_in(s->root, folder);
    TM_TRY(tm_dir_make_in(s->root, folder, 0755, err));
    if (made && s->sync) {
        TM_TRY(tm_dir_sync_in(s->root, s->dir, err));
    }
    int code = tm_root_at(s->root, path, &at);
    if (code == 0) {
        code = renameat(temp->fd, temp->name, at.fd, at.name) == 0 ? 0 : errno;
        tm_root_at_close(&at);
    }
    if (code != 0) {
        return tm_err_set_os(err, code, path, "cannot name an object");
    }
    return s->sync ? tm_dir_sync_in(s->root, folder, err) : TM_OK;
}

/* Makes, writes and names the object; the temporary file is locked against other openers of the
 * store, which would clean it up. */
static tm_status write_and_name(struct tm_store *s, struct tm_view data,
                                const struct tm_root_at *temp, const char *folder, const char *path,
                                struct tm_err *err)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    int fd = tm_os_openat(temp->fd, temp->name, flags, 0644);
    if (fd < 0) {
        return tm_err_set_os(err, errno, s->temp, "cannot make a file");
    }
    (void)tm_os_flock(fd, LOCK_EX | LOCK_NB);
    tm_status status = write_fd(fd, data, path, err);
    if (status == TM_OK && s->sync && tm_os_fsync(fd) != 0) {
        status = tm_err_set_os(err, errno, path, "cannot sync an object");
    }
    if (status == TM_OK) {
        status = name_object(s, temp, folder, path, err);
    }
    if (status != TM_OK) {
        unlinkat(temp->fd, temp->name, 0); /* absent after the rename */
    }
    close(fd);
    return status;
}

static tm_status write_object(struct tm_store *s, const struct tm_digest *id, struct tm_view data,
                              uint64_t number, struct tm_err *err)
{
    char folder[TM_PATH_MAX], path[TM_PATH_MAX], temp[TM_PATH_MAX], name[64];
    struct tm_root_at at;
    snprintf(name, sizeof name, "%ld-%" PRIu64 "-%p", (long)getpid(), number, (void *)s);
    if (object_path(s, id, folder, path) != TM_OK || tm_path_join(temp, s->temp, name) != TM_OK) {
        return tm_err_set(err, TM_E_LIMIT, s->dir, "cannot write an object", NULL,
                          "the path is longer than %d bytes", TM_PATH_MAX);
    }
    int code = tm_root_at(s->root, temp, &at);
    if (code != 0) {
        return tm_err_set_os(err, code, s->temp, "cannot make a file");
    }
    tm_status status = write_and_name(s, data, &at, folder, path, err);
    tm_root_at_close(&at);
    return status;
}

/* Whether a put need not write: the object is there and whole. A power cut leaves names of objects
 * whose bytes never reached the disk, so one that was found in the folder is read first (which
 * removes it when it is torn). */
static tm_status is_there(struct tm_store *s, const struct tm_digest *id, struct tm_view data,
                          bool *there, struct tm_err *err)
{
    uint64_t at;
    struct tm_buf found;
    TM_TRY(lock_indexed(s, err));
    *there = tm_digest_map_get(&s->map, id, &at);
    bool seen = *there && s->objects[at].seen_whole;
    pthread_mutex_unlock(&s->lock);
    if (!*there || seen) {
        return TM_OK;
    }
    tm_buf_init(&found, data.bytes);
    tm_status status = tm_store_get(s, id, &found, err);
    tm_buf_deinit(&found);
    *there = status == TM_OK;
    bool torn = status == TM_E_NOT_FOUND || status == TM_E_VERIFY || status == TM_E_LIMIT;
    return torn ? TM_OK : status;
}

tm_status tm_store_put(struct tm_store *store, const struct tm_digest *id, struct tm_view data,
                       struct tm_err *err)
{
    struct tm_digest got = hash_of(store, data);
    if (!tm_digest_eq(&got, id)) {
        char got_hex[TM_DIGEST_TEXT], want_hex[TM_DIGEST_TEXT];
        return tm_err_set(err, TM_E_VERIFY, store->dir, "cannot store an object", NULL,
                          "its %zu bytes hash to %s, expected %s", data.bytes,
                          tm_digest_hex(&got, got_hex), tm_digest_hex(id, want_hex));
    }
    if (store->limit_bytes > 0 && data.bytes > store->limit_bytes) {
        return tm_err_set(
            err, TM_E_LIMIT, store->dir, "cannot store an object", "raise the limit of the store",
            "it has %zu bytes, the store may hold %" PRIu64, data.bytes, store->limit_bytes);
    }
    bool there;
    TM_TRY(is_there(store, id, data, &there, err));
    if (there) {
        return TM_OK;
    }
    TM_TRY(lock_indexed(store, err));
    if (store->limit_bytes > 0) {
        make_room(store, data.bytes);
    }
    uint64_t number = store->temp_next++;
    pthread_mutex_unlock(&store->lock);
    TM_TRY(write_object(store, id, data, number, err));
    pthread_mutex_lock(&store->lock);
    tm_status status = index_add(store, id, data.bytes);
    uint64_t at;
    if (status == TM_OK && tm_digest_map_get(&store->map, id, &at)) {
        store->objects[at].seen_whole = true;
    }
    if (store->limit_bytes > 0) {
        make_room(store, 0); /* several threads may have made room for one object each */
    }
    pthread_mutex_unlock(&store->lock);
    return status == TM_OK ? TM_OK
                           : tm_err_set(err, status, store->dir, "cannot index an object", NULL,
                                        "%s", tm_status_text(status));
}

static tm_status not_found(struct tm_store *s, const struct tm_digest *id, struct tm_err *err)
{
    char hex[TM_DIGEST_TEXT];
    return tm_err_set(err, TM_E_NOT_FOUND, s->dir, "cannot read an object", NULL,
                      "%s is not in the store", tm_digest_hex(id, hex));
}

/* Marks an object as just used, or drops one that is gone. */
static void note_use(struct tm_store *s, const struct tm_digest *id, const char *path, bool there)
{
    uint64_t at;
    pthread_mutex_lock(&s->lock);
    if (!there) {
        index_drop(s, id);
    } else if (tm_digest_map_get(&s->map, id, &at)) {
        unlink_object(s, (uint32_t)at);
        link_newest(s, (uint32_t)at);
        s->objects[at].seen_whole = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (there && s->limit_bytes > 0) {
        /* So that the order outlives the process; failing costs only that. */
        struct tm_root_at place;
        if (tm_root_at(s->root, path, &place) == 0) {
            (void)utimensat(place.fd, place.name, NULL, AT_SYMLINK_NOFOLLOW);
            tm_root_at_close(&place);
        }
    }
}

tm_status tm_store_get(struct tm_store *store, const struct tm_digest *id, struct tm_buf *out,
                       struct tm_err *err)
{
    char path[TM_PATH_MAX];
    if (!tm_store_has(store, id)) {
        return not_found(store, id, err);
    }
    TM_TRY(object_path(store, id, NULL, path));
    size_t before = out->bytes;
    tm_status status = tm_file_read_in(store->root, path, out, err);
    if (status != TM_OK) {
        out->bytes = before;
        if (status == TM_E_NOT_FOUND) {
            note_use(store, id, path, false);
            return not_found(store, id, err);
        }
        return status;
    }
    struct tm_view data = tm_view_of(out->data + before, out->bytes - before);
    struct tm_digest got = hash_of(store, data);
    if (!tm_digest_eq(&got, id)) {
        char hex[TM_DIGEST_TEXT];
        size_t bytes = data.bytes;
        out->bytes = before;
        note_use(store, id, path, false);
        unlink_quietly(store, path);
        return tm_err_set(err, TM_E_VERIFY, path, "cannot use a stored object",
                          "it was removed; fetch it again", "its %zu bytes hash to %s", bytes,
                          tm_digest_hex(&got, hex));
    }
    note_use(store, id, path, true);
    return TM_OK;
}

tm_status tm_store_remove(struct tm_store *store, const struct tm_digest *id, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    TM_TRY(object_path(store, id, NULL, path));
    TM_TRY(lock_indexed(store, err));
    index_drop(store, id);
    pthread_mutex_unlock(&store->lock);
    return tm_file_remove_in(store->root, path, err);
}

tm_status tm_store_barrier(struct tm_store *store, struct tm_err *err)
{
    struct tm_root_at at;
    int why = tm_root_at(store->root, store->dir, &at);
    if (why != 0) {
        return tm_err_set_os(err, why, store->dir, "cannot sync the store");
    }
    int fd = tm_os_openat(at.fd, at.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    why = errno;
    tm_root_at_close(&at);
    if (fd < 0) {
        return tm_err_set_os(err, why, store->dir, "cannot sync the store");
    }
    int rc = syncfs(fd);
    why = errno;
    close(fd);
    return rc == 0 ? TM_OK : tm_err_set_os(err, why, store->dir, "cannot sync the store");
}
