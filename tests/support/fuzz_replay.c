/* SPDX-License-Identifier: Apache-2.0
 * Replays a folder of fuzz inputs through LLVMFuzzerTestOneInput without a fuzzer, so that ctest
 * runs every committed seed. An empty or missing folder is a failure. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    int ok = data != NULL && fread(data, 1, bytes, f) == bytes;
    fclose(f);
    if (ok) {
        LLVMFuzzerTestOneInput(data, bytes);
    }
    free(data);
    return ok ? 1 : -1;
}

int main(int argc, char **argv)
{
    int replayed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (dir == NULL) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
        for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            int got = replay_file(path);
            if (got < 0) {
                closedir(dir);
                return EXIT_FAILURE;
            }
            replayed += got;
        }
        closedir(dir);
    }
    printf("%d inputs replayed\n", replayed);
    return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
