/* SPDX-License-Identifier: Apache-2.0
 * eval: what a model or a package makes of a text, and how far it is from its source. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "model/pass/quality_gate.h"
#include "model/where.h"
#include "node/cli/cli.h"
#include "node/common/mini_text.h"
#include "node/common/model_of.h"

#define TEXT_BYTES_MAX ((size_t)1 << 28)
#define SPEED_TOKENS 32 /* generated to measure the speed */

struct speed {
    double prompt_tokens_s, generation_tokens_s;
    uint64_t first_token_ms;
    uint64_t prompt_tokens, generated;
};

struct work {
    const char *path, *base_path, *text_path;
    struct tm_model model, base;
    struct tm_pass *pass, *base_pass;
    struct tm_quality_options options;
    struct tm_buf text, ids;
    struct tm_progress *progress;
    struct tm_quality quality;
    struct tm_gate gate;
    struct speed speed;
    uint64_t tokens, threads;
};

static const char what_failed[] = "cannot measure the model";

/* ---- text to ids ---- */

static tm_status check_utf8(struct tm_view text, const char *name, struct tm_err *err)
{
    uint32_t code;
    for (size_t at = 0; at < text.bytes;) {
        size_t bytes = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        if (bytes == 0) {
            struct tm_where where;
            tm_where_byte(&where, name, at);
            return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed,
                              "convert the text to UTF-8", "the text is not UTF-8");
        }
        at += bytes;
    }
    return TM_OK;
}

static const uint32_t *ids_of(const struct work *w, size_t *count)
{
    *count = w->ids.bytes / sizeof(uint32_t);
    return (const uint32_t *)(const void *)w->ids.data;
}

/* The token that the model wants before a text, in each window. */
static tm_status find_first_token(struct work *w, struct tm_err *err)
{
    size_t count;
    TM_TRY(
        tm_tokenizer_encode(w->model.tokenizer, tm_view_str(""), TM_TOKENIZE_FRAME, &w->ids, err));
    const uint32_t *ids = ids_of(w, &count);
    w->options.first_token =
        count > 0 && ids[0] == tm_tokenizer_bos(w->model.tokenizer) ? ids[0] : TM_QUALITY_KEEP;
    tm_buf_clear(&w->ids);
    return TM_OK;
}

static tm_status read_text(struct work *w, struct tm_err *err)
{
    if (w->model.tokenizer == NULL) {
        return tm_err_set(err, TM_E_NOT_FOUND, w->path, what_failed,
                          "give the folder that has the model's tokenizer.json",
                          "the model has no tokenizer");
    }
    if (w->text_path == NULL) {
        w->text_path = "the built-in text";
        TM_TRY(tm_buf_put(&w->text, tm_mini_text, tm_mini_text_bytes));
    } else {
        TM_TRY(tm_file_read(w->text_path, &w->text, err));
    }
    TM_TRY(check_utf8(tm_buf_view(&w->text), w->text_path, err));
    TM_TRY(find_first_token(w, err));
    return tm_tokenizer_encode(w->model.tokenizer, tm_buf_view(&w->text), TM_TOKENIZE_FRAME,
                               &w->ids, err);
}

/* ---- measuring ---- */

static bool progress(void *context, uint64_t done, uint64_t windows)
{
    struct work *w = context;
    (void)windows;
    tm_progress_update(w->progress, done * w->options.context, NULL);
    return tm_stop_signal == 0;
}

static tm_status new_pass(const struct work *w, const struct tm_model *model, struct tm_pass **out,
                          struct tm_err *err)
{
    uint32_t context = w->options.context;
    return tm_pass_new(&model->weights,
                       &(struct tm_pass_options){.context = context, .threads = w->threads}, out,
                       err);
}

