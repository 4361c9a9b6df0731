/* SPDX-License-Identifier: Apache-2.0
 * calibrate: the covariances of a model's inputs over a text, as a file; merging, showing and
 * auditing such files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/progress.h"
#include "model/calibration/cal_check.h"
#include "model/calibration/cal_merge.h"
#include "model/calibration/calibrate.h"
#include "model/calibration/model_digest.h"
#include "model/pass/weights_checkpoint.h"
#include "node/cli/cli.h"
#include "node/common/calibration_text.h"
#include "model/tokenizer/tokenizer_open.h"
#include "node/common/text_of.h"
#include "package/package.h"

#define CONTEXT 512

static const char what_failed[] = "cannot calibrate";

struct work {
    const char *path, *out;
    struct tm_weights weights;
    struct tm_tokenizer *tokenizer;
    struct tm_text text;
    struct tm_calibrate_options options;
    struct tm_calibrate_plan plan;
    uint64_t tokens; /* at most so many */
    struct tm_progress *progress;
    bool quiet;
    uint64_t began_ms, took_ms;
};

/* ---- options ---- */

static tm_status bad_range(const char *option, const char *text, struct tm_err *err)
{
    return tm_err_set(err, TM_E_USAGE, option, what_failed,
                      "give a first number and the one behind the last: 0..16", "'%s' is no range",
                      text);
}

/* "3..7"; text may be NULL, then *given is false. */
static tm_status parse_range(const char *option, const char *text, uint64_t *first, uint64_t *end,
                             bool *given, struct tm_err *err)
{
    *given = text != NULL;
    if (text == NULL) {
        return TM_OK;
    }
    const char *dots = strstr(text, "..");
    if (dots == NULL || tm_parse_u64(tm_view_of(text, (size_t)(dots - text)), first) != TM_OK ||
        tm_parse_u64(tm_view_str(dots + 2), end) != TM_OK || *first >= *end) {
        return bad_range(option, text, err);
    }
    return TM_OK;
}

static tm_status parse_windows(struct work *w, const char *text, bool *given, struct tm_err *err)
{
    return parse_range("--windows", text, &w->options.window_first, &w->options.window_end, given,
                       err);
}

static tm_status parse_layers(struct work *w, const char *text, struct tm_err *err)
{
    uint64_t first = 0, end = 0, layers = w->weights.arch.layers;
    bool given;
    TM_TRY(parse_range("--layers", text, &first, &end, &given, err));
    if (given && end > layers) {
        return tm_err_set(err, TM_E_USAGE, "--layers", what_failed,
                          "layers are counted from 0, and the end is not among them",
                          "the model has %llu layers", (unsigned long long)layers);
    }
    w->options.layer_first = (uint32_t)first;
    w->options.layer_count = (uint32_t)(end - first);
    return TM_OK;
}

/* ---- model and text ---- */

static bool hashed(void *context, uint64_t bytes)
{
    tm_progress_update(*(struct tm_progress **)context, bytes, NULL);
    return tm_stop_signal == 0;
}

static tm_status read_model(struct work *w, const char *under, struct tm_err *err)
{
    if (tm_package_is(w->path)) {
        return tm_err_set(err, TM_E_USAGE, w->path, what_failed,
                          "give the model that the package was made from",
                          "a package is what calibration is for, not what it is made of");
    }
    struct tm_checkpoint *checkpoint = NULL;
    TM_TRY(tm_checkpoint_open_under(w->path, under, &checkpoint, err));
    struct tm_weights_source source = tm_weights_of_checkpoint(checkpoint);
    struct tm_progress *progress = tm_progress_new(&(struct tm_progress_options){
        .label = "hash",
        .total = tm_checkpoint_inventory(checkpoint)->total_bytes,
        .quiet = w->quiet,
    });
    tm_status status =
        w->out != NULL && tm_checkpoint_is_input(checkpoint, w->out)
            ? tm_err_set(err, TM_E_USAGE, w->out, what_failed, "choose another name with -o",
                         "the output would overwrite the model")
            : tm_weights_load(&source, &w->weights, err);
    if (status == TM_OK) {
        status = tm_model_digest(checkpoint, hashed, &progress, &w->options.model, err);
    }
    tm_progress_finish(&progress);
    tm_checkpoint_close(&checkpoint);
    if (status == TM_OK) {
        tm_status found = tm_tokenizer_open(w->path, &w->tokenizer, err);
        status = found == TM_E_NOT_FOUND ? TM_OK : found;
    }
    return status;
}

