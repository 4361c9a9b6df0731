/* SPDX-License-Identifier: Apache-2.0
 * The chunk store: hashes, rot, least-recently-used order, leftovers, threads. */
#include "package/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static char dir[64];
static struct tm_err err;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/store_test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    ck_assert_int_eq(tm_dir_remove_tree(dir, &err), TM_OK);
}

static struct tm_store *open_store(enum tm_store_kind kind, bool sync, uint64_t limit)
{
    struct tm_store_options o = {.dir = dir, .kind = kind, .sync = sync, .limit_bytes = limit};
    struct tm_store *store;
    ck_assert_int_eq(tm_store_open(&o, &store, &err), TM_OK);
    return store;
}

/* 100 bytes that follow from n. */
static struct tm_view object(uint32_t n, uint8_t bytes[100], struct tm_digest *id)
{
    memset(bytes, (int)(n & 0xff), 100);
    memcpy(bytes, &n, sizeof n);
    *id = tm_digest_of(tm_view_of(bytes, 100));
    return tm_view_of(bytes, 100);
}

static tm_status put(struct tm_store *store, uint32_t n)
{
    uint8_t bytes[100];
    struct tm_digest id;
    struct tm_view data = object(n, bytes, &id);
    return tm_store_put(store, &id, data, &err);
}

static tm_status get(struct tm_store *store, uint32_t n)
{
    uint8_t bytes[100];
    struct tm_digest id;
    struct tm_buf out;
    struct tm_view data = object(n, bytes, &id);
    tm_buf_init(&out, 4096);
    ck_assert_int_eq(tm_buf_put_str(&out, "before"), TM_OK);
    tm_status status = tm_store_get(store, &id, &out, &err);
    if (status == TM_OK) {
        ck_assert(tm_view_eq(tm_view_of(out.data + 6, out.bytes - 6), data));
    } else {
        ck_assert_uint_eq(out.bytes, 6);
    }
    tm_buf_deinit(&out);
    return status;
}

static bool has(struct tm_store *store, uint32_t n)
{
    uint8_t bytes[100];
    struct tm_digest id;
    object(n, bytes, &id);
    return tm_store_has(store, &id);
}

static void path_of(uint32_t n, char *out, size_t out_bytes)
{
    uint8_t bytes[100];
    struct tm_digest id;
    char hex[TM_DIGEST_TEXT];
    object(n, bytes, &id);
    tm_digest_hex(&id, hex);
    snprintf(out, out_bytes, "%s/objects/%.2s/%s", dir, hex, hex);
}

START_TEST(test_put_get_remove)
{
    for (int sync = 0; sync < 2; sync++) {
        struct tm_store *store = open_store(TM_STORE_PLAIN, sync == 1, 0);
        uint32_t n = (uint32_t)sync;
        char path[200];
        ck_assert(!has(store, n));
        ck_assert_int_eq(get(store, n), TM_E_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(err.why, "is not in the store"));
        ck_assert_int_eq(put(store, n), TM_OK);
        ck_assert_int_eq(put(store, n), TM_OK);
        ck_assert(has(store, n));
        path_of(n, path, sizeof path);
        ck_assert(tm_path_exists(path));
        ck_assert_uint_eq(tm_store_bytes(store), 100);
        ck_assert_int_eq(get(store, n), TM_OK);
        ck_assert_int_eq(tm_store_barrier(store, &err), TM_OK);
        tm_store_close(&store);
        store = open_store(TM_STORE_PLAIN, false, 0);
        ck_assert_int_eq(get(store, n), TM_OK);
        uint8_t bytes[100];
        struct tm_digest id;
        object(n, bytes, &id);
        ck_assert_int_eq(tm_store_remove(store, &id, &err), TM_OK);
        ck_assert_int_eq(tm_store_remove(store, &id, &err), TM_OK);
        ck_assert(!tm_path_exists(path));
        ck_assert_uint_eq(tm_store_bytes(store), 0);
        tm_store_close(&store);
    }
}
END_TEST

START_TEST(test_kinds_and_wrong_hash)
{
    struct tm_store *store = open_store(TM_STORE_LEAF, false, 0);
    struct tm_digest leaf = tm_merkle_leaf(tm_view_str("abc"));
    struct tm_digest plain = tm_digest_of(tm_view_str("abc"));
    ck_assert_int_eq(tm_store_put(store, &plain, tm_view_str("abc"), &err), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "its 3 bytes hash to"));
    ck_assert_int_eq(tm_store_put(store, &leaf, tm_view_str("abc"), &err), TM_OK);
    tm_store_close(&store);
    ck_assert_ptr_null(store);
    tm_store_close(&store);
}
END_TEST

