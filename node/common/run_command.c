/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/run_command.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/pass/sampler.h"
#include "model/tokenizer/token_stream.h"
#include "node/common/envelope.h"
#include "node/common/model_of.h"
#include "node/common/program.h"

#define PROMPT_BYTES_MAX (1u << 20)
#define TEXT_BYTES_MAX (64u << 20)
#define CONTEXT 2048

static const char what_failed[] = "cannot run the model";

struct work {
    const char *path;
    struct tm_model model;
    struct tm_pass *pass;
    struct tm_sampler sampler;
    struct tm_token_stream *stream;
    struct tm_buf prompt, ids, text; /* ids: of the prompt; text: all that was written */
    float *logits;
    uint64_t most, written;
    uint64_t prompt_ms, write_ms;
    const char *end; /* why the text ends */
    bool json;
};

/* ---- options ---- */

static tm_status read_number(const struct tm_command *command, const struct tm_parsed *parsed,
                             const char *name, double max, double *out, struct tm_err *err)
{
    const char *text = tm_opt_text(command, parsed, name);
    if (tm_parse_f64(tm_view_str(text), out) != TM_OK || !(*out >= 0.0) || !(*out <= max)) {
        char where[32];
        snprintf(where, sizeof where, "--%s", name);
        return tm_err_set(err, TM_E_USAGE, where, what_failed, NULL,
                          "'%s' is no number from 0 to %g", text, max);
    }
    return TM_OK;
}

static tm_status read_stdin(struct tm_buf *out, struct tm_err *err)
{
    uint8_t piece[4096];
    size_t count;
    while ((count = fread(piece, 1, sizeof piece, stdin)) > 0) {
        tm_status status = tm_buf_put(out, piece, count);
        if (status != TM_OK) {
            return tm_err_set(err, status, "standard input", "cannot read", "give a shorter prompt",
                              "more than %zu bytes, or no memory for them", out->max_bytes);
        }
    }
    return ferror(stdin) ? tm_err_set_os(err, errno, "standard input", "cannot read") : TM_OK;
}

static tm_status read_options(struct work *w, const struct tm_command *command,
                              const struct tm_parsed *parsed, struct tm_err *err)
{
    const char *prompt = tm_opt_text(command, parsed, "prompt");
    uint64_t top_k = tm_opt_u64(command, parsed, "top-k");
    TM_TRY(read_number(command, parsed, "temperature", 100.0, &w->sampler.temperature, err));
    TM_TRY(read_number(command, parsed, "top-p", 1.0, &w->sampler.top_p, err));
    w->sampler.top_k = top_k > UINT32_MAX ? UINT32_MAX : (uint32_t)top_k;
    w->most = tm_opt_u64(command, parsed, "tokens");
    w->json = parsed->json;
    tm_rng_init(&w->sampler.rng, tm_opt_u64(command, parsed, "seed"));
    return prompt == NULL ? read_stdin(&w->prompt, err) : tm_buf_put_str(&w->prompt, prompt);
}

/* ---- the model ---- */

static const uint32_t *prompt_ids(const struct work *w, size_t *count)
{
    *count = w->ids.bytes / sizeof(uint32_t);
    return (const uint32_t *)(const void *)w->ids.data;
}

static tm_status encode_prompt(struct work *w, struct tm_err *err)
{
    size_t count;
    if (w->model.tokenizer == NULL) {
        return tm_err_set(err, TM_E_NOT_FOUND, w->path, what_failed,
                          "give the folder that has the model's tokenizer.json",
                          "the model has no tokenizer");
    }
    TM_TRY(tm_tokenizer_encode(w->model.tokenizer, tm_buf_view(&w->prompt), TM_TOKENIZE_FRAME,
                               &w->ids, err));
    (void)prompt_ids(w, &count);
    if (count == 0) {
        return tm_err_set(err, TM_E_USAGE, "--prompt", what_failed, "give some text to go on with",
                          "the prompt is empty, and the model has no token that begins a text");
    }
    return TM_OK;
}

static tm_status load(struct work *w, const struct tm_command *command,
                      const struct tm_parsed *parsed, const char *under, struct tm_err *err)
{
    TM_TRY(tm_model_of(w->path, under, &w->model, err));
    uint64_t context = tm_opt_u64(command, parsed, "context");
    uint32_t most = w->model.weights.arch.context;
    context = context == 0 && most > CONTEXT ? CONTEXT : context;
    if (context > most) {
        return tm_err_set(err, TM_E_USAGE, "--context", what_failed, NULL,
                          "%llu tokens are too many: the model was made for at most %lu",
                          (unsigned long long)context, (unsigned long)most);
    }
    TM_TRY(encode_prompt(w, err));
    struct tm_pass_options options = {.context = (uint32_t)context,
                                      .threads = tm_opt_u64(command, parsed, "threads")};
    TM_TRY(tm_pass_new(&w->model.weights, &options, &w->pass, err));
    w->logits = tm_realloc_array(NULL, tm_pass_vocab(w->pass), sizeof *w->logits);
    if (w->logits == NULL) {
        return tm_err_set(err, TM_E_NOMEM, w->path, what_failed, NULL, "out of memory");
    }
    return tm_token_stream_new(w->model.tokenizer, TM_DETOKENIZE_SKIP_SPECIALS, &w->stream);
}

