/* SPDX-License-Identifier: Apache-2.0
 * mutate_inputs [--count N] [FORMAT...]: reads N damaged inputs of each format (100,000) and holds
 * every reader to its promise: accepted and then readable whole, or refused with a status that
 * means "wrong input" and one line that says what, where and why; in a second; within its memory;
 * leaving nothing behind. TMILL_SEED is the seed. An input that breaks a promise is written to
 * mutate-found.bin and ends the run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "crypto/identity.h"
#include "tests/mutate/formats.h"
#include "tests/mutate/mutators.h"

#define SEEDS_MAX 128
#define MEMORY_BASE (64u << 20) /* and two bytes for each of the input */
#define INPUT_MS 1000

struct seeds {
    struct tm_buf files[SEEDS_MAX];
    size_t count;
};

struct tally {
    uint64_t accepted, refused, placed; /* refused ones that name a byte, line or offset */
    uint64_t slowest_ms;
    size_t peak;
};

/* ---- seeds ---- */

static void add_seed(struct seeds *seeds, const struct format *format, struct tm_view file)
{
    bool wanted = format->only < 0 || (file.bytes > 0 && file.data[0] % 4 == format->only);
    if (!wanted || file.bytes <= format->skip || seeds->count == SEEDS_MAX) {
        return;
    }
    struct tm_buf *seed = &seeds->files[seeds->count++];
    tm_buf_init(seed, MUTATED_BYTES_MAX);
    TM_ASSERT(tm_buf_put(seed, file.data + format->skip, file.bytes - format->skip) == TM_OK);
}

static void load_seeds(struct seeds *seeds, const struct format *format)
{
    struct dirent **names = NULL;
    int count = scandir(format->seeds, &names, NULL, alphasort);
    seeds->count = 0;
    for (int i = 0; i < count; i++) {
        char path[512];
        struct tm_buf file;
        tm_buf_init(&file, MUTATED_BYTES_MAX);
        snprintf(path, sizeof path, "%s/%s", format->seeds, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && tm_file_read(path, &file, NULL) == TM_OK) {
            add_seed(seeds, format, tm_buf_view(&file));
        }
        tm_buf_deinit(&file);
        (free)(names[i]);
    }
    (free)(names);
}

static void drop_seeds(struct seeds *seeds)
{
    for (size_t i = 0; i < seeds->count; i++) {
        tm_buf_deinit(&seeds->files[i]);
    }
}

/* ---- one input ---- */

static void broken(const struct format *format, struct tm_view input, const char *promise)
{
    fprintf(stderr, "mutate: %s: %s; the input is in mutate-found.bin\n", format->name, promise);
    FILE *file = fopen("mutate-found.bin", "wb");
    if (file != NULL) {
        (void)!fwrite(input.data, 1, input.bytes, file);
        fclose(file);
    }
    exit(1);
}

/* Whether a line may go to a terminal and into a log. */
static bool is_one_line(const char *line)
{
    size_t bytes = strlen(line);
    bool good = bytes > 0 && tm_utf8_valid(line, bytes);
    for (size_t at = 0; good && at < bytes;) {
        uint32_t code = 0;
        at += tm_utf8_decode(line + at, bytes - at, &code);
        good = !tm_utf8_is_control(code);
    }
    return good;
}

/* "at byte 8", "line 3", "recipe.toml:3:5" */
static bool names_a_place(const char *line)
{
    bool numbered = false;
    for (const char *c = line; *c != 0 && !numbered; c++) {
        numbered = c[0] == ':' && c[1] >= '0' && c[1] <= '9';
    }
    return numbered || strstr(line, "byte ") != NULL || strstr(line, "line ") != NULL;
}

static void check_refusal(const struct format *format, struct tm_view input, tm_status status,
                          const struct tm_err *err, struct tally *tally)
{
    char line[2048];
    int code = tm_status_exit_code(status);
    bool by_limit = status == TM_E_LIMIT || status == TM_E_NOMEM; /* the memory it may cost */
    if (format->peers && (by_limit || status == TM_E_MALFORMED)) {
        tally->refused++;
        return;
    }
    if (code != 2 && code != 4 && code != 8) {
        broken(format, input, tm_status_name(status));
    }
    if (err->status != status || err->what[0] == 0 || err->why[0] == 0 || err->where[0] == 0) {
        broken(format, input, "the error has no status, place, subject or reason");
    }
    tm_err_line(err, line, sizeof line);
    if (!is_one_line(line)) {
        broken(format, input, "the error is more than a line, or not printable");
    }
    tally->refused++;
    tally->placed += names_a_place(line);
}