/* Time for a prompt of half a window and for some tokens behind it. */
static tm_status measure_speed(struct work *w, struct tm_err *err)
{
    size_t count;
    const uint32_t *ids = ids_of(w, &count);
    uint32_t prompt = w->options.context / 2, vocab = tm_pass_vocab(w->pass);
    uint32_t more = prompt < SPEED_TOKENS ? prompt : SPEED_TOKENS, at = 0, n = 0;
    float *logits = tm_realloc_array(NULL, vocab, sizeof *logits);
    tm_status status = logits != NULL
                           ? TM_OK
                           : tm_err_set(err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
    const struct tm_clock *clock = tm_clock_os();
    uint64_t began = tm_clock_ms(clock);
    tm_pass_rewind(w->pass, 0);
    for (; at < prompt && status == TM_OK; at += n) {
        n = prompt - at < tm_pass_batch(w->pass) ? prompt - at : tm_pass_batch(w->pass);
        status = tm_pass_run(w->pass, ids + at, n, err);
    }
    uint64_t middle = tm_clock_ms(clock);
    for (uint32_t i = 0; i < more && status == TM_OK; i++) {
        tm_pass_logits(w->pass, n - 1, 1, logits);
        w->speed.first_token_ms = i == 0 ? tm_clock_ms(clock) - began : w->speed.first_token_ms;
        n = 1;
        status = tm_pass_run(w->pass, ids + prompt + i, n, err);
    }
    uint64_t end = tm_clock_ms(clock);
    w->speed.prompt_tokens = prompt;
    w->speed.generated = more;
    w->speed.prompt_tokens_s = prompt * 1000.0 / (double)(middle > began ? middle - began : 1);
    w->speed.generation_tokens_s = more * 1000.0 / (double)(end > middle ? end - middle : 1);
    tm_free(logits);
    return status;
}

static tm_status measure(struct work *w, bool quiet, struct tm_err *err)
{
    size_t count;
    const uint32_t *ids = ids_of(w, &count);
    uint64_t windows = count / w->options.context;
    if (w->options.windows > 0 && w->options.windows < windows) {
        windows = w->options.windows;
    }
    TM_TRY(new_pass(w, &w->model, &w->pass, err));
    if (w->base_path != NULL) {
        TM_TRY(new_pass(w, &w->base, &w->base_pass, err));
    }
    w->progress = tm_progress_new(&(struct tm_progress_options){
        .label = "measure",
        .total = windows * w->options.context,
        .unit = TM_PROGRESS_ITEMS,
        .item_name = "tokens",
        .quiet = quiet,
    });
    w->options.progress = progress;
    w->options.progress_context = w;
    tm_status status =
        tm_quality_measure(w->pass, w->base_pass, ids, count, &w->options, &w->quality, err);
    tm_progress_finish(&w->progress);
    return status == TM_OK ? measure_speed(w, err) : status;
}

/* ---- output ---- */

static uint64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

static void print_text(const struct work *w)
{
    const struct tm_quality *q = &w->quality;
    char a[32], b[32], c[32], d[32], name[1024], size[TM_NUM_TEXT];
    printf("model        %s\n", tm_escape(w->path, strlen(w->path), name, sizeof name));
    printf("text         %s: %llu tokens scored in %llu windows of %lu\n",
           tm_escape(w->text_path, strlen(w->text_path), name, sizeof name),
           (unsigned long long)q->tokens, (unsigned long long)q->windows,
           (unsigned long)w->options.context);
    printf("perplexity   %s +- %s\n", tm_cli_number(q->perplexity, a),
           tm_cli_number(q->perplexity_error, b));
    if (q->has_base) {
        printf("base         %s, perplexity %s\n",
               tm_escape(w->base_path, strlen(w->base_path), name, sizeof name),
               tm_cli_number(q->base_perplexity, a));
        printf("ratio        %s +- %s of the base's perplexity\n", tm_cli_number(q->ratio, a),
               tm_cli_number(q->ratio_error, b));
        printf("divergence   mean %s, median %s, 99 %% %s, largest %s (KL, nats)\n",
               tm_cli_number(q->kl_mean, a), tm_cli_number(q->kl_median, b),
               tm_cli_number(q->kl_99, c), tm_cli_number(q->kl_max, d));
        printf("same top     %s %% of the tokens\n", tm_cli_number(100.0 * q->same_top, a));
    }
    printf("speed        prompt %s, generation %s tokens/s; first token after %llu ms\n",
           tm_cli_number(w->speed.prompt_tokens_s, a),
           tm_cli_number(w->speed.generation_tokens_s, b),
           (unsigned long long)w->speed.first_token_ms);
    printf("load         %llu ms; peak memory %s\n", (unsigned long long)w->model.load_ms,
           tm_format_bytes(peak_memory(), size));
}

static tm_status print_json(const struct work *w, struct tm_err *err)
{
    const struct tm_quality *q = &w->quality;
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.eval/1");
    struct tm_jw *jw = &json.jw;
    tm_jw_str(jw, "model", w->path);
    tm_jw_str(jw, "text", w->text_path);
    tm_jw_u64(jw, "context", w->options.context);
    tm_jw_u64(jw, "windows", q->windows);
    tm_jw_u64(jw, "tokens", q->tokens);
    tm_jw_f64(jw, "nll", q->nll);
    tm_jw_f64(jw, "nll_error", q->nll_error);
    tm_jw_f64(jw, "perplexity", q->perplexity);
    tm_jw_f64(jw, "perplexity_error", q->perplexity_error);
    if (q->has_base) {
        tm_jw_object(jw, "base");
        tm_jw_str(jw, "model", w->base_path);
        tm_jw_f64(jw, "nll", q->base_nll);
        tm_jw_f64(jw, "perplexity", q->base_perplexity);
        tm_jw_f64(jw, "ratio", q->ratio);
        tm_jw_f64(jw, "ratio_error", q->ratio_error);
        tm_jw_f64(jw, "kl_mean", q->kl_mean);
        tm_jw_f64(jw, "kl_error", q->kl_error);
        tm_jw_f64(jw, "kl_median", q->kl_median);
        tm_jw_f64(jw, "kl_99", q->kl_99);
        tm_jw_f64(jw, "kl_max", q->kl_max);
        tm_jw_f64(jw, "same_top", q->same_top);
        tm_jw_object_end(jw);
    }
    tm_jw_object(jw, "speed");
    tm_jw_f64(jw, "prompt_tokens_s", w->speed.prompt_tokens_s);
    tm_jw_f64(jw, "generation_tokens_s", w->speed.generation_tokens_s);
    tm_jw_u64(jw, "first_token_ms", w->speed.first_token_ms);
    tm_jw_u64(jw, "prompt_tokens", w->speed.prompt_tokens);
    tm_jw_u64(jw, "generated_tokens", w->speed.generated);
    tm_jw_object_end(jw);
    tm_jw_u64(jw, "load_ms", w->model.load_ms);
    tm_jw_u64(jw, "peak_memory_bytes", peak_memory());
    return tm_envelope_end(&json, NULL, 0, err);
}

/* ---- the command ---- */

static tm_status read_gate(struct work *w, const char *text, struct tm_err *err)
{
    if (text == NULL) {
        return TM_OK;
    }
    TM_TRY(tm_gate_parse(tm_view_str(text), &w->gate, err));
    if (w->base_path == NULL && tm_gate_needs_base(&w->gate)) {
        return tm_err_set(err, TM_E_USAGE, "--gate", what_failed,
                          "give the model that this one was made from with --base",
                          "the gate compares with a base, and there is none");
    }
    return TM_OK;
}

/* Beyond the context that a model was made for it says nothing that is worth a figure. */
static tm_status choose_context(struct work *w, struct tm_err *err)
{
    uint32_t most = w->model.weights.arch.context;
    if (w->options.context == 0) {
        w->options.context = most < TM_QUALITY_CONTEXT ? most / 2 * 2 : TM_QUALITY_CONTEXT;
    }
    if (w->options.context > most || w->options.context < 4 || w->options.context % 2 != 0) {
        return tm_err_set(
            err, TM_E_USAGE, "--context", what_failed,
            "choose an even number within the model's context",
            "windows of %lu tokens are impossible: the model was made for at most %lu",
            (unsigned long)w->options.context, (unsigned long)most);
    }
    w->options.windows = w->tokens / w->options.context + (w->tokens % w->options.context != 0);
    return TM_OK;
}

static tm_status run_work(struct work *w, const char *under, bool quiet, struct tm_err *err)
{
    TM_TRY(tm_model_of(w->path, under, &w->model, err));
    TM_TRY(choose_context(w, err));
    if (w->base_path != NULL) {
        TM_TRY(tm_model_of(w->base_path, under, &w->base, err));
    }
    TM_TRY(read_text(w, err));
    return measure(w, quiet, err);
}

static tm_status run_eval(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    uint64_t context = tm_opt_u64(command, parsed, "context");
    struct work w = {.path = parsed->arguments[0],
                     .base_path = tm_opt_text(command, parsed, "base"),
                     .text_path = tm_opt_text(command, parsed, "text"),
                     .tokens = tm_opt_u64(command, parsed, "tokens"),
                     .threads = tm_opt_u64(command, parsed, "threads")};
    w.options.context = context > UINT32_MAX ? UINT32_MAX : (uint32_t)context;
    tm_buf_init(&w.text, TEXT_BYTES_MAX);
    tm_buf_init(&w.ids, TEXT_BYTES_MAX * sizeof(uint32_t));
    tm_status status = read_gate(&w, tm_opt_text(command, parsed, "gate"), err);
    if (status == TM_OK) {
        status = run_work(&w, tm_opt_text(command, parsed, "tensors-under"), parsed->quiet, err);
    }
    if (status == TM_OK) {
        status = tm_gate_check(&w.gate, &w.quality, w.path, err);
    }
    if (status == TM_OK && parsed->json) {
        status = print_json(&w, err);
    } else if (status == TM_OK) {
        print_text(&w);
    }
    tm_pass_destroy(&w.pass);
    tm_pass_destroy(&w.base_pass);
    tm_model_deinit(&w.model);
    tm_model_deinit(&w.base);
    tm_buf_deinit(&w.text);
    tm_buf_deinit(&w.ids);
    return status;
}

static const struct tm_option options[] = {
    {"base", 'b', TM_OPT_TEXT, "MODEL", NULL, NULL, "compare with the model that it came from"},
    {"text", 't', TM_OPT_TEXT, "FILE", NULL, NULL,
     "the text to measure with, UTF-8 [a built-in one]"},
    {"tokens", 'n', TM_OPT_U64, "N", NULL, "0", "measure at most N tokens; 0: the whole text"},
    {"context", 'c', TM_OPT_U64, "N", NULL, "0", "tokens of a window; 0: 512, or the model's most"},
    {"gate", 'g', TM_OPT_TEXT, "GATE", NULL, NULL, "exit 7 unless the figures keep these bounds"},
    {"threads", 0, TM_OPT_U64, "N", NULL, "0", "threads; 0: one for each core"},
    TM_CLI_TENSORS_UNDER,
    {0},
};
const struct tm_command tm_cmd_eval = {
    "eval",
    "MODEL|PKG",
    1,
    1,
    "measures the quality of a model or a package",
    "Runs the model over a text and prints its perplexity; with --base also how far it is from "
    "its\n"
    "source: KL divergence, perplexity ratio, and how often both expect the same next token.\n"
    "Windows and scoring are those of llama.cpp's perplexity tool: windows of --context tokens,\n"
    "each scored in its second half. The figures are the same to the last digit on every machine\n"
    "and for every number of threads; speed, load time and memory are of this one.\n"
    "A gate is a list of bounds on kld, kld99, top1, ppl (with x: the ratio to the base's):\n"
    "kld<0.05,ppl<1.05x,top1>0.9.",
    "  tmill eval model.gguf\n"
    "  tmill eval model.tmpk --base model.gguf --text wiki.txt --tokens 20000 --json\n"
    "  tmill eval model.tmpk --base model.gguf --gate 'kld<0.05,ppl<1.05x'",
    options,
    run_eval,
};