static tm_status read_text(struct work *w, const char *path, struct tm_err *err)
{
    struct tm_text_options options = {
        .tokenizer = w->tokenizer,
        .model_path = w->path,
        .path = path,
        .built_in = tm_view_of(tm_calibration_text, tm_calibration_text_bytes),
        .what = what_failed};
    TM_TRY(tm_text_of(&options, &w->text, err));
    w->options.text = tm_digest_of(tm_buf_view(&w->text.bytes));
    w->options.ids = tm_text_ids(&w->text, &w->options.id_count);
    w->options.first_token = w->text.first_token;
    return TM_OK;
}

static tm_status choose_context(struct work *w, uint64_t asked, struct tm_err *err)
{
    uint32_t most = w->weights.arch.context;
    uint64_t context = asked > 0 ? asked : most < CONTEXT ? most : CONTEXT;
    if (context > most || context < 2) {
        return tm_err_set(err, TM_E_USAGE, "--context", what_failed,
                          "choose a number within the model's context",
                          "windows of %llu tokens are impossible: the model was made for at most "
                          "%lu",
                          (unsigned long long)context, (unsigned long)most);
    }
    w->options.context = (uint32_t)context;
    return TM_OK;
}

/* ---- running ---- */

static bool window_done(void *context, uint64_t done, uint64_t windows)
{
    struct work *w = context;
    char bytes[TM_NUM_TEXT], note[96];
    if (w->progress == NULL) {
        w->progress = tm_progress_new(&(struct tm_progress_options){
            .label = "calibrate",
            .total = windows * w->options.context,
            .unit = TM_PROGRESS_ITEMS,
            .item_name = "tokens",
            .quiet = w->quiet,
        });
    }
    snprintf(note, sizeof note, "memory at most %s", tm_format_bytes(w->plan.bytes, bytes));
    tm_progress_update(w->progress, done * w->options.context, note);
    return tm_stop_signal == 0;
}

static tm_status run_calibration(struct work *w, const char *out, struct tm_err *err)
{
    uint64_t began = tm_clock_ms(tm_clock_os());
    w->options.weights = &w->weights;
    w->options.out = out;
    w->options.progress = window_done;
    w->options.progress_context = w;
    tm_status status = tm_calibrate_plan(&w->options, &w->plan, err);
    if (status == TM_OK) {
        status = tm_calibrate(&w->options, err);
    }
    tm_progress_finish(&w->progress);
    w->took_ms += tm_clock_ms(tm_clock_os()) - began;
    return status;
}

static uint64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- showing ---- */

/* What a codec wants to know of an input before it trusts it. */
struct figures {
    double per_token;         /* energy of a token */
    double largest_to_median; /* of the columns' energies: how far from round it is */
    uint32_t dead;            /* columns without any energy */
    int finest, coarsest;     /* exponents */
};

