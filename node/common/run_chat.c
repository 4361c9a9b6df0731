/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/run_chat.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/tokenizer/chat.h"
#include "node/common/envelope.h"
#include "node/common/line_reader.h"
#include "node/common/program.h"

#define LINE_BYTES_MAX (1u << 20)
#define TEXT_BYTES_MAX (64u << 20)
#define IDS_BYTES_MAX (64u << 20)

static const char what_failed[] = "cannot go on with the conversation";

struct turn {
    const char *role;
    size_t from, to; /* in texts */
};

struct talk {
    struct tm_speaker *speaker;
    const struct tm_run_chat *options;
    struct tm_chat chat;
    struct tm_buf texts; /* of all messages */
    struct tm_buf turns; /* struct turn each */
    struct tm_buf ids;   /* of the conversation so far, u32 each */
    struct tm_envelope json;
    uint64_t answers;
    bool terminal; /* somebody types */
};

/* ---- what was said ---- */

static size_t turn_count(const struct talk *t)
{
    return t->turns.bytes / sizeof(struct turn);
}

static struct tm_view said(const struct talk *t, const struct turn *turn)
{
    return tm_view_of(t->texts.data + turn->from, turn->to - turn->from);
}

/* The text of the turn is what was put into texts from `from` on. */
static tm_status add_turn(struct talk *t, const char *role, size_t from)
{
    struct turn turn = {role, from, t->texts.bytes};
    return tm_buf_put(&t->turns, &turn, sizeof turn);
}

static tm_status say(struct talk *t, const char *role, struct tm_view text)
{
    size_t from = t->texts.bytes;
    TM_TRY(tm_buf_put(&t->texts, text.data, text.bytes));
    return add_turn(t, role, from);
}

/* As if the last turn had not been. */
static void unsay(struct talk *t)
{
    const struct turn *turns = (const struct turn *)(const void *)t->turns.data;
    t->texts.bytes = turns[turn_count(t) - 1].from;
    t->turns.bytes -= sizeof(struct turn);
}

/* The ids of the conversation, up to where the model's answer begins. */
static tm_status render(struct talk *t, struct tm_err *err)
{
    const struct turn *turns = (const struct turn *)(const void *)t->turns.data;
    size_t count = turn_count(t);
    struct tm_chat_message *messages = tm_calloc(count, sizeof *messages);
    if (messages == NULL) {
        return tm_err_set(err, TM_E_NOMEM, t->speaker->path, what_failed, NULL, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct tm_chat_message){tm_view_str(turns[i].role), said(t, &turns[i])};
    }
    struct tm_chat_options options = {.messages = messages, .count = count, .reply = true};
    tm_buf_clear(&t->ids);
    tm_status status =
        tm_chat_encode(&t->chat, t->speaker->model.tokenizer, &options, &t->ids, err);
    tm_free(messages);
    return status;
}

/* ---- a turn ---- */

static tm_status is_full(const struct talk *t, struct tm_err *err)
{
    return tm_err_set(err, TM_E_USAGE, t->speaker->path, what_failed,
                      "begin a new one, or ask for a longer --context",
                      "the context of %lu tokens is full",
                      (unsigned long)tm_speaker_context(t->speaker));
}

static void report(struct talk *t, const struct tm_answer *answer, uint64_t read, size_t from)
{
    struct tm_jw *jw = &t->json.jw;
    const uint32_t *ids = (const uint32_t *)(const void *)t->ids.data;
    tm_jw_object(jw, NULL);
    tm_jw_strn(jw, "text", tm_view_of(t->texts.data + from, t->texts.bytes - from));
    tm_jw_str(jw, "end", answer->end);
    tm_jw_u64(jw, "read_tokens", read);
    tm_jw_u64(jw, "tokens", answer->tokens);
    tm_jw_array(jw, "context_ids"); /* all that the model had in mind, new or kept */
    for (size_t i = 0; i < t->ids.bytes / sizeof *ids; i++) {
        tm_jw_u64(jw, NULL, ids[i]);
    }
    tm_jw_array_end(jw);
    tm_jw_object_end(jw);
}

/* Reads the conversation and puts the answer behind it; stopped: what there is of it, which may be
 * nothing. */
static tm_status answer(struct talk *t, struct tm_answer *answer, struct tm_err *err)
{
    size_t count = t->ids.bytes / sizeof(uint32_t);
    if (count >= tm_speaker_context(t->speaker)) {
        return is_full(t, err);
    }
    TM_TRY(tm_speaker_read(t->speaker, (const uint32_t *)(const void *)t->ids.data, count, err));
    tm_status status = tm_speaker_answer(t->speaker, answer, err);
    if (answer->tokens > 0 && !t->options->json) {
        putchar('\n');
        fflush(stdout);
    }
    return status;
}