START_TEST(test_rotten_object_is_removed)
{
    struct tm_store *store = open_store(TM_STORE_PLAIN, false, 0);
    char path[200];
    ck_assert_int_eq(put(store, 1), TM_OK);
    path_of(1, path, sizeof path);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "x", 1, 50), 1);
    close(fd);
    ck_assert_int_eq(get(store, 1), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.where, path));
    ck_assert(!tm_path_exists(path));
    ck_assert(!has(store, 1));
    ck_assert_int_eq(put(store, 1), TM_OK);
    ck_assert_int_eq(get(store, 1), TM_OK);
    ck_assert_int_eq(truncate(path, 0), 0); /* as a crash without fsync leaves it */
    ck_assert_int_eq(get(store, 1), TM_E_VERIFY);
    ck_assert_int_eq(put(store, 1), TM_OK);
    ck_assert_int_eq(unlink(path), 0); /* gone behind our back */
    ck_assert_int_eq(get(store, 1), TM_E_NOT_FOUND);
    ck_assert_uint_eq(tm_store_bytes(store), 0);
    tm_store_close(&store);
}
END_TEST

/* After a power cut the names of objects may be there without their bytes. */
START_TEST(test_torn_object_is_put_again)
{
    char path[200];
    const off_t torn[] = {0, 1, 99, 101}; /* bytes; the whole object has 100 */
    for (size_t i = 0; i < sizeof torn / sizeof torn[0]; i++) {
        struct tm_store *store = open_store(TM_STORE_PLAIN, false, 0);
        ck_assert_int_eq(put(store, 1), TM_OK);
        ck_assert_int_eq(put(store, 2), TM_OK);
        tm_store_close(&store);
        path_of(1, path, sizeof path);
        ck_assert_int_eq(truncate(path, torn[i]), 0);
        store = open_store(TM_STORE_PLAIN, false, 0);
        ck_assert_int_eq(put(store, 1), TM_OK);
        ck_assert_int_eq(put(store, 2), TM_OK);
        ck_assert_int_eq(get(store, 1), TM_OK);
        ck_assert_int_eq(get(store, 2), TM_OK);
        ck_assert_uint_eq(tm_store_bytes(store), 200);
        ck_assert_uint_eq(tm_store_count(store), 2);
        tm_store_close(&store);
    }
}
END_TEST

START_TEST(test_least_recently_used_goes_first)
{
    struct tm_store *store = open_store(TM_STORE_PLAIN, false, 350);
    for (uint32_t n = 0; n < 3; n++) {
        ck_assert_int_eq(put(store, n), TM_OK);
    }
    ck_assert_int_eq(get(store, 0), TM_OK);
    ck_assert_int_eq(put(store, 3), TM_OK);
    ck_assert(has(store, 0) && !has(store, 1) && has(store, 2) && has(store, 3));
    ck_assert_uint_eq(tm_store_bytes(store), 300);
    tm_store_close(&store);

    /* The order outlives the process by modification times. */
    for (uint32_t n = 0; n < 4; n++) {
        char path[200];
        struct timespec times[2] = {{.tv_sec = 1000 + (n == 0 ? 900 : n)},
                                    {.tv_sec = 1000 + (n == 0 ? 900 : n)}};
        path_of(n, path, sizeof path);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), n == 1 ? -1 : 0);
    }
    store = open_store(TM_STORE_PLAIN, false, 350);
    ck_assert_int_eq(put(store, 4), TM_OK);
    ck_assert(has(store, 0) && !has(store, 2) && has(store, 3) && has(store, 4));
    tm_store_close(&store);

    store = open_store(TM_STORE_PLAIN, false, 99);
    ck_assert_int_eq(put(store, 9), TM_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.why, "it has 100 bytes, the store may hold 99"));
    tm_store_close(&store);
}
END_TEST