static int ascending(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static tm_status figures_of(const struct tm_cal_input *input, struct figures *out)
{
    uint32_t cols = input->shape.cols;
    uint64_t tokens = input->count[TM_CAL_FIT].tokens;
    double *squares = tm_realloc_array(NULL, cols, sizeof *squares);
    if (squares == NULL) {
        return TM_E_NOMEM;
    }
    *out = (struct figures){.finest = -TM_CAL_EXPONENT_MAX, .coarsest = TM_CAL_EXPONENT_MAX};
    for (uint32_t i = 0; i < cols; i++) {
        int exponent = 1 * input->exponents[i]; /* a number, no character */
        squares[i] = tm_cal_input_square(input, TM_CAL_FIT, i);
        out->dead += squares[i] == 0.0;
        out->finest = exponent > out->finest ? exponent : out->finest;
        out->coarsest = exponent < out->coarsest ? exponent : out->coarsest;
    }
    out->per_token = tokens > 0 ? tm_cal_input_trace(input, TM_CAL_FIT) / (double)tokens : 0.0;
    qsort(squares, cols, sizeof *squares, ascending);
    double median = squares[(cols - 1) / 2];
    out->largest_to_median = median > 0.0 ? squares[cols - 1] / median : 0.0;
    tm_free(squares);
    return TM_OK;
}

static void print_input(uint32_t layer, enum tm_cal_kind kind, const struct tm_cal_input *input,
                        const struct figures *f)
{
    char energy[32], ratio[32];
    const struct tm_cal_count *fit = &input->count[TM_CAL_FIT];
    printf("%5lu  %-12s %6lu %6lu %9llu %9llu %6llu %8llu  2^%-4d 2^%-4d %10s %9s %5lu\n",
           (unsigned long)layer, tm_cal_kind_name(kind), (unsigned long)input->shape.cols,
           (unsigned long)input->shape.width, (unsigned long long)fit->tokens,
           (unsigned long long)input->count[TM_CAL_HELD].tokens, (unsigned long long)fit->sinks,
           (unsigned long long)(fit->clipped + input->count[TM_CAL_HELD].clipped), -f->finest,
           -f->coarsest, tm_cli_number(f->per_token, energy),
           tm_cli_number(f->largest_to_median, ratio), (unsigned long)f->dead);
}

static void json_input(struct tm_jw *jw, uint32_t layer, enum tm_cal_kind kind,
                       const struct tm_cal_input *input, const struct figures *f)
{
    tm_jw_object(jw, NULL);
    tm_jw_u64(jw, "layer", layer);
    tm_jw_str(jw, "input", tm_cal_kind_name(kind));
    tm_jw_u64(jw, "columns", input->shape.cols);
    tm_jw_u64(jw, "width", input->shape.width);
    tm_jw_u64(jw, "tokens", input->count[TM_CAL_FIT].tokens);
    tm_jw_u64(jw, "held_out_tokens", input->count[TM_CAL_HELD].tokens);
    tm_jw_u64(jw, "sinks", input->count[TM_CAL_FIT].sinks);
    tm_jw_u64(jw, "held_out_sinks", input->count[TM_CAL_HELD].sinks);
    tm_jw_u64(jw, "clipped", input->count[TM_CAL_FIT].clipped + input->count[TM_CAL_HELD].clipped);
    tm_jw_i64(jw, "exponent_max", f->finest);
    tm_jw_i64(jw, "exponent_min", f->coarsest);
    tm_jw_f64(jw, "energy_per_token", f->per_token);
    tm_jw_f64(jw, "largest_to_median", f->largest_to_median);
    tm_jw_u64(jw, "dead_columns", f->dead);
    tm_jw_object_end(jw);
}

static tm_status show_inputs(struct tm_cal_file *file, struct tm_jw *jw, struct tm_err *err)
{
    const struct tm_cal_header *h = tm_cal_file_header(file);
    for (uint32_t i = 0; i < h->layer_count * TM_CAL_KINDS; i++) {
        uint32_t layer = h->layer_first + i / TM_CAL_KINDS;
        enum tm_cal_kind kind = (enum tm_cal_kind)(i % TM_CAL_KINDS);
        struct tm_cal_input input;
        struct figures figures;
        TM_TRY(tm_cal_file_input(file, layer, kind, &input, err));
        tm_status status = figures_of(&input, &figures);
        if (status == TM_OK && jw != NULL) {
            json_input(jw, layer, kind, &input, &figures);
        } else if (status == TM_OK) {
            print_input(layer, kind, &input, &figures);
        }
        tm_cal_input_deinit(&input);
        TM_TRY(status);
    }
    return TM_OK;
}

static void print_header(const struct tm_cal_header *h)
{
    char hex[TM_DIGEST_TEXT];
    printf("model    %s, %s\n", h->arch, tm_digest_hex(&h->model, hex));
    printf("text     %s, %llu windows of %lu tokens\n", tm_digest_hex(&h->text, hex),
           (unsigned long long)h->windows, (unsigned long)h->context);
    printf("holds    layers %lu..%lu of %lu; windows", (unsigned long)h->layer_first,
           (unsigned long)(h->layer_first + h->layer_count), (unsigned long)h->layers);
    for (uint32_t i = 0; i < h->range_count; i++) {
        printf(" %llu..%llu", (unsigned long long)h->ranges[i].first,
               (unsigned long long)h->ranges[i].end);
    }
    printf("; each %luth held out\n", (unsigned long)h->held_every);
}

static void json_header(struct tm_jw *jw, const struct tm_cal_header *h)
{
    char hex[TM_DIGEST_TEXT];
    tm_jw_str(jw, "architecture", h->arch);
    tm_jw_str(jw, "model_sha256", tm_digest_hex(&h->model, hex));
    tm_jw_str(jw, "text_sha256", tm_digest_hex(&h->text, hex));
    tm_jw_str(jw, "tokens_sha256", tm_digest_hex(&h->ids, hex));
    tm_jw_u64(jw, "context", h->context);
    tm_jw_u64(jw, "text_windows", h->windows);
    tm_jw_u64(jw, "windows", tm_cal_windows_covered(h));
    tm_jw_u64(jw, "layers", h->layers);
    tm_jw_u64(jw, "layer_first", h->layer_first);
    tm_jw_u64(jw, "layer_count", h->layer_count);
    tm_jw_u64(jw, "held_out_every", h->held_every);
    tm_jw_array(jw, "window_ranges");
    for (uint32_t i = 0; i < h->range_count; i++) {
        tm_jw_array(jw, NULL);
        tm_jw_u64(jw, NULL, h->ranges[i].first);
        tm_jw_u64(jw, NULL, h->ranges[i].end);
        tm_jw_array_end(jw);
    }
    tm_jw_array_end(jw);
}

tm_status tm_cli_show_calibration(const char *path, bool json, struct tm_err *err)
{
    struct tm_cal_file *file = NULL;
    struct tm_envelope envelope = {0};
    TM_TRY(tm_cal_file_open(path, &file, err));
    tm_status status;
    if (json) {
        tm_envelope_begin(&envelope, "tmill.calibration/1");
        json_header(&envelope.jw, tm_cal_file_header(file));
        tm_jw_array(&envelope.jw, "inputs");
        status = show_inputs(file, &envelope.jw, err);
        tm_jw_array_end(&envelope.jw);
        status = status == TM_OK ? tm_envelope_end(&envelope, NULL, 0, err) : status;
        tm_envelope_drop(&envelope);
    } else {
        print_header(tm_cal_file_header(file));
        printf("%5s  %-12s %6s %6s %9s %9s %6s %8s  %-6s %-6s %10s %9s %5s\n", "layer", "input",
               "cols", "width", "tokens", "held out", "sinks", "clipped", "finest", "steps",
               "energy", "top/med", "dead");
        status = show_inputs(file, NULL, err);
    }
    tm_cal_file_close(&file);
    return status;
}

/* ---- making ---- */

static void print_made(const struct work *w)
{
    char a[32], bytes[TM_NUM_TEXT], peak[TM_NUM_TEXT], name[1024];
    uint64_t windows = w->options.window_end - w->options.window_first;
    uint64_t tokens = windows * w->options.context;
    printf("model    %s\n", tm_escape(w->path, strlen(w->path), name, sizeof name));
    printf("text     %s: windows %llu..%llu of %llu, %llu tokens\n",
           tm_escape(w->text.name, strlen(w->text.name), name, sizeof name),
           (unsigned long long)w->options.window_first, (unsigned long long)w->options.window_end,
           (unsigned long long)w->plan.windows, (unsigned long long)tokens);
    printf("memory   at most %s in %lu passes; peak of the program %s\n",
           tm_format_bytes(w->plan.bytes, bytes), (unsigned long)w->plan.passes,
           tm_format_bytes(peak_memory(), peak));
    printf("speed    %s tokens/s\n",
           tm_cli_number((double)tokens * 1000.0 / (double)(w->took_ms > 0 ? w->took_ms : 1), a));
    printf("written  %s\n", tm_escape(w->out, strlen(w->out), name, sizeof name));
}

static tm_status json_made(const struct work *w, struct tm_err *err)
{
    struct tm_envelope json;
    uint64_t windows = w->options.window_end - w->options.window_first;
    uint64_t tokens = windows * w->options.context;
    tm_envelope_begin(&json, "tmill.calibrate/1");
    tm_jw_str(&json.jw, "model", w->path);
    tm_jw_str(&json.jw, "text", w->text.name);
    tm_jw_str(&json.jw, "file", w->out);
    tm_jw_u64(&json.jw, "context", w->options.context);
    tm_jw_u64(&json.jw, "window_first", w->options.window_first);
    tm_jw_u64(&json.jw, "window_end", w->options.window_end);
    tm_jw_u64(&json.jw, "text_windows", w->plan.windows);
    tm_jw_u64(&json.jw, "tokens", tokens);
    tm_jw_u64(&json.jw, "passes", w->plan.passes);
    tm_jw_u64(&json.jw, "memory_bound_bytes", w->plan.bytes);
    tm_jw_u64(&json.jw, "peak_memory_bytes", peak_memory());
    tm_jw_u64(&json.jw, "milliseconds", w->took_ms);
    tm_jw_f64(&json.jw, "tokens_s",
              (double)tokens * 1000.0 / (double)(w->took_ms > 0 ? w->took_ms : 1));
    return tm_envelope_end(&json, NULL, 0, err);
}

/* The first windows, as many as --tokens asks for, unless --windows says which. */
static void choose_windows(struct work *w, bool given)
{
    uint64_t windows = tm_calibrate_windows(&w->options), context = w->options.context;
    uint64_t wanted = w->tokens / context + (w->tokens % context != 0);
    if (!given) {
        w->options.window_first = 0;
        w->options.window_end = w->tokens == 0 || wanted > windows ? windows : wanted;
    }
}

static tm_status warn_held(const struct work *w)
{
    uint64_t first = w->options.window_first, end = w->options.window_end;
    if (end / TM_CALIBRATE_HELD_EVERY == first / TM_CALIBRATE_HELD_EVERY && !w->quiet) {
        fprintf(stderr, "tmill: warning: no window is held out: only each %dth of the text's is\n",
                TM_CALIBRATE_HELD_EVERY);
    }
    return TM_OK;
}

static tm_status make(const struct tm_command *command, const struct tm_parsed *parsed,
                      struct work *w, struct tm_err *err)
{
    bool given;
    w->out = tm_opt_text(command, parsed, "output");
    if (w->out == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--output", what_failed, "name it with -o MODEL.tmcal",
                          "there is no name for the file to write");
    }
    TM_TRY(parse_windows(w, tm_opt_text(command, parsed, "windows"), &given, err));
    TM_TRY(read_model(w, tm_opt_text(command, parsed, "tensors-under"), err));
    TM_TRY(parse_layers(w, tm_opt_text(command, parsed, "layers"), err));
    TM_TRY(choose_context(w, tm_opt_u64(command, parsed, "context"), err));
    TM_TRY(read_text(w, tm_opt_text(command, parsed, "text"), err));
    choose_windows(w, given);
    TM_TRY(run_calibration(w, w->out, err));
    TM_TRY(warn_held(w));
    if (parsed->json) {
        return json_made(w, err);
    }
    print_made(w);
    return TM_OK;
}

