/* SPDX-License-Identifier: Apache-2.0
 * Speed and size of the stages on one core: bench_stages [--json|--csv]. A block of the usual size
 * (512 x 512 normal values), every kernel; minimum and median of RUNS runs. The rans rows code the
 * symbols of int and ternary and compare the size with the empirical entropy. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "stages/pipeline_encode.h"
#include "stages/rans_decode.h"
#include "stages/rans_encode.h"

#define ROWS 512
#define COLS 512
#define WEIGHTS ((size_t)ROWS * COLS)
#define RUNS 31

struct timing {
    double min_ns, median_ns; /* a weight, or a symbol */
};

struct row {
    const char *kernel, *what;
    struct timing encode, decode;
    size_t bytes;
    double entropy_bytes;  /* rans rows only, else 0 */
    double relative_error; /* rows of quantizers only, else 0: sqrt(sum (y-x)^2 / sum x^2) */
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct timing timing_of(double *spent, size_t items)
{
    qsort(spent, RUNS, sizeof *spent, by_value);
    return (struct timing){spent[0] / (double)items, spent[RUNS / 2] / (double)items};
}

static void must(tm_status status)
{
    if (status != TM_OK) {
        fprintf(stderr, "bench_stages: %s\n", tm_status_text(status));
        exit(EXIT_FAILURE);
    }
}

/* ---- pipelines ---- */

static struct row bench_floats(const struct tm_pipeline *p, const float *x, float *y)
{
    struct tm_block_shape shape = {ROWS, COLS};
    double encode[RUNS], decode[RUNS];
    struct row row = {0};
    struct tm_buf out;
    tm_buf_init(&out, tm_pipeline_bound(p, shape));
    for (int i = 0; i < RUNS; i++) {
        tm_buf_clear(&out);
        double start = now_ns();
        must(tm_pipeline_encode(p, shape, x, &out, NULL));
        encode[i] = now_ns() - start;
        start = now_ns();
        must(tm_pipeline_decode(p, shape, tm_buf_view(&out), TM_DECODE_FAST, y, NULL));
        decode[i] = now_ns() - start;
    }
    struct tm_block_error error;
    tm_block_measure(x, y, WEIGHTS, &error);
    row.bytes = out.bytes;
    row.relative_error = sqrt(error.squared_error / error.squared_norm);
    row.encode = timing_of(encode, WEIGHTS);
    row.decode = timing_of(decode, WEIGHTS);
    tm_buf_deinit(&out);
    return row;
}

/* The weights as bfloat16 bytes, two a weight. */
static struct row bench_bytes(const struct tm_pipeline *p, const float *x, uint8_t *y)
{
    double encode[RUNS], decode[RUNS];
    struct row row = {0};
    struct tm_buf out;
    uint8_t *source = tm_alloc(2 * WEIGHTS);
    if (source == NULL) {
        must(TM_E_NOMEM);
    }
    for (size_t i = 0; i < WEIGHTS; i++) {
        tm_set_u16(source + 2 * i, (uint16_t)(tm_f32_bits(x[i]) >> 16));
    }
    tm_buf_init(&out, tm_pipeline_bound(p, (struct tm_block_shape){1, 2 * WEIGHTS}));
    for (int i = 0; i < RUNS; i++) {
        tm_buf_clear(&out);
        double start = now_ns();
        must(tm_pipeline_encode_bytes(p, tm_view_of(source, 2 * WEIGHTS), &out, NULL));
        encode[i] = now_ns() - start;
        start = now_ns();
        must(tm_pipeline_decode_bytes(p, 2 * WEIGHTS, tm_buf_view(&out), y, NULL));
        decode[i] = now_ns() - start;
    }
    row.bytes = out.bytes;
    row.encode = timing_of(encode, WEIGHTS);
    row.decode = timing_of(decode, WEIGHTS);
    tm_buf_deinit(&out);
    tm_free(source);
    return row;
}

static struct row bench_measure(const float *x, const float *y)
{
    double spent[RUNS];
    struct row row = {0};
    struct tm_block_error error;
    for (int i = 0; i < RUNS; i++) {
        double start = now_ns();
        tm_block_measure(x, y, WEIGHTS, &error);
        spent[i] = now_ns() - start;
    }
    row.decode = timing_of(spent, WEIGHTS);
    return row;
}

/* ---- rans alone ---- */

static double entropy_bytes(const struct tm_symbols *s)
{
    struct tm_rans_counts counts;
    double bits = 0.0;
    tm_rans_histogram(s->codes.data, s->count, &counts);
    for (size_t i = 0; i < 256; i++) {
        if (counts.count[i] > 0) {
            bits -= counts.count[i] * log2((double)counts.count[i] / (double)s->count);
        }
    }
    return bits / 8;
}

static struct row bench_rans(const struct tm_pipeline *plain, const float *x, uint8_t *y)
{
    struct tm_block_shape shape = {ROWS, COLS};
    struct tm_symbols s;
    struct tm_buf out;
    struct row row = {0};
    double encode[RUNS], decode[RUNS];
    tm_symbols_init(&s);
    tm_buf_init(&out, tm_pipeline_bound(plain, shape));
    must(tm_pipeline_encode(plain, shape, x, &out, NULL));
    must(tm_pipeline_decode_symbols(plain, shape, tm_buf_view(&out), TM_DECODE_FAST, &s, NULL));
    for (int i = 0; i < RUNS; i++) {
        tm_buf_clear(&out);
        double start = now_ns();
        must(tm_rans_encode(s.alphabet, s.codes.data, s.count, &out));
        encode[i] = now_ns() - start;
        start = now_ns();
        struct tm_cursor in = tm_cursor_of(tm_buf_view(&out));
        must(tm_rans_decode(&in, s.alphabet, s.count, TM_DECODE_FAST, y, NULL));
        decode[i] = now_ns() - start;
    }
    row.bytes = out.bytes;
    row.entropy_bytes = entropy_bytes(&s);
    row.encode = timing_of(encode, s.count);
    row.decode = timing_of(decode, s.count);
    tm_symbols_deinit(&s);
    tm_buf_deinit(&out);
    return row;
}

/* ---- report ---- */

static void print_row(const struct row *r)
{
    printf("%-5s %-34s %8.2f %8.2f %8.2f %8.2f %9zu %7.3f", r->kernel, r->what, r->encode.min_ns,
           r->encode.median_ns, r->decode.min_ns, r->decode.median_ns, r->bytes,
           8.0 * (double)r->bytes / (double)WEIGHTS);
    if (r->entropy_bytes > 0) {
        printf("  %6.0f M/s  %.4f x entropy", 1e3 / r->decode.min_ns,
               (double)r->bytes / r->entropy_bytes);
    }
    if (r->relative_error > 0) {
        printf("  error %.5f", r->relative_error);
    }
    printf("\n");
}

static void json_row(struct tm_jw *jw, const struct row *r)
{
    tm_jw_object(jw, NULL);
    tm_jw_str(jw, "kernel", r->kernel);
    tm_jw_str(jw, "what", r->what);
    tm_jw_f64(jw, "encode_min_ns", r->encode.min_ns);
    tm_jw_f64(jw, "encode_median_ns", r->encode.median_ns);
    tm_jw_f64(jw, "decode_min_ns", r->decode.min_ns);
    tm_jw_f64(jw, "decode_median_ns", r->decode.median_ns);
    tm_jw_u64(jw, "bytes", r->bytes);
    if (r->relative_error > 0) {
        tm_jw_f64(jw, "relative_error", r->relative_error);
    }
    if (r->entropy_bytes > 0) {
        tm_jw_f64(jw, "decode_symbols_per_s", 1e9 / r->decode.min_ns);
        tm_jw_f64(jw, "size_to_entropy", (double)r->bytes / r->entropy_bytes);
    }
    tm_jw_object_end(jw);
}

#define ROWS_MAX 64
struct report {
    struct row rows[ROWS_MAX];
    size_t count;
};

static void add(struct report *report, const char *what, struct row row)
{
    if (report->count < ROWS_MAX) {
        row.kernel = tm_kernel_name(tm_kernel_current());
        row.what = what;
        report->rows[report->count++] = row;
    }
}

static void bench_kernel(struct report *report, const float *x, float *y)
{
    static const char *const floats[] = {"int",
                                         "int > rans",
                                         "int(bits=4)",
                                         "int(bits=4) > rans",
                                         "ternary",
                                         "ternary > rans",
                                         "ternary(group=32) > rans",
                                         "ternary(group=64) > rans",
                                         "ternary(group=256) > rans"};
    static const char *const bytes[] = {"zstd(level=1) of bfloat16", "zstd(level=9) of bfloat16",
                                        "raw of bfloat16"};
    static const char *const coded[][2] = {{"int", "rans of int 8 symbols"},
                                           {"int(bits=4)", "rans of int 4 symbols"},
                                           {"ternary", "rans of ternary symbols"}};
    struct tm_pipeline p;
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        must(tm_pipeline_parse(tm_view_str(floats[i]), &p, NULL));
        add(report, floats[i], bench_floats(&p, x, y));
    }
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        size_t stage = strcspn(bytes[i], " ");
        must(tm_pipeline_parse(tm_view_of(bytes[i], stage), &p, NULL));
        add(report, bytes[i], bench_bytes(&p, x, (uint8_t *)y));
    }
    for (size_t i = 0; i < sizeof coded / sizeof coded[0]; i++) {
        must(tm_pipeline_parse(tm_view_str(coded[i][0]), &p, NULL));
        add(report, coded[i][1], bench_rans(&p, x, (uint8_t *)y));
    }
    add(report, "measure (as decode)", bench_measure(x, y));
}