START_TEST(test_leftovers_are_cleaned)
{
    struct tm_store *store = open_store(TM_STORE_PLAIN, false, 0);
    char dead[200], alive[200], foreign[200];
    snprintf(dead, sizeof dead, "%s/objects/tmp/1-2", dir);
    snprintf(alive, sizeof alive, "%s/objects/tmp/1-3", dir);
    snprintf(foreign, sizeof foreign, "%s/objects/readme", dir);
    close(open(dead, O_WRONLY | O_CREAT, 0644));
    close(open(foreign, O_WRONLY | O_CREAT, 0644));
    int fd = open(alive, O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    tm_store_close(&store);
    store = open_store(TM_STORE_PLAIN, false, 0);
    ck_assert(!tm_path_exists(dead));
    ck_assert(tm_path_exists(alive));
    ck_assert(tm_path_exists(foreign));
    ck_assert_uint_eq(tm_store_bytes(store), 0);
    close(fd);
    tm_store_close(&store);
}
END_TEST

START_TEST(test_failed_write_leaves_nothing)
{
    struct tm_store *store = open_store(TM_STORE_PLAIN, false, 0);
    char path[200], folder[200];
    path_of(5, path, sizeof path);
    ck_assert_int_eq(tm_path_dir(folder, path), TM_OK);
    close(open(folder, O_WRONLY | O_CREAT, 0644)); /* a file where the folder should be */
    ck_assert_int_ne(put(store, 5), TM_OK);
    ck_assert(!has(store, 5));
    struct tm_dir_list list;
    snprintf(path, sizeof path, "%s/objects/tmp", dir);
    ck_assert_int_eq(tm_dir_list(path, &list, &err), TM_OK);
    ck_assert_uint_eq(list.count, 0);
    tm_dir_list_free(&list);
    tm_store_close(&store);
}
END_TEST

/* ---- threads ---- */

struct job {
    struct tm_store *store;
    uint32_t first;
    int bad;
};

static void *work(void *arg)
{
    struct job *job = arg;
    for (uint32_t i = 0; i < 400; i++) {
        uint8_t bytes[100];
        struct tm_digest id;
        struct tm_err mine;
        struct tm_buf out;
        struct tm_view data = object((job->first + i * 7) % 50, bytes, &id);
        tm_status status = tm_store_put(job->store, &id, data, &mine);
        job->bad += status != TM_OK;
        tm_buf_init(&out, 200);
        status = tm_store_get(job->store, &id, &out, &mine);
        job->bad += status == TM_OK ? !tm_view_eq(tm_buf_view(&out), data)
                                    : status != TM_E_NOT_FOUND; /* dropped by another thread */
        tm_buf_deinit(&out);
    }
    return NULL;
}

START_TEST(test_threads)
{
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    struct job job[THREADS];
    struct tm_store *store = open_store(TM_STORE_PLAIN, false, 2000);
    for (uint32_t i = 0; i < THREADS; i++) {
        job[i] = (struct job){.store = store, .first = i * 13};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &job[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        ck_assert_int_eq(job[i].bad, 0);
    }
    ck_assert_uint_le(tm_store_bytes(store), 2000);
    ck_assert_uint_ge(tm_store_bytes(store), 1000);
    tm_store_close(&store);
}
END_TEST

START_TEST(test_memory_failures)
{
    size_t live = tm_mem_live_blocks();
    struct tm_store_options o = {.dir = dir, .kind = TM_STORE_PLAIN};
    uint64_t n = 0;
    tm_status status;
    do {
        struct tm_store *store;
        tm_mem_fail_at(++n);
        status = tm_store_open(&o, &store, &err);
        if (status == TM_OK) {
            status = put(store, (uint32_t)n);
        }
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert(status == TM_OK || status == TM_E_NOMEM);
        ck_assert(status == TM_E_NOMEM || !failed || n > 3);
        tm_store_close(&store);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
        if (!failed) {
            break;
        }
    } while (true);
    ck_assert_int_eq(status, TM_OK);
    ck_assert_uint_gt(n, 5);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_put_get_remove);
    tcase_add_test(tc, test_kinds_and_wrong_hash);
    tcase_add_test(tc, test_rotten_object_is_removed);
    tcase_add_test(tc, test_torn_object_is_put_again);
    tcase_add_test(tc, test_least_recently_used_goes_first);
    tcase_add_test(tc, test_leftovers_are_cleaned);
    tcase_add_test(tc, test_failed_write_leaves_nothing);
    tcase_add_test(tc, test_threads);
    tcase_add_test(tc, test_memory_failures);
    suite_add_tcase(suite, tc);
    return suite;
}
