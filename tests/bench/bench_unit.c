/* SPDX-License-Identifier: Apache-2.0
 * What one unit costs the node that makes it and the coordinator that checks it, on one core:
 * bench_unit MODEL [RECIPE] [--json]. The unit is the model's first that is not lossless; every
 * figure is the minimum and the median of RUNS runs within this one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "node/coordinator/check.h"

#define RUNS 41

struct bench {
    struct tm_job *job;
    struct tm_identity *node;
    uint32_t unit;
    struct tm_buf source, chunk;
    struct tm_digest leaf;
    struct tm_signature sig;
    char statement[TM_PKG_STATEMENT_MAX];
    struct tm_view signed_bytes;
};

struct row {
    const char *what;
    double min_us, median_us;
};

static void must(tm_status status, const struct tm_err *err)
{
    char line[1600];
    if (status != TM_OK) {
        fprintf(stderr, "bench_unit: %s\n", tm_err_line(err, line, sizeof line));
        exit(EXIT_FAILURE);
    }
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + (double)t.tv_nsec / 1000;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void hash_source(struct bench *b)
{
    (void)tm_digest_of(tm_buf_view(&b->source));
}

static void hash_leaf(struct bench *b)
{
    b->leaf = tm_merkle_leaf(tm_buf_view(&b->chunk));
}

static void sign(struct bench *b)
{
    b->sig = tm_sign(b->node, TM_SIGN_RESULT, b->signed_bytes);
}

static void verify(struct bench *b)
{
    struct tm_err err = {0};
    must(tm_sign_verify(tm_identity_public(b->node), TM_SIGN_RESULT, b->signed_bytes, &b->sig),
         &err);
}

static void encode(struct bench *b)
{
    struct tm_err err = {0};
    const struct tm_unit *unit = &b->job->split.units[b->unit];
    struct tm_encode_request request = {
        .pipeline = &b->job->pipelines[unit->pipeline],
        .dtype = tm_unit_dtype(b->job, b->unit),
        .shape = {unit->rows, unit->cols},
        .source = tm_buf_view(&b->source),
    };
    tm_buf_clear(&b->chunk);
    must(tm_encode_unit(&request, &b->chunk, &err), &err);
}

static void check_with(struct bench *b, bool audit)
{
    struct tm_check_result result;
    struct tm_err err = {0};
    tm_check_unit(b->job, b->unit, tm_buf_view(&b->chunk), tm_identity_public(b->node), &b->sig,
                  audit, &result);
    if (result.verdict != TM_VERDICT_GOOD) {
        must(tm_err_set(&err, TM_E_VERIFY, "check", "not good", NULL, "%s", result.detail), &err);
    }
}

static void check(struct bench *b)
{
    check_with(b, false);
}

static void audit(struct bench *b)
{
    check_with(b, true);
}

static struct row measure(struct bench *b, const char *what, void (*run)(struct bench *))
{
    double spent[RUNS];
    for (size_t i = 0; i < RUNS; i++) {
        double start = now_us();
        run(b);
        spent[i] = now_us() - start;
    }
    qsort(spent, RUNS, sizeof spent[0], by_value);
    return (struct row){what, spent[0], spent[RUNS / 2]};
}

static void prepare(struct bench *b, const char *model, const char *recipe, const char *dir)
{
    struct tm_err err = {0};
    char out[TM_PATH_MAX], *hex = b->statement;
    snprintf(out, sizeof out, "%s/out.tmpk", dir);
    struct tm_job_options options = {
        .model_path = model, .recipe = recipe, .out_path = out, .state_dir = dir, .quiet = true};
    must(tm_crypto_init(&err), &err);
    must(tm_identity_generate(&b->node, &err), &err);
    must(tm_job_prepare(&options, &b->job, &err), &err);
    tm_buf_init(&b->source, 1 << 26);
    tm_buf_init(&b->chunk, 1 << 26);
    while (b->unit + 1 < b->job->split.unit_count && b->job->split.units[b->unit].lossless) {
        b->unit++;
    }
    must(tm_unit_source(b->job, b->unit, &b->source, &err), &err);
    encode(b);
    hash_leaf(b);
    const struct tm_unit *unit = &b->job->split.units[b->unit];
    b->signed_bytes =
        tm_pkg_statement(&b->job->plan_digest, b->unit, &b->job->unit_source[b->unit], &b->leaf,
                         b->job->plan.pipelines[unit->pipeline], (uint8_t *)hex);
}

static void print_json(const struct bench *b, const struct row *rows, size_t count)
{
    struct tm_buf out;
    struct tm_jw jw;
    const struct tm_unit *unit = &b->job->split.units[b->unit];
    tm_buf_init(&out, 1 << 20);
    tm_jw_begin(&jw, &out, true);
    tm_jw_object(&jw, NULL);
    tm_jw_u64(&jw, "weights", (uint64_t)unit->rows * unit->cols);
    tm_jw_u64(&jw, "source_bytes", b->source.bytes);
    tm_jw_u64(&jw, "chunk_bytes", b->chunk.bytes);
    tm_jw_array(&jw, "rows");
    for (size_t i = 0; i < count; i++) {
        tm_jw_object(&jw, NULL);
        tm_jw_str(&jw, "what", rows[i].what);
        tm_jw_f64(&jw, "min_us", rows[i].min_us);
        tm_jw_f64(&jw, "median_us", rows[i].median_us);
        tm_jw_object_end(&jw);
    }
    tm_jw_array_end(&jw);
    tm_jw_object_end(&jw);
    struct tm_err err = {0};
    must(tm_jw_end(&jw), &err);
    printf("%.*s\n", (int)out.bytes, (const char *)out.data);
    tm_buf_deinit(&out);
}

int main(int argc, char **argv)
{
    static struct bench b;
    char dir[] = "/tmp/tm-bench-unit-XXXXXX";
    bool json = argc > 2 && strcmp(argv[argc - 1], "--json") == 0;
    if (argc < 2 || mkdtemp(dir) == NULL) {
        fprintf(stderr, "usage: bench_unit MODEL [RECIPE] [--json]\n");
        return EXIT_FAILURE;
    }
    prepare(&b, argv[1], argc > 2 && argv[2][0] != '-' ? argv[2] : "int4", dir);
    struct row rows[] = {
        measure(&b, "encode", encode),
        measure(&b, "hash of the source", hash_source),
        measure(&b, "hash of the chunk", hash_leaf),
        measure(&b, "sign", sign),
        measure(&b, "verify", verify),
        measure(&b, "check (all of it)", check),
        measure(&b, "check with audit", audit),
    };
    size_t count = sizeof rows / sizeof rows[0];
    if (json) {
        print_json(&b, rows, count);
    } else {
        for (size_t i = 0; i < count; i++) {
            printf("%-20s %9.1f us min %9.1f us median\n", rows[i].what, rows[i].min_us,
                   rows[i].median_us);
        }
    }
    tm_job_close(&b.job);
    tm_identity_destroy(&b.node);
    tm_buf_deinit(&b.source);
    tm_buf_deinit(&b.chunk);
    return tm_dir_remove_tree(dir, NULL) == TM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
