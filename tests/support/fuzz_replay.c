/* SPDX-License-Identifier: Apache-2.0
 * Replays a folder of fuzz inputs through LLVMFuzzerTestOneInput without a fuzzer, so that ctest
 * runs every committed seed. An empty or missing folder is a failure.
 *
 *     TARGET FOLDER                   each input once
 *     TARGET --short-memory FOLDER    each input with its first allocation failing, then with its
 *                                     second, until one run needs fewer: each must come back and
 *                                     leave no block behind */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

/* Of an input that allocates more often than this, each further point is 1/16 behind the last. */
#define EVERY_POINT_UNTIL 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool short_memory;
static uint64_t points, most;

static int leak_at(const char *path, uint64_t n, size_t before)
{
    fprintf(stderr, "%s: allocation %ju fails: %zu blocks before, %zu behind\n", path,
            (uintmax_t)n, before, tm_mem_live_blocks());
    return -1;
}

static int walk(const char *path, const uint8_t *data, size_t bytes)
{
    LLVMFuzzerTestOneInput(data, bytes); /* what is made once for the process is made now */
    size_t before = tm_mem_live_blocks();
    uint64_t n = 1;
    for (bool failed = true; failed; n += n < EVERY_POINT_UNTIL ? 1 : n / 16) {
        tm_mem_fail_at(n);
        LLVMFuzzerTestOneInput(data, bytes);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        points += failed ? 1 : 0;
        most = failed && n > most ? n : most;
        if (tm_mem_live_blocks() != before) {
            return leak_at(path, n, before);
        }
    }
    LLVMFuzzerTestOneInput(data, bytes); /* and nothing remembers the failures */
    return 1;
}

static int replay(const char *path, const uint8_t *data, size_t bytes)
{
    if (short_memory) {
        return walk(path, data, bytes);
    }
    LLVMFuzzerTestOneInput(data, bytes);
    return 1;
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        fclose(f);
        return 0;
    }
    /* An exact-size heap block lets ASan see reads past the end. */
    size_t bytes = (size_t)st.st_size;
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    bool ok = data != NULL && fread(data, 1, bytes, f) == bytes;
    fclose(f);
    int replayed = ok ? replay(path, data, bytes) : -1;
    free(data);
    return replayed;
}

static int replay_folder(const char *folder)
{
    int replayed = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        int got = replay_file(path);
        if (got < 0) {
            replayed = -1;
            break;
        }
        replayed += got;
    }
    closedir(dir);
    return replayed;
}

int main(int argc, char **argv)
{
    int replayed = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--short-memory") == 0) {
            short_memory = true;
            continue;
        }
        int got = replay_folder(argv[i]);
        if (got < 0) {
            return EXIT_FAILURE;
        }
        replayed += got;
    }
    printf("%d inputs replayed\n", replayed);
    if (short_memory) {
        printf("%ju failed allocations, at most the %ju-th of an input\n", (uintmax_t)points,
               (uintmax_t)most);
    }
    return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