/* Leaves the logits behind the last token of the prompt. */
static tm_status read_prompt(struct work *w, struct tm_err *err)
{
    size_t count;
    const uint32_t *ids = prompt_ids(w, &count);
    if (count >= tm_pass_context(w->pass)) {
        return tm_err_set(err, TM_E_USAGE, "--prompt", what_failed,
                          "give a shorter prompt, or a larger --context",
                          "it has %zu tokens, and the context %lu", count,
                          (unsigned long)tm_pass_context(w->pass));
    }
    uint32_t n = 0;
    for (size_t at = 0; at < count; at += n) {
        n = tm_pass_batch(w->pass);
        n = count - at < n ? (uint32_t)(count - at) : n;
        TM_TRY(tm_pass_run(w->pass, ids + at, n, err));
        if (tm_stop_signal != 0) {
            return tm_err_set(err, TM_E_STOPPED, w->path, "stopped", NULL,
                              "asked to stop while reading the prompt");
        }
    }
    tm_pass_logits(w->pass, n - 1, 1, w->logits);
    return TM_OK;
}

/* ---- writing ---- */

/* What the stream made certain: on the terminal at once, and kept. */
static tm_status put_out(struct work *w, size_t from, struct tm_err *err)
{
    size_t bytes = w->text.bytes - from;
    if (w->json || bytes == 0) {
        return TM_OK;
    }
    if (fwrite(w->text.data + from, 1, bytes, stdout) != bytes || fflush(stdout) != 0) {
        return tm_err_set_os(err, errno, "standard output", "cannot write");
    }
    return TM_OK;
}

static tm_status write_token(struct work *w, uint32_t id, struct tm_err *err)
{
    size_t from = w->text.bytes;
    TM_TRY(tm_token_stream_put(w->stream, id, &w->text, err));
    TM_TRY(put_out(w, from, err));
    w->written++;
    return TM_OK;
}

static tm_status write_tokens(struct work *w, struct tm_err *err)
{
    uint32_t vocab = tm_pass_vocab(w->pass), eos = tm_tokenizer_eos(w->model.tokenizer), id;
    w->end = "length";
    while (w->written < w->most) {
        TM_TRY(tm_sampler_next(&w->sampler, w->logits, vocab, &id));
        if (id == eos) {
            w->end = "end of text";
            break;
        }
        TM_TRY(write_token(w, id, err));
        if (tm_pass_position(w->pass) == tm_pass_context(w->pass)) {
            w->end = "context";
            break;
        }
        if (tm_stop_signal != 0) {
            return tm_err_set(err, TM_E_STOPPED, w->path, "stopped", NULL,
                              "asked to stop after %llu tokens", (unsigned long long)w->written);
        }
        TM_TRY(tm_pass_run(w->pass, &id, 1, err));
        tm_pass_logits(w->pass, 0, 1, w->logits);
    }
    size_t from = w->text.bytes;
    TM_TRY(tm_token_stream_end(w->stream, &w->text, err));
    return put_out(w, from, err);
}

static tm_status generate(struct work *w, struct tm_err *err)
{
    const struct tm_clock *clock = tm_clock_os();
    uint64_t began = tm_clock_ms(clock);
    TM_TRY(read_prompt(w, err));
    uint64_t middle = tm_clock_ms(clock);
    tm_status status = write_tokens(w, err);
    w->prompt_ms = middle - began;
    w->write_ms = tm_clock_ms(clock) - middle;
    if (!w->json && w->text.bytes > 0) {
        putchar('\n');
    }
    return status;
}

static double per_second(uint64_t count, uint64_t ms)
{
    return (double)count * 1000.0 / (double)(ms > 0 ? ms : 1);
}

static tm_status print_json(const struct work *w, struct tm_err *err)
{
    struct tm_envelope json;
    size_t count;
    (void)prompt_ids(w, &count);
    tm_envelope_begin(&json, "tmill.run/1");
    tm_jw_str(&json.jw, "model", w->path);
    tm_jw_strn(&json.jw, "text", tm_buf_view(&w->text));
    tm_jw_str(&json.jw, "end", w->end);
    tm_jw_u64(&json.jw, "prompt_tokens", count);
    tm_jw_u64(&json.jw, "tokens", w->written);
    tm_jw_f64(&json.jw, "prompt_tokens_s", per_second(count, w->prompt_ms));
    tm_jw_f64(&json.jw, "tokens_s", per_second(w->written, w->write_ms));
    tm_jw_u64(&json.jw, "load_ms", w->model.load_ms);
    return tm_envelope_end(&json, NULL, 0, err);
}

tm_status tm_run_run(const struct tm_command *command, const struct tm_parsed *parsed,
                     const char *path, const char *under, struct tm_err *err)
{
    struct work w = {.path = path};
    tm_buf_init(&w.prompt, PROMPT_BYTES_MAX);
    tm_buf_init(&w.ids, PROMPT_BYTES_MAX * 2 * sizeof(uint32_t));
    tm_buf_init(&w.text, TEXT_BYTES_MAX);
    tm_status status = read_options(&w, command, parsed, err);
    if (status == TM_OK) {
        status = load(&w, command, parsed, under, err);
    }
    if (status == TM_OK) {
        status = generate(&w, err);
    }
    if (status == TM_OK && parsed->json) {
        status = print_json(&w, err);
    } else if (status == TM_OK && !parsed->quiet) {
        fprintf(stderr, "%llu tokens at %.1f tokens/s, ended by %s\n",
                (unsigned long long)w.written, per_second(w.written, w.write_ms), w.end);
    }
    tm_token_stream_destroy(&w.stream);
    tm_pass_destroy(&w.pass);
    tm_model_deinit(&w.model);
    tm_free(w.logits);
    tm_buf_deinit(&w.prompt);
    tm_buf_deinit(&w.ids);
    tm_buf_deinit(&w.text);
    return status;
}
