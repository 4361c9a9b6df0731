/* SPDX-License-Identifier: Apache-2.0
 * A device's store under somebody who swaps its folders for symbolic links as fast as he can:
 * chunks come, releases are installed, rolled back and removed 10,000 times meanwhile. Nothing may
 * be written, changed or removed outside, and nothing from outside may be believed.
 *   store_races [ROUNDS] */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "package/install.h"
#include "package/package_tables.h"
#include "tests/support/package_sample.h"

#define ROUNDS 10000
#define TRAP_NUMBER 777777 /* what the files outside say */

static char dir[64];
static char paths[32][TM_PATH_MAX];

static const char *in_dir(unsigned slot, const char *name)
{
    TM_ASSERT(tm_path_join(paths[slot], dir, name) == TM_OK);
    return paths[slot];
}

/* ---- outside: everything that a misled write or read would find ---- */

static void plant(const char *name, const char *text)
{
    char path[TM_PATH_MAX], folder[TM_PATH_MAX];
    TM_ASSERT(tm_path_join(path, dir, name) == TM_OK && tm_path_dir(folder, path) == TM_OK);
    TM_ASSERT(tm_dir_make(folder, 0755, NULL) == TM_OK);
    TM_ASSERT(tm_file_write_atomic(path, 0644, tm_view_str(text), NULL) == TM_OK);
}

static void make_outside(void)
{
    char name[64];
    plant("outside/models/m/current", "777777\n");
    plant("outside/models/m/floor", "777777\n");
    plant("outside/models/m/777777/model.tmpk", "precious");
    plant("outside/models/m/1/model.tmpk", "precious");
    plant("outside/models/m/old.tmp-abcdef", "precious");
    plant("outside/objects/tmp/precious", "precious");
    for (unsigned i = 0; i < 256; i++) { /* each place that an object could have */
        snprintf(name, sizeof name, "outside/objects/%02x/precious", i);
        plant(name, "precious");
    }
}

/* Adds each name, its size and its time of change to the digest. */
static void add_tree(struct tm_buf *all, const char *path)
{
    struct tm_dir_list list;
    TM_ASSERT(tm_dir_list(path, &list, NULL) == TM_OK);
    for (size_t i = 0; i < list.count; i++) {
        char below[TM_PATH_MAX];
        struct stat st;
        TM_ASSERT(tm_path_join(below, path, list.names[i]) == TM_OK && lstat(below, &st) == 0);
        TM_ASSERT(tm_buf_printf(all, "%s %lld %lld.%09ld\n", below, (long long)st.st_size,
                                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec) == TM_OK);
        if (S_ISDIR(st.st_mode)) {
            add_tree(all, below);
        }
    }
    tm_dir_list_free(&list);
}

static struct tm_digest outside_digest(void)
{
    struct tm_buf all;
    tm_buf_init(&all, 1 << 20);
    add_tree(&all, in_dir(0, "outside"));
    struct tm_digest digest = tm_digest_of(tm_buf_view(&all));
    tm_buf_deinit(&all);
    return digest;
}

/* ---- the swapper ---- */

static const char *const swapped[][2] = {
    {"device/models", "outside/models"},
    {"device/models/m", "outside/models/m"},
    {"device/objects", "outside/objects"},
    {"device/objects/tmp", "outside/objects/tmp"},
};
#define SWAPPED (sizeof swapped / sizeof swapped[0])

static atomic_bool stop;
static atomic_uint swaps;

static void spin(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++) {
    }
}

/* Puts the link that is waiting in place of the folder, and back. */
static void *swapper(void *arg)
{
    char folder[SWAPPED][TM_PATH_MAX], trap[SWAPPED][TM_PATH_MAX], target[TM_PATH_MAX];
    (void)arg;
    for (unsigned i = 0; i < SWAPPED; i++) {
        char name[32];
        snprintf(name, sizeof name, "trap%u", i);
        TM_ASSERT(tm_path_join(folder[i], dir, swapped[i][0]) == TM_OK &&
                  tm_path_join(trap[i], dir, name) == TM_OK &&
                  tm_path_join(target, dir, swapped[i][1]) == TM_OK);
        TM_ASSERT(symlink(target, trap[i]) == 0);
    }
    for (unsigned n = 0; !atomic_load(&stop); n++) {
        unsigned i = n % SWAPPED;
        spin((n * 104729u) % 400000); /* so that some rounds get through */
        if (renameat2(AT_FDCWD, folder[i], AT_FDCWD, trap[i], RENAME_EXCHANGE) == 0) {
            atomic_fetch_add(&swaps, 1);
            spin((n * 7919u) % 20000);
            TM_ASSERT(renameat2(AT_FDCWD, folder[i], AT_FDCWD, trap[i], RENAME_EXCHANGE) == 0);
        }
    }
    return NULL;
}

/* ---- the work ---- */

struct work {
    struct sample sample;
    struct tm_buf file;
    struct tm_pkg_layout layout;
    struct tm_digest id;
    uint64_t counter;
    unsigned done, refused, installed, believed;
};

static void begin(struct work *w)
{
    static const uint8_t seed[SAMPLE_CHUNKS] = {1, 2, 3, 4, 5};
    const char *path = in_dir(1, "made.tmpk");
    struct tm_err err = {0};
    sample_make(&w->sample, seed);
    TM_ASSERT(sample_write(&w->sample, path, &err) == TM_OK);
    tm_buf_init(&w->file, 1 << 20);
    TM_ASSERT(tm_file_read(path, &w->file, &err) == TM_OK);
    TM_ASSERT(tm_pkg_layout_parse(tm_view_of(w->file.data, 128), &w->layout, &err) == TM_OK);
    TM_ASSERT(tm_pkg_id(tm_view_of(w->file.data, w->layout.front_bytes), &w->id) == TM_OK);
}