/* ---- auditing ---- */

static tm_status report_checked(const char *path, const struct tm_cal_checked *checked, bool json,
                                struct tm_err *err)
{
    char name[1024];
    if (json) {
        struct tm_envelope envelope;
        tm_envelope_begin(&envelope, "tmill.calibrate.check/1");
        tm_jw_str(&envelope.jw, "file", path);
        tm_jw_u64(&envelope.jw, "windows", checked->windows);
        tm_jw_u64(&envelope.jw, "layers", checked->layers);
        tm_jw_bool(&envelope.jw, "sums", checked->sums);
        return tm_envelope_end(&envelope, NULL, 0, err);
    }
    printf("%s: %llu windows of %lu layers made again: the same inputs%s\n",
           tm_escape(path, strlen(path), name, sizeof name), (unsigned long long)checked->windows,
           (unsigned long)checked->layers,
           checked->sums ? " and sums, bit for bit" : "; the sums need all windows");
    return TM_OK;
}

static tm_status make_again(struct work *w, const struct tm_cal_header *h, bool given,
                            const char *again, struct tm_err *err)
{
    if (!given && h->range_count > 1) {
        return tm_err_set(err, TM_E_USAGE, "--windows", "cannot check the calibration",
                          "choose one of them with --windows",
                          "it holds %lu separate runs of windows", (unsigned long)h->range_count);
    }
    if (!given) {
        w->options.window_first = h->ranges[0].first;
        w->options.window_end = h->ranges[0].end;
    }
    return run_calibration(w, again, err);
}