static void print_table(const struct report *report)
{
    printf("one core, %zu weights, ns a weight (rans: a symbol), %d runs\n", WEIGHTS, RUNS);
    printf("%-5s %-34s %17s %17s %9s %7s\n", "", "", "encode min/median", "decode min/median",
           "bytes", "bits/w");
    for (size_t i = 0; i < report->count; i++) {
        print_row(&report->rows[i]);
    }
}

static void print_json(const struct report *report)
{
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, 1 << 20);
    tm_jw_begin(&jw, &out, true);
    tm_jw_object(&jw, NULL);
    tm_jw_u64(&jw, "weights", WEIGHTS);
    tm_jw_u64(&jw, "runs", RUNS);
    tm_jw_array(&jw, "rows");
    for (size_t i = 0; i < report->count; i++) {
        json_row(&jw, &report->rows[i]);
    }
    tm_jw_array_end(&jw);
    tm_jw_object_end(&jw);
    must(tm_jw_end(&jw));
    fwrite(out.data, 1, out.bytes, stdout);
    printf("\n");
    tm_buf_deinit(&out);
}

/* Empty when there is no such figure. */
static void print_field(double value)
{
    if (value > 0) {
        printf(",%.5f", value);
    } else {
        printf(",");
    }
}

/* What is the same on every machine, of the first kernel: for tests/bench/stages.csv. */
static void print_csv(const struct report *report)
{
    printf("what,bytes,relative_error,size_to_entropy\n");
    for (size_t i = 0; i < report->count; i++) {
        const struct row *r = &report->rows[i];
        if (strcmp(r->kernel, report->rows[0].kernel) == 0 &&
            (r->relative_error > 0 || r->entropy_bytes > 0)) {
            printf("%s,%zu", r->what, r->bytes);
            print_field(r->relative_error);
            print_field(r->entropy_bytes > 0 ? (double)r->bytes / r->entropy_bytes : 0);
            printf("\n");
        }
    }
}

