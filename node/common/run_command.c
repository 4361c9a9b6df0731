/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/run_command.h"

#include <errno.h>

#include "base/num.h"
#include "node/common/envelope.h"
#include "node/common/run_chat.h"

#define PROMPT_BYTES_MAX (1u << 20)
#define TEXT_BYTES_MAX (64u << 20)
#define TOKENS 128

static const char what_failed[] = "cannot run the model";

struct work {
    struct tm_speaker_options options;
    struct tm_speaker speaker;
    const char *prompt; /* given with --prompt, or NULL */
    const char *system;
    struct tm_buf input, ids, text; /* input: the prompt; text: all that was written */
    uint64_t most;
    bool chat, json, quiet;
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
    struct tm_sampler *sampler = &w->options.sampler;
    uint64_t top_k = tm_opt_u64(command, parsed, "top-k");
    TM_TRY(read_number(command, parsed, "temperature", 100.0, &sampler->temperature, err));
    TM_TRY(read_number(command, parsed, "top-p", 1.0, &sampler->top_p, err));
    sampler->top_k = top_k > UINT32_MAX ? UINT32_MAX : (uint32_t)top_k;
    tm_rng_init(&sampler->rng, tm_opt_u64(command, parsed, "seed"));
    w->options.context = tm_opt_u64(command, parsed, "context");
    w->options.threads = tm_opt_u64(command, parsed, "threads");
    w->prompt = tm_opt_text(command, parsed, "prompt");
    w->system = tm_opt_text(command, parsed, "system");
    w->chat = tm_opt_flag(command, parsed, "chat");
    w->most = w->chat ? UINT64_MAX : TOKENS;
    if (tm_opt_text(command, parsed, "tokens") != NULL) {
        w->most = tm_opt_u64(command, parsed, "tokens");
    }
    w->json = parsed->json;
    w->quiet = parsed->quiet;
    if (w->system != NULL && !w->chat) {
        return tm_err_set(err, TM_E_USAGE, "--system", what_failed, "add --chat",
                          "only a conversation has a system message");
    }
    return TM_OK;
}

/* ---- a prompt ---- */

static tm_status encode_prompt(struct work *w, struct tm_err *err)
{
    TM_TRY(w->prompt == NULL ? read_stdin(&w->input, err) : tm_buf_put_str(&w->input, w->prompt));
    TM_TRY(tm_tokenizer_encode(w->speaker.model.tokenizer, tm_buf_view(&w->input),
                               TM_TOKENIZE_FRAME, &w->ids, err));
    size_t count = w->ids.bytes / sizeof(uint32_t);
    if (count == 0) {
        return tm_err_set(err, TM_E_USAGE, "--prompt", what_failed, "give some text to go on with",
                          "the prompt is empty, and the model has no token that begins a text");
    }
    if (count >= tm_speaker_context(&w->speaker)) {
        return tm_err_set(err, TM_E_USAGE, "--prompt", what_failed,
                          "give a shorter prompt, or a larger --context",
                          "it has %zu tokens, and the context %lu", count,
                          (unsigned long)tm_speaker_context(&w->speaker));
    }
    return TM_OK;
}

static double per_second(uint64_t count, uint64_t ms)
{
    return (double)count * 1000.0 / (double)(ms > 0 ? ms : 1);
}

static tm_status print_json(const struct work *w, const struct tm_answer *answer,
                            struct tm_err *err)
{
    const struct tm_speaker *s = &w->speaker;
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.run/1");
    tm_jw_str(&json.jw, "model", s->path);
    tm_jw_strn(&json.jw, "text", tm_buf_view(&w->text));
    tm_jw_str(&json.jw, "end", answer->end);
    tm_jw_u64(&json.jw, "prompt_tokens", s->read);
    tm_jw_u64(&json.jw, "tokens", s->written);
    tm_jw_f64(&json.jw, "prompt_tokens_s", per_second(s->read, s->read_ms));
    tm_jw_f64(&json.jw, "tokens_s", per_second(s->written, s->written_ms));
    tm_jw_u64(&json.jw, "load_ms", s->model.load_ms);
    return tm_envelope_end(&json, NULL, 0, err);
}

static tm_status go_on(struct work *w, struct tm_err *err)
{
    struct tm_speaker *s = &w->speaker;
    TM_TRY(encode_prompt(w, err));
    TM_TRY(tm_speaker_read(s, (const uint32_t *)(const void *)w->ids.data,
                           w->ids.bytes / sizeof(uint32_t), err));
    struct tm_answer answer = {.most = w->most,
                               .end_id = tm_tokenizer_eos(s->model.tokenizer),
                               .out = w->json ? NULL : stdout,
                               .text = &w->text};
    tm_status status = tm_speaker_answer(s, &answer, err);
    if (!w->json && w->text.bytes > 0) {
        putchar('\n');
    }
    TM_TRY(status);
    if (w->json) {
        return print_json(w, &answer, err);
    }
    if (!w->quiet) {
        fprintf(stderr, "%llu tokens at %.1f tokens/s, ended by %s\n",
                (unsigned long long)s->written, per_second(s->written, s->written_ms), answer.end);
    }
    return TM_OK;
}

tm_status tm_run_run(const struct tm_command *command, const struct tm_parsed *parsed,
                     const char *path, const char *under, struct tm_err *err)
{
    struct work w = {.options = {.path = path, .under = under}};
    tm_buf_init(&w.input, PROMPT_BYTES_MAX);
    tm_buf_init(&w.ids, PROMPT_BYTES_MAX * 2 * sizeof(uint32_t));
    tm_buf_init(&w.text, TEXT_BYTES_MAX);
    tm_status status = read_options(&w, command, parsed, err);
    if (status == TM_OK) {
        status = tm_speaker_open(&w.options, &w.speaker, err);
    }
    if (status == TM_OK) {
        struct tm_run_chat chat = {w.system, w.prompt, w.most, w.json, w.quiet};
        status = w.chat ? tm_run_chat(&w.speaker, &chat, err) : go_on(&w, err);
    }
    tm_speaker_close(&w.speaker);
    tm_buf_deinit(&w.input);
    tm_buf_deinit(&w.ids);
    tm_buf_deinit(&w.text);
    return status;
}