static tm_status take_turn(struct talk *t, struct tm_view text, struct tm_err *err)
{
    TM_TRY(say(t, "user", text));
    TM_TRY(render(t, err));
    size_t from = t->texts.bytes;
    uint64_t read = t->speaker->read;
    struct tm_answer reply = {.most = t->options->most,
                              .end_id = tm_chat_end(&t->chat, t->speaker->model.tokenizer),
                              .out = t->options->json ? NULL : stdout,
                              .text = &t->texts,
                              .end = ""};
    tm_status status = answer(t, &reply, err);
    bool stopped = status == TM_E_STOPPED && t->terminal && tm_stop_signal == SIGINT;
    if (stopped) {
        tm_stop_signal = 0;
    } else if (status != TM_OK) {
        return status;
    }
    if (stopped && reply.tokens == 0) {
        unsay(t);
        return TM_OK;
    }
    TM_TRY(add_turn(t, "assistant", from));
    t->answers++;
    if (t->options->json) {
        report(t, &reply, t->speaker->read - read, from);
    }
    return strcmp(reply.end, "context") == 0 ? is_full(t, err) : TM_OK;
}

/* ---- the conversation ---- */

static void ask(const struct talk *t)
{
    if (t->terminal) {
        fputs("> ", stderr);
        fflush(stderr);
    }
}

static tm_status take_turns(struct talk *t, struct tm_line_reader *lines, struct tm_err *err)
{
    for (;;) {
        struct tm_view line;
        ask(t);
        tm_status status = tm_line_reader_next(lines, &line, err);
        if (status == TM_E_STOPPED && t->terminal && tm_stop_signal == SIGINT) {
            tm_stop_signal = 0;
            fputs("\n(Ctrl-D ends the conversation)\n", stderr);
            continue;
        }
        if (status == TM_E_NOTHING) {
            fputs(t->terminal ? "\n" : "", stderr);
            return TM_OK;
        }
        TM_TRY(status);
        if (line.bytes > 0) {
            TM_TRY(take_turn(t, line, err));
        }
    }
}

static tm_status converse(struct talk *t, struct tm_err *err)
{
    const struct tm_run_chat *o = t->options;
    if (o->system != NULL) {
        TM_TRY(say(t, "system", tm_view_str(o->system)));
    }
    if (o->prompt != NULL) {
        return take_turn(t, tm_view_str(o->prompt), err);
    }
    struct tm_line_reader lines;
    tm_line_reader_init(&lines, STDIN_FILENO, LINE_BYTES_MAX);
    t->terminal = isatty(STDIN_FILENO) != 0;
    tm_status status = take_turns(t, &lines, err);
    tm_line_reader_deinit(&lines);
    return status;
}

static tm_status find_template(struct talk *t, struct tm_err *err)
{
    struct tm_view template;
    if (!tm_tokenizer_chat_template(t->speaker->model.tokenizer, &template)) {
        return tm_err_set(err, TM_E_NOT_FOUND, t->speaker->path, "cannot chat with the model",
                          "run it without --chat", "the model has no chat template");
    }
    tm_status status = tm_chat_recognise(template, &t->chat, err);
    if (status != TM_OK) {
        tm_err_prefix(err, t->speaker->path);
    }
    return status;
}

static tm_status finish(struct talk *t, struct tm_err *err)
{
    const struct tm_speaker *s = t->speaker;
    double written_s = (double)(s->written_ms > 0 ? s->written_ms : 1) / 1000.0;
    double read_s = (double)(s->read_ms > 0 ? s->read_ms : 1) / 1000.0;
    if (t->options->json) {
        tm_jw_array_end(&t->json.jw);
        tm_jw_f64(&t->json.jw, "prompt_tokens_s", (double)s->read / read_s);
        tm_jw_f64(&t->json.jw, "tokens_s", (double)s->written / written_s);
        tm_jw_u64(&t->json.jw, "load_ms", s->model.load_ms);
        return tm_envelope_end(&t->json, NULL, 0, err);
    }
    if (!t->options->quiet) {
        fprintf(stderr, "%llu answers, %llu tokens at %.1f tokens/s\n",
                (unsigned long long)t->answers, (unsigned long long)s->written,
                (double)s->written / written_s);
    }
    return TM_OK;
}

tm_status tm_run_chat(struct tm_speaker *speaker, const struct tm_run_chat *options,
                      struct tm_err *err)
{
    struct talk t = {.speaker = speaker, .options = options};
    TM_TRY(find_template(&t, err));
    tm_buf_init(&t.texts, TEXT_BYTES_MAX);
    tm_buf_init(&t.turns, TM_CHAT_MESSAGES_MAX * sizeof(struct turn));
    tm_buf_init(&t.ids, IDS_BYTES_MAX);
    if (options->json) {
        tm_envelope_begin(&t.json, "tmill.chat/1");
        tm_jw_str(&t.json.jw, "model", speaker->path);
        tm_jw_str(&t.json.jw, "template", tm_chat_name(&t.chat));
        tm_jw_array(&t.json.jw, "turns");
    }
    tm_status status = converse(&t, err);
    if (status == TM_OK) {
        status = finish(&t, err);
    }
    tm_envelope_drop(&t.json);
    tm_buf_deinit(&t.texts);
    tm_buf_deinit(&t.turns);
    tm_buf_deinit(&t.ids);
    return status;
}