int main(int argc, char **argv)
{
    const char *form = argc == 2 ? argv[1] : "";
    bool json = strcmp(form, "--json") == 0, csv = strcmp(form, "--csv") == 0;
    if (argc > 2 || (argc == 2 && !json && !csv)) {
        fprintf(stderr, "usage: bench_stages [--json|--csv]\n");
        return 2;
    }
    float *x = tm_realloc_array(NULL, WEIGHTS, sizeof *x);
    float *y = tm_realloc_array(NULL, WEIGHTS, sizeof *y);
    if (x == NULL || y == NULL) {
        must(TM_E_NOMEM);
    }
    struct tm_rng rng;
    tm_rng_init(&rng, 1);
    for (size_t i = 0; i < WEIGHTS; i++) {
        x[i] = 0.02f * (float)tm_rng_normal(&rng);
    }
    static struct report report;
    for (enum tm_kernel k = TM_KERNEL_REF; k < TM_KERNEL_COUNT; k++) {
        if (tm_kernel_supported(k)) {
            must(tm_kernel_force(k));
            bench_kernel(&report, x, y);
        }
    }
    if (json) {
        print_json(&report);
    } else if (csv) {
        print_csv(&report);
    } else {
        print_table(&report);
    }
    tm_free(x);
    tm_free(y);
    return EXIT_SUCCESS;
}
