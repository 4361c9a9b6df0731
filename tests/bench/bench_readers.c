/* SPDX-License-Identifier: Apache-2.0
 * Our side of bench_readers.py: bench_readers FILE RUNS opens a model and hashes every tensor, RUNS
 * times, and prints JSON: least and median microseconds of opening, seconds of hashing, bytes, all
 * in time of the CPU, for others may be at work on the machine.
 * reader_peer.py prints the same of another reader. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "model/checkpoint.h"

enum { RUNS_MAX = 1000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* one thread, files in the page cache */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void must(tm_status status, const struct tm_err *err)
{
    char line[2048];
    if (status != TM_OK) {
        fprintf(stderr, "bench_readers: %s\n", tm_err_line(err, line, sizeof line));
        exit(EXIT_FAILURE);
    }
}

static void print_timing(const char *name, double *spent, int runs, double unit)
{
    qsort(spent, (size_t)runs, sizeof *spent, by_value);
    printf("\"%s_min\": %.6g, \"%s_median\": %.6g, ", name, unit * spent[0], name,
           unit * spent[runs / 2]);
}

int main(int argc, char **argv)
{
    static double opening[RUNS_MAX], hashing[RUNS_MAX];
    uint64_t wanted = 0;
    if (argc != 3 || tm_parse_u64(tm_view_str(argv[2]), &wanted) != TM_OK || wanted < 1 ||
        wanted > RUNS_MAX) {
        fprintf(stderr, "usage: bench_readers FILE RUNS\n");
        return 2;
    }
    int runs = (int)wanted;
    struct tm_err err = {.status = TM_OK};
    uint64_t bytes = 0;
    size_t tensors = 0;
    struct tm_digest last = {.b = {0}};
    for (int run = 0; run < runs; run++) {
        struct tm_checkpoint *checkpoint = NULL;
        double start = now();
        must(tm_checkpoint_open(argv[1], &checkpoint, &err), &err);
        double opened = now();
        const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
        tensors = inventory->tensor_count;
        bytes = inventory->total_bytes;
        for (size_t i = 0; i < tensors; i++) {
            must(tm_checkpoint_hash(checkpoint, i, &last, &err), &err);
        }
        opening[run] = opened - start;
        hashing[run] = now() - opened;
        tm_checkpoint_close(&checkpoint);
    }
    char hex[TM_DIGEST_TEXT];
    printf("{");
    print_timing("open_us", opening, runs, 1e6);
    print_timing("hash_s", hashing, runs, 1);
    printf("\"tensors\": %zu, \"bytes\": %" PRIu64 ", \"last\": \"%s\"}\n", tensors, bytes,
           tm_digest_hex(&last, hex));
    return EXIT_SUCCESS;
}