static tm_status compare(struct tm_cal_file *claimed, const char *again,
                         const struct tm_parsed *parsed, struct tm_err *err)
{
    struct tm_cal_file *file = NULL;
    struct tm_cal_checked checked;
    TM_TRY(tm_cal_file_open(again, &file, err));
    tm_status status = tm_cal_check(claimed, file, &checked, err);
    tm_cal_file_close(&file);
    return status == TM_OK ? report_checked(tm_cal_file_path(claimed), &checked, parsed->json, err)
                           : status;
}

static tm_status audit(const struct tm_command *command, const struct tm_parsed *parsed,
                       struct work *w, const char *path, struct tm_err *err)
{
    struct tm_cal_file *claimed = NULL;
    char again[TM_PATH_MAX];
    bool given = false;
    TM_TRY(tm_cal_file_open(path, &claimed, err));
    const struct tm_cal_header *h = tm_cal_file_header(claimed);
    tm_status status = parse_windows(w, tm_opt_text(command, parsed, "windows"), &given, err);
    if (status == TM_OK) {
        status = read_model(w, tm_opt_text(command, parsed, "tensors-under"), err);
    }
    if (status == TM_OK && !tm_digest_eq(&w->options.model, &h->model)) {
        status = tm_err_set(err, TM_E_INCOMPATIBLE, path, "cannot check the calibration",
                            "give the model that it was made of", "it is of another model");
    }
    if (status == TM_OK) {
        status = read_text(w, tm_opt_text(command, parsed, "text"), err);
    }
    if (status == TM_OK) {
        w->options.layer_first = h->layer_first;
        w->options.layer_count = h->layer_count;
        w->options.context = h->context;
        w->options.width = h->width;
        status = tm_opt_text(command, parsed, "layers") != NULL
                     ? parse_layers(w, tm_opt_text(command, parsed, "layers"), err)
                     : TM_OK;
    }
    int n = snprintf(again, sizeof again, "%s.again", path);
    TM_ASSERT(n > 0);
    if (status == TM_OK) {
        status = make_again(w, h, given, again, err);
    }
    if (status == TM_OK) {
        status = compare(claimed, again, parsed, err);
        tm_status removed = tm_file_remove_in(NULL, again, NULL);
        status = status == TM_OK ? removed : status;
    }
    tm_cal_file_close(&claimed);
    return status;
}

