/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/logits_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

#define FLOATS 300

static const struct tm_digest weights = {{1, 2, 3}};
static const uint32_t ids[] = {5, 6, 7, 8};

static float value(uint32_t window, size_t i)
{
    return (float)window * 1000.0f + (float)i;
}

/* Runs one window as the measurement does; whether it was found. */
static bool window(struct tm_logits_cache *cache, uint32_t number)
{
    const struct tm_logits_store *store = tm_logits_cache_store(cache);
    uint32_t its[] = {number, ids[1], ids[2], ids[3]};
    float logits[FLOATS];
    bool found;
    struct tm_err err = {0};
    ck_assert_int_eq(store->begin(store->context, its, 4, &found, &err), TM_OK);
    for (size_t at = 0; at < FLOATS; at += 100) {
        if (found) {
            ck_assert_int_eq(store->read(store->context, logits, 100, &err), TM_OK);
            for (size_t i = 0; i < 100; i++) {
                ck_assert_float_eq(logits[i], value(number, at + i));
            }
        } else {
            for (size_t i = 0; i < 100; i++) {
                logits[i] = value(number, at + i);
            }
            ck_assert_int_eq(store->write(store->context, logits, 100, &err), TM_OK);
        }
    }
    ck_assert_int_eq(store->end(store->context, &err), TM_OK);
    return found;
}

static struct tm_logits_cache *cache_of(const struct test_dir *dir, uint64_t max_bytes,
                                        const struct tm_digest *of)
{
    struct tm_logits_cache *cache = NULL;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_logits_cache_open(test_path(dir, "logits"), max_bytes, of, &cache, &err),
                     TM_OK);
    return cache;
}

START_TEST(what_was_written_is_found)
{
    struct test_dir dir = test_dir_make();
    struct tm_logits_cache *cache = cache_of(&dir, 1 << 20, &weights);
    ck_assert(!window(cache, 1));
    ck_assert(!window(cache, 2));
    ck_assert(window(cache, 1));
    tm_logits_cache_close(&cache);
    tm_logits_cache_close(&cache);
    cache = cache_of(&dir, 1 << 20, &weights);
    ck_assert(window(cache, 2));
    ck_assert(!window(cache, 3));
    tm_logits_cache_close(&cache);
    struct tm_digest other = {{9}};
    cache = cache_of(&dir, 1 << 20, &other);
    ck_assert(!window(cache, 1));
    tm_logits_cache_close(&cache);
    test_dir_remove(&dir);
}
END_TEST

static char *only_file(const struct test_dir *dir)
{
    struct tm_dir_list list;
    static char path[TM_PATH_MAX];
    ck_assert_int_eq(tm_dir_list(test_path(dir, "logits"), &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_int_eq(tm_path_join(path, test_path(dir, "logits"), list.names[0]), TM_OK);
    tm_dir_list_free(&list);
    return path;
}

/* A byte anywhere, or a missing end: the window is run again and its file mended. */
START_TEST(damage_is_seen)
{
    struct test_dir dir = test_dir_make();
    struct tm_logits_cache *cache = cache_of(&dir, 1 << 20, &weights);
    ck_assert(!window(cache, 1));
    const size_t places[] = {0, 8, 17, 64, 64 + FLOATS * 4 - 1};
    struct tm_buf file;
    tm_buf_init(&file, 1 << 20);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        ck_assert(window(cache, 1));
        tm_buf_clear(&file);
        ck_assert_int_eq(tm_file_read(only_file(&dir), &file, NULL), TM_OK);
        ck_assert_uint_eq(file.bytes, 64 + FLOATS * 4);
        file.data[places[i]] ^= 0x40;
        ck_assert_int_eq(tm_file_write_atomic(only_file(&dir), 0600, tm_buf_view(&file), NULL),
                         TM_OK);
        ck_assert(!window(cache, 1));
    }
    for (size_t bytes = 0; bytes <= 65; bytes += 13) {
        ck_assert_int_eq(
            tm_file_write_atomic(only_file(&dir), 0600, tm_view_of(file.data, bytes), NULL), TM_OK);
        ck_assert(!window(cache, 1));
    }
    ck_assert(window(cache, 1));
    tm_buf_deinit(&file);
    tm_logits_cache_close(&cache);
    test_dir_remove(&dir);
}
END_TEST

/* The files that were used lately were so at that second of 1970: clocks tick slowly. */
static void age(const struct test_dir *dir, time_t second)
{
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(test_path(dir, "logits"), &list, NULL), TM_OK);
    for (size_t i = 0; i < list.count; i++) {
        char path[TM_PATH_MAX];
        struct stat st;
        struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};
        ck_assert_int_eq(tm_path_join(path, test_path(dir, "logits"), list.names[i]), TM_OK);
        ck_assert_int_eq(stat(path, &st), 0);
        if (st.st_mtim.tv_sec > 10000) {
            ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
        }
    }
    tm_dir_list_free(&list);
}

/* Room for two windows: the one that was not used for longest goes. Other files stay. */
START_TEST(room_is_bounded)
{
    struct test_dir dir = test_dir_make();
    struct tm_logits_cache *cache = cache_of(&dir, 2 * (64 + FLOATS * 4), &weights);
    ck_assert(!window(cache, 1));
    test_put_text(&dir, "logits/notes.txt", "mine");
    age(&dir, 1000);
    ck_assert(!window(cache, 2));
    age(&dir, 2000);
    ck_assert(window(cache, 1)); /* used again: 2 is older */
    ck_assert(!window(cache, 3));
    ck_assert(window(cache, 1));
    ck_assert(window(cache, 3));
    ck_assert(!window(cache, 2));
    ck_assert(tm_path_exists(test_path(&dir, "logits/notes.txt")));
    tm_logits_cache_close(&cache);
    cache = cache_of(&dir, FLOATS * 4 - 1, &weights); /* not one has room */
    ck_assert(!window(cache, 9));
    ck_assert(!window(cache, 9));
    tm_logits_cache_close(&cache);
    test_dir_remove(&dir);
}
END_TEST

/* A place that cannot be written is no error. */
START_TEST(without_a_place)
{
    struct test_dir dir = test_dir_make();
    test_put_text(&dir, "logits", "a file, no folder");
    struct tm_logits_cache *cache = cache_of(&dir, 1 << 20, &weights);
    ck_assert(!window(cache, 1));
    ck_assert(!window(cache, 1));
    tm_logits_cache_close(&cache);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("logits_cache");
    tcase_add_test(tcase, what_was_written_is_found);
    tcase_add_test(tcase, damage_is_seen);
    tcase_add_test(tcase, room_is_bounded);
    tcase_add_test(tcase, without_a_place);
    Suite *suite = suite_create("logits_cache");
    suite_add_tcase(suite, tcase);
    return suite;
}