static tm_status try_input(const struct format *format, struct tm_view input, struct tally *tally)
{
    struct tm_err err = {.status = TM_OK};
    size_t live = tm_mem_live_blocks(), bytes = tm_mem_live_bytes();
    uint64_t began = tm_clock_ms(tm_clock_os());
    tm_mem_reset_peak();
    tm_status status = format->read(input, &err);
    uint64_t took = tm_clock_ms(tm_clock_os()) - began;
    size_t peak = tm_mem_peak_bytes() - bytes;
    if (tm_mem_live_blocks() != live) {
        broken(format, input, "memory is left behind");
    }
    if (peak > MEMORY_BASE + 2 * input.bytes) {
        broken(format, input, "it took more memory than it may");
    }
    if (took > INPUT_MS) {
        broken(format, input, "it took more than a second");
    }
    tally->slowest_ms = took > tally->slowest_ms ? took : tally->slowest_ms;
    tally->peak = peak > tally->peak ? peak : tally->peak;
    if (status == TM_OK) {
        tally->accepted++;
    } else {
        check_refusal(format, input, status, &err, tally);
    }
    return status;
}

/* ---- a format ---- */

static void run(const struct format *format, uint64_t count, uint64_t seed)
{
    static struct seeds seeds;
    struct tally tally = {0}, whole = {0};
    struct tm_buf input;
    struct tm_rng rng;
    load_seeds(&seeds, format);
    for (size_t i = 0; i < seeds.count; i++) {
        (void)try_input(format, tm_buf_view(&seeds.files[i]), &whole);
    }
    if (whole.accepted == 0) {
        fprintf(stderr, "mutate: %s: none of %zu seeds is right\n", format->name, seeds.count);
        exit(1);
    }
    tm_rng_init(&rng, seed);
    tm_buf_init(&input, MUTATED_BYTES_MAX);
    for (uint64_t i = 0; i < count; i++) {
        const struct tm_buf *from = &seeds.files[tm_rng_below(&rng, seeds.count)];
        const struct tm_buf *other = &seeds.files[tm_rng_below(&rng, seeds.count)];
        const struct mutation m = {
            .rng = &rng, .words = format->words, .other = tm_buf_view(other)};
        tm_buf_clear(&input);
        TM_ASSERT(tm_buf_put(&input, from->data, from->bytes) == TM_OK);
        mutate(&m, &input);
        /* An exact-size block lets a sanitizer see reads past the end. */
        uint8_t *exact = tm_memdup(input.data, input.bytes);
        TM_ASSERT(exact != NULL);
        (void)try_input(format, tm_view_of(exact, input.bytes), &tally);
        tm_free(exact);
    }
    tm_buf_deinit(&input);
    drop_seeds(&seeds);
    printf("%-15s %8llu inputs: %7llu accepted, %7llu refused (%3llu %% say where by number), "
           "slowest %llu ms, %zu KiB at most\n",
           format->name, (unsigned long long)count, (unsigned long long)tally.accepted,
           (unsigned long long)tally.refused,
           (unsigned long long)(100 * tally.placed / (tally.refused > 0 ? tally.refused : 1)),
           (unsigned long long)tally.slowest_ms, tally.peak >> 10);
    fflush(stdout);
}

static bool is_wanted(const char *name, char **names, int count)
{
    bool wanted = count == 0;
    for (int i = 0; i < count; i++) {
        wanted = wanted || strcmp(names[i], name) == 0;
    }
    return wanted;
}

int main(int argc, char **argv)
{
    uint64_t count = 100000, seed = 1;
    struct tm_err err;
    int first = 1;
    const char *given = getenv("TMILL_SEED");
    if (argc > 2 && strcmp(argv[1], "--count") == 0) {
        if (tm_parse_u64(tm_view_str(argv[2]), &count) != TM_OK) {
            return 2;
        }
        first = 3;
    }
    if (given != NULL && tm_parse_u64(tm_view_str(given), &seed) != TM_OK) {
        return 2;
    }
    TM_ASSERT(tm_crypto_init(&err) == TM_OK);
    printf("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < format_count; i++) {
        if (is_wanted(formats[i].name, argv + first, argc - first)) {
            run(&formats[i], count, seed);
        }
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld MiB resident at most\n", usage.ru_maxrss >> 10);
    return 0;
}