/* ---- the command ---- */

static tm_status merge(const struct tm_command *command, const struct tm_parsed *parsed,
                       struct tm_err *err)
{
    const char *out = tm_opt_text(command, parsed, "output");
    char name[1024];
    if (out == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--output", "cannot merge calibrations",
                          "name it with -o ALL.tmcal", "there is no name for the file to write");
    }
    TM_TRY(tm_cal_merge(parsed->arguments, parsed->argument_count, out, err));
    if (parsed->json) {
        struct tm_envelope json;
        tm_envelope_begin(&json, "tmill.calibrate.merge/1");
        tm_jw_str(&json.jw, "file", out);
        tm_jw_u64(&json.jw, "merged", parsed->argument_count);
        return tm_envelope_end(&json, NULL, 0, err);
    }
    printf("written  %s\n", tm_escape(out, strlen(out), name, sizeof name));
    return TM_OK;
}

static tm_status run_calibrate(const struct tm_command *command, const struct tm_parsed *parsed,
                               struct tm_err *err)
{
    bool merging = tm_opt_flag(command, parsed, "merge");
    bool showing = tm_opt_flag(command, parsed, "show");
    const char *check = tm_opt_text(command, parsed, "check");
    if (merging + showing + (check != NULL) > 1 || (!merging && parsed->argument_count > 1)) {
        return tm_err_set(err, TM_E_USAGE, NULL, what_failed,
                          "give one MODEL, or --merge FILES, or --show FILE",
                          "the options and arguments do not go together");
    }
    if (merging) {
        return merge(command, parsed, err);
    }
    if (showing) {
        return tm_cli_show_calibration(parsed->arguments[0], parsed->json, err);
    }
    uint64_t memory = tm_opt_u64(command, parsed, "memory");
    uint64_t width = tm_opt_u64(command, parsed, "width");
    struct work w = {
        .path = parsed->arguments[0],
        .tokens = tm_opt_u64(command, parsed, "tokens"),
        .quiet = parsed->quiet,
        .options = {.width = width > TM_CAL_COLS_MAX ? TM_CAL_COLS_MAX : (uint32_t)width,
                    .memory = memory > 0 ? memory : tm_memory_bytes() / 2,
                    .threads = tm_opt_u64(command, parsed, "threads"),
                    .checkpoint_ms = tm_opt_u64(command, parsed, "checkpoint") * 1000}};
    tm_status status =
        check != NULL ? audit(command, parsed, &w, check, err) : make(command, parsed, &w, err);
    tm_weights_deinit(&w.weights);
    tm_tokenizer_destroy(&w.tokenizer);
    tm_text_deinit(&w.text);
    return status;
}

