/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/speaker.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/tokenizer/token_stream.h"
#include "base/file.h"
#include "node/common/program.h"

#define CONTEXT 2048

static const char what_failed[] = "cannot run the model";

void tm_speaker_close(struct tm_speaker *speaker)
{
    tm_token_stream_destroy(&speaker->stream);
    tm_pass_destroy(&speaker->pass);
    tm_model_deinit(&speaker->model);
    tm_free(speaker->logits);
    tm_buf_deinit(&speaker->ids);
    *speaker = (struct tm_speaker){0};
}

static tm_status prepare(struct tm_speaker *s, const struct tm_speaker_options *options,
                         struct tm_err *err)
{
    uint64_t context = options->context;
    uint32_t most = s->model.weights.arch.context;
    context = context == 0 && most > CONTEXT ? CONTEXT : context;
    if (context > most) {
        return tm_err_set(err, TM_E_USAGE, "--context", what_failed, NULL,
                          "%llu tokens are too many: the model was made for at most %lu",
                          (unsigned long long)context, (unsigned long)most);
    }
    if (s->model.tokenizer == NULL) {
        return tm_err_set(err, TM_E_NOT_FOUND, s->path, what_failed,
                          "give the folder that has the model's tokenizer.json",
                          "the model has no tokenizer");
    }
    struct tm_pass_options pass = {.context = (uint32_t)context, .threads = options->threads};
    TM_TRY(tm_pass_new(&s->model.weights, &pass, &s->pass, err));
    tm_buf_init(&s->ids, (size_t)tm_pass_context(s->pass) * sizeof(uint32_t));
    s->logits = tm_realloc_array(NULL, tm_pass_vocab(s->pass), sizeof *s->logits);
    tm_status status =
        s->logits == NULL
            ? TM_E_NOMEM
            : tm_token_stream_new(s->model.tokenizer, TM_DETOKENIZE_SKIP_SPECIALS, &s->stream);
    return status == TM_OK
               ? TM_OK
               : tm_err_set(err, status, s->path, what_failed, NULL, "%s", tm_status_text(status));
}

tm_status tm_speaker_open(const struct tm_speaker_options *options, struct tm_speaker *out,
                          struct tm_err *err)
{
    *out = (struct tm_speaker){.path = options->path, .sampler = options->sampler};
    tm_status status = tm_model_of(options->path, options->under, &out->model, err);
    if (status == TM_OK) {
        status = prepare(out, options, err);
    }
    if (status != TM_OK) {
        tm_speaker_close(out);
    }
    return status;
}

uint32_t tm_speaker_context(const struct tm_speaker *speaker)
{
    return tm_pass_context(speaker->pass);
}

/* Puts tokens behind what is in the cache. */
static tm_status run(struct tm_speaker *s, const uint32_t *ids, uint32_t count, struct tm_err *err)
{
    TM_TRY(tm_pass_run(s->pass, ids, count, err));
    tm_status status = tm_buf_put(&s->ids, ids, count * sizeof *ids);
    if (status != TM_OK) {
        tm_pass_rewind(s->pass, tm_pass_position(s->pass) - count);
        return tm_err_set(err, status, s->path, what_failed, NULL, "%s", tm_status_text(status));
    }
    return TM_OK;
}

/* Of the ids that are in the cache, those that need not be read again. The last one must be: its
 * logits are wanted. */
static size_t common(const struct tm_speaker *s, const uint32_t *ids, size_t count)
{
    const uint32_t *have = (const uint32_t *)(const void *)s->ids.data;
    size_t most = s->ids.bytes / sizeof *have, at = 0;
    most = most < count - 1 ? most : count - 1;
    while (at < most && have[at] == ids[at]) {
        at++;
    }
    return at;
}

tm_status tm_speaker_read(struct tm_speaker *speaker, const uint32_t *ids, size_t count,
                          struct tm_err *err)
{
    TM_ASSERT(count > 0 && count < tm_speaker_context(speaker));
    uint64_t began = tm_clock_ms(tm_clock_os());
    size_t at = common(speaker, ids, count);
    tm_pass_rewind(speaker->pass, (uint32_t)at);
    speaker->ids.bytes = at * sizeof *ids;
    uint32_t n = 0;
    for (; at < count; at += n) {
        n = tm_pass_batch(speaker->pass);
        n = count - at < n ? (uint32_t)(count - at) : n;
        TM_TRY(run(speaker, ids + at, n, err));
        speaker->read += n;
        if (tm_stop_signal != 0) {
            return tm_err_set(err, TM_E_STOPPED, speaker->path, "stopped", NULL,
                              "asked to stop while reading the prompt");
        }
    }
    tm_pass_logits(speaker->pass, n - 1, 1, speaker->logits);
    speaker->read_ms += tm_clock_ms(tm_clock_os()) - began;
    return TM_OK;
}

/* ---- answers ---- */

/* What the stream made certain: where it is looked at, at once. */
static tm_status put_out(const struct tm_answer *answer, size_t from, struct tm_err *err)
{
    size_t bytes = answer->text->bytes - from;
    if (answer->out == NULL || bytes == 0) {
        return TM_OK;
    }
    if (fwrite(answer->text->data + from, 1, bytes, answer->out) != bytes ||
        fflush(answer->out) != 0) {
        return tm_err_set_os(err, errno, "standard output", "cannot write");
    }
    return TM_OK;
}

static tm_status write_tokens(struct tm_speaker *s, struct tm_answer *a, struct tm_err *err)
{
    const struct tm_tokenizer *tokenizer = s->model.tokenizer;
    uint32_t id;
    a->end = "length";
    while (a->tokens < a->most) {
        size_t from = a->text->bytes;
        TM_TRY(tm_sampler_next(&s->sampler, s->logits, tm_pass_vocab(s->pass), &id));
        if (id == a->end_id || tm_tokenizer_is_end(tokenizer, id)) {
            a->end = "end of text";
            break;
        }
        TM_TRY(tm_token_stream_put(s->stream, id, a->text, err));
        TM_TRY(put_out(a, from, err));
        a->tokens++;
        if (tm_pass_position(s->pass) == tm_pass_context(s->pass)) {
            a->end = "context";
            break;
        }
        if (tm_stop_signal != 0) {
            a->end = "stopped";
            return tm_err_set(err, TM_E_STOPPED, s->path, "stopped", NULL,
                              "asked to stop after %llu tokens", (unsigned long long)a->tokens);
        }
        if (a->tokens < a->most) {
            TM_TRY(run(s, &id, 1, err));
            tm_pass_logits(s->pass, 0, 1, s->logits);
        }
    }
    return TM_OK;
}

tm_status tm_speaker_answer(struct tm_speaker *speaker, struct tm_answer *answer,
                            struct tm_err *err)
{
    uint64_t began = tm_clock_ms(tm_clock_os());
    answer->tokens = 0;
    tm_status status = write_tokens(speaker, answer, err);
    speaker->written += answer->tokens;
    speaker->written_ms += tm_clock_ms(tm_clock_os()) - began;
    size_t from = answer->text->bytes;
    tm_status ended = tm_token_stream_end(speaker->stream, answer->text, err);
    if (ended == TM_OK) {
        ended = put_out(answer, from, err);
    }
    return status != TM_OK ? status : ended;
}