static void end(struct work *w)
{
    tm_buf_deinit(&w->file);
    sample_free(&w->sample);
}

static void note(struct work *w, tm_status status)
{
    *(status == TM_OK ? &w->done : &w->refused) += 1;
}

static tm_status install(struct work *w, struct tm_device *device)
{
    const struct tm_install_request request = {
        .name = "m",
        .counter = ++w->counter,
        .front = tm_view_of(w->file.data, w->layout.front_bytes),
        .back =
            tm_view_of(w->file.data + w->layout.back_offset, w->file.bytes - w->layout.back_offset),
        .package_id = &w->id,
        .owner = tm_identity_public(w->sample.owner),
    };
    return tm_device_install(device, &request, NULL);
}

static tm_status put_chunks(struct work *w, struct tm_device *device)
{
    tm_status first = TM_OK;
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        tm_status status = tm_store_put(tm_device_chunks(device), &w->sample.meta.chunks[i].leaf,
                                        tm_view_of(w->sample.data[i], w->sample.bytes[i]), NULL);
        first = first == TM_OK ? status : first;
    }
    return first;
}

static void look(struct work *w, struct tm_device *device)
{
    struct tm_installed found = {0};
    struct tm_buf chunk;
    tm_buf_init(&chunk, 4096);
    note(w, tm_device_find(device, "m", &found, NULL));
    w->believed += found.current == TRAP_NUMBER || found.floor == TRAP_NUMBER ? 1 : 0;
    note(w, tm_device_find_chunk(device, &w->sample.meta.chunks[0].leaf, &chunk, NULL));
    tm_buf_deinit(&chunk);
}

/* Opened anew each time: opening cleans and makes folders too. */
static void one_round(struct work *w, unsigned n)
{
    struct tm_device *device = NULL;
    tm_status status = tm_device_open(in_dir(2, "device"), true, &device, NULL);
    note(w, status);
    if (status != TM_OK) {
        return;
    }
    note(w, put_chunks(w, device));
    tm_status installed = install(w, device);
    note(w, installed);
    w->installed += installed == TM_OK ? 1 : 0;
    look(w, device);
    if (n % 3 == 0) {
        note(w, tm_device_rollback(device, "m", NULL));
    }
    if (n % 7 == 0) {
        note(w, tm_device_remove(device, "m", NULL));
    }
    tm_device_close(&device);
}

/* When nobody swaps any more the store works. */
static bool works(struct work *w)
{
    struct tm_device *device = NULL;
    struct tm_installed found = {0};
    struct tm_package *package = NULL;
    struct tm_err err = {0};
    char line[1024];
    tm_status status = tm_device_open(in_dir(2, "device"), true, &device, &err);
    if (status == TM_OK && put_chunks(w, device) == TM_OK && install(w, device) == TM_OK &&
        tm_device_find(device, "m", &found, &err) == TM_OK) {
        status = tm_device_package(device, "m", found.current, &package, &err);
    }
    bool good = status == TM_OK && package != NULL && tm_package_check(package, &err) == TM_OK &&
                found.current == w->counter;
    if (!good) {
        printf("afterwards: %s\n", tm_err_line(&err, line, sizeof line));
    }
    tm_package_close(&package);
    tm_device_close(&device);
    return good;
}

static void run(struct work *w, unsigned rounds, bool walk)
{
    pthread_t thread;
    tm_root_force_walk(walk);
    atomic_store(&stop, false);
    TM_ASSERT(pthread_create(&thread, NULL, swapper, NULL) == 0);
    for (unsigned i = 0; i < rounds || w->installed == 0 || w->refused == 0; i++) {
        one_round(w, i);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

/* One of the two ways of resolving paths; true when all is well. */
static bool races(unsigned rounds, bool walk)
{
    static struct work w;
    memset(&w, 0, sizeof w);
    snprintf(dir, sizeof dir, "%s/store_races-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    TM_ASSERT(mkdtemp(dir) != NULL);
    make_outside();
    begin(&w);
    struct tm_digest before = outside_digest();
    run(&w, rounds, walk);
    struct tm_digest after = outside_digest();
    bool same = tm_digest_eq(&before, &after);
    printf("%s: %u rounds, %u swaps, %u calls done, %u refused, %u installed, outside %s, %u "
           "believed\n",
           walk ? "walk" : "openat2", rounds, atomic_load(&swaps), w.done, w.refused, w.installed,
           same ? "unchanged" : "CHANGED", w.believed);
    bool good = same && w.believed == 0 && works(&w);
    end(&w);
    TM_ASSERT(tm_dir_remove_tree(dir, NULL) == TM_OK);
    return good && tm_mem_live_blocks() == 0;
}

int main(int argc, char **argv)
{
    uint64_t rounds = ROUNDS;
    if (argc > 2 || (argc == 2 && tm_parse_u64(tm_view_str(argv[1]), &rounds) != TM_OK)) {
        fprintf(stderr, "store_races [ROUNDS]\n");
        return 2;
    }
    bool good = races((unsigned)rounds, false);
    good &= races((unsigned)rounds / 10, true);
    return good ? 0 : 1;
}