static const struct tm_option options[] = {
    {"output", 'o', TM_OPT_TEXT, "FILE", NULL, NULL, "the file to write, MODEL.tmcal"},
    {"text", 't', TM_OPT_TEXT, "FILE", NULL, NULL,
     "the text to calibrate with, UTF-8 [a built-in one]"},
    {"tokens", 'n', TM_OPT_U64, "N", NULL, "32768", "at most N tokens; 0: the whole text"},
    {"windows", 'w', TM_OPT_TEXT, "A..B", NULL, NULL,
     "these windows of the text: a shard, to be merged"},
    {"layers", 'l', TM_OPT_TEXT, "A..B", NULL, NULL, "these layers: a shard, to be merged"},
    {"context", 'c', TM_OPT_U64, "N", NULL, "0", "tokens of a window; 0: 512, or the model's most"},
    {"width", 0, TM_OPT_U64, "N", NULL, "4096",
     "most columns of a block of a covariance; 0: no limit"},
    {"memory", 'm', TM_OPT_SIZE, "SIZE", NULL, "0", "memory to use; 0: half of the machine's"},
    {"threads", 0, TM_OPT_U64, "N", NULL, "0", "threads; 0: one for each core"},
    {"checkpoint", 0, TM_OPT_U64, "SECONDS", NULL, "60", "between checkpoints; 0: each window"},
    {"merge", 0, TM_OPT_FLAG, NULL, NULL, NULL, "put the FILES together"},
    {"show", 0, TM_OPT_FLAG, NULL, NULL, NULL, "show what FILE holds, layer by layer"},
    {"check", 0, TM_OPT_TEXT, "FILE", NULL, NULL,
     "make FILE, or --windows or --layers of it, again and compare"},
    TM_CLI_TENSORS_UNDER,
    {0},
};
const struct tm_command tm_cmd_calibrate = {
    "calibrate",
    "MODEL|FILES",
    1,
    TM_ARGUMENTS_MAX,
    "gathers the inputs of a model's layers over a text",
    "Runs the model over a text and writes the covariance of the inputs of every linear layer, in\n"
    "exact integers: the same file, byte for byte, on every machine, with any number of threads,\n"
    "however often it was stopped, and whether it was made in one run or merged from shards.\n"
    "Tokens count by the inverse of their residual's energy; attention sinks are counted apart;\n"
    "each eighth window is held out. Stopped or killed, the same command goes on.",
    "  tmill calibrate model.gguf -o model.tmcal\n"
    "  tmill calibrate model.gguf -t text.txt --windows 0..16 -o a.tmcal\n"
    "  tmill calibrate --merge a.tmcal b.tmcal -o all.tmcal\n"
    "  tmill calibrate --show all.tmcal\n"
    "  tmill calibrate model.gguf -t text.txt --check all.tmcal --windows 3..5",
    options,
    run_calibrate,
};
