/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/chat.h"

#include <string.h>

#include "base/utf8.h"
#include "model/tokenizer/normalize.h"
#include "model/tokenizer/pieces.h"
#include "model/tokenizer/repair.h"

static const char what_failed[] = "cannot render the conversation";

const char *tm_chat_name(const struct tm_chat *chat)
{
    static const char *const names[] = {"ChatML", "Qwen3", "Llama 2", "Llama 3", "Gemma"};
    return names[chat->family];
}

void tm_chat_text_init(struct tm_chat_text *text)
{
    tm_buf_init(&text->text, TM_PIECES_TEXT_MAX);
    tm_buf_init(&text->spans, TM_CHAT_MESSAGES_MAX * 4 * sizeof(struct tm_text_span));
}

void tm_chat_text_deinit(struct tm_chat_text *text)
{
    tm_buf_deinit(&text->text);
    tm_buf_deinit(&text->spans);
}

/* ---- texts ---- */

/* Python's str.isspace, which is Unicode's White_Space and four separators of ASCII. */
static bool is_blank(uint32_t code)
{
    return tm_is_space(code) || (code >= 0x1c && code <= 0x1f);
}

static bool is_newline(uint32_t code)
{
    return code == '\n';
}

typedef bool is_trimmed(uint32_t code);

static struct tm_view trim_start(struct tm_view text, is_trimmed *is)
{
    uint32_t code;
    while (text.bytes > 0) {
        size_t length = tm_utf8_decode((const char *)text.data, text.bytes, &code);
        if (length == 0 || !is(code)) {
            break;
        }
        text = tm_view_of(text.data + length, text.bytes - length);
    }
    return text;
}

static struct tm_view trim_end(struct tm_view text, is_trimmed *is)
{
    uint32_t code;
    while (text.bytes > 0) {
        size_t at = text.bytes - 1;
        while (at > 0 && (text.data[at] & 0xc0) == 0x80) {
            at--;
        }
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        if (length == 0 || !is(code)) {
            break;
        }
        text.bytes = at;
    }
    return text;
}

static struct tm_view trim(struct tm_view text)
{
    return trim_end(trim_start(text, is_blank), is_blank);
}

/* What stands behind the last `word`, or all. */
static struct tm_view behind_last(struct tm_view text, const char *word)
{
    size_t bytes = strlen(word);
    for (size_t at = text.bytes; at >= bytes && at > 0; at--) {
        if (memcmp(text.data + at - bytes, word, bytes) == 0) {
            return tm_view_of(text.data + at, text.bytes - at);
        }
    }
    return text;
}

/* What stands before the first `word`, or all. */
static struct tm_view before_first(struct tm_view text, const char *word)
{
    const uint8_t *found =
        text.bytes > 0 ? memmem(text.data, text.bytes, word, strlen(word)) : NULL;
    return found == NULL ? text : tm_view_of(text.data, (size_t)(found - text.data));
}

/* ---- putting out ---- */

struct renderer {
    const struct tm_chat *chat;
    const struct tm_chat_options *options;
    struct tm_chat_text *out;
    struct tm_buf contents;     /* all messages, repaired */
    struct tm_buf message_ends; /* size_t each: where they end in contents */
    struct tm_err *err;
};

static struct tm_view content_of(const struct renderer *r, size_t index)
{
    const size_t *ends = (const size_t *)(const void *)r->message_ends.data;
    size_t from = index == 0 ? 0 : ends[index - 1];
    return tm_view_of(r->contents.data + from, ends[index] - from);
}

static bool has_role(const struct renderer *r, size_t index, const char *role)
{
    return tm_view_eq_str(r->options->messages[index].role, role);
}

/* A part of the template. */
static tm_status mark(struct renderer *r, const char *text)
{
    return tm_buf_put_str(&r->out->text, text);
}

static tm_status mark_view(struct renderer *r, struct tm_view text)
{
    return tm_buf_put(&r->out->text, text.data, text.bytes);
}

/* A part of a message. */
static tm_status say(struct renderer *r, struct tm_view text)
{
    struct tm_text_span span = {r->out->text.bytes, r->out->text.bytes + text.bytes};
    if (text.bytes == 0) {
        return TM_OK;
    }
    TM_TRY(tm_buf_put(&r->out->text, text.data, text.bytes));
    return tm_buf_put(&r->out->spans, &span, sizeof span);
}

static tm_status refuse(struct renderer *r, const char *hint, const char *why)
{
    return tm_err_set(r->err, TM_E_USAGE, NULL, what_failed, hint, "%s", why);
}

/* ---- ChatML and Qwen3 ---- */

static tm_status put_chatml(struct renderer *r, struct tm_view role, struct tm_view content)
{
    TM_TRY(mark(r, "<|im_start|>"));
    TM_TRY(mark_view(r, role));
    TM_TRY(mark(r, "\n"));
    TM_TRY(say(r, content));
    return mark(r, "<|im_end|>\n");
}

static tm_status render_chatml(struct renderer *r)
{
    if (!has_role(r, 0, "system") && r->chat->system[0] != 0) {
        TM_TRY(mark(r, "<|im_start|>system\n"));
        TM_TRY(mark(r, r->chat->system));
        TM_TRY(mark(r, "<|im_end|>\n"));
    }
    for (size_t i = 0; i < r->options->count; i++) {
        TM_TRY(put_chatml(r, r->options->messages[i].role, content_of(r, i)));
    }
    return r->options->reply ? mark(r, "<|im_start|>assistant\n") : TM_OK;
}

static bool is_tool_response(struct tm_view text)
{
    static const char begin[] = "<tool_response>", end[] = "</tool_response>";
    size_t begins = sizeof begin - 1, ends = sizeof end - 1;
    return text.bytes >= begins && text.bytes >= ends && memcmp(text.data, begin, begins) == 0 &&
           memcmp(text.data + text.bytes - ends, end, ends) == 0;
}

/* The last message of a user that is a question; without one the last message. */
static size_t last_question(const struct renderer *r)
{
    for (size_t i = r->options->count; i-- > 0;) {
        if (has_role(r, i, "user") && !is_tool_response(content_of(r, i))) {
            return i;
        }
    }
    return r->options->count - 1;
}

static tm_status put_thoughtful(struct renderer *r, size_t index, bool current)
{
    static const char end[] = "</think>";
    struct tm_view content = content_of(r, index), thought = tm_view_of(NULL, 0);
    struct tm_view head = before_first(content, end);
    if (head.bytes < content.bytes) {
        thought = trim_end(head, is_newline);
        thought = trim_start(behind_last(thought, "<think>"), is_newline);
        content = trim_start(behind_last(content, end), is_newline);
    }
    if (!current || (index + 1 < r->options->count && thought.bytes == 0)) {
        return put_chatml(r, tm_view_str("assistant"), content);
    }
    TM_TRY(mark(r, "<|im_start|>assistant\n<think>\n"));
    TM_TRY(say(r, trim_end(thought, is_newline)));
    TM_TRY(mark(r, "\n</think>\n\n"));
    TM_TRY(say(r, trim_start(content, is_newline)));
    return mark(r, "<|im_end|>\n");
}

static tm_status render_qwen3(struct renderer *r)
{
    size_t question = last_question(r);
    for (size_t i = 0; i < r->options->count; i++) {
        TM_TRY(has_role(r, i, "assistant")
                   ? put_thoughtful(r, i, i > question)
                   : put_chatml(r, r->options->messages[i].role, content_of(r, i)));
    }
    return r->options->reply ? mark(r, "<|im_start|>assistant\n") : TM_OK;
}

/* ---- Llama ---- */

/* From message `first` on: question, answer, question... */
static tm_status check_turns(struct renderer *r, size_t first)
{
    for (size_t i = first; i < r->options->count; i++) {
        if (!has_role(r, i, (i - first) % 2 == 0 ? "user" : "assistant")) {
            return refuse(r, "begin with a user's message, then take turns",
                          "this model's template wants user and assistant to take turns");
        }
    }
    return TM_OK;
}

static tm_status put_question(struct renderer *r, size_t index, bool system)
{
    TM_TRY(mark_view(r, r->options->bos));
    TM_TRY(mark(r, "[INST] "));
    size_t from = r->out->text.bytes;
    struct tm_view content = content_of(r, index);
    if (system) {
        TM_TRY(mark(r, "<<SYS>>\n"));
        TM_TRY(say(r, content_of(r, 0)));
        TM_TRY(mark(r, "\n<</SYS>>\n\n"));
    } else {
        content = trim_start(content, is_blank);
    }
    TM_TRY(say(r, content));
    /* The whole is trimmed: without a question the newlines before it go too. */
    struct tm_view all = tm_view_of(r->out->text.data + from, r->out->text.bytes - from);
    r->out->text.bytes = from + trim_end(all, is_blank).bytes;
    size_t count = r->out->spans.bytes / sizeof(struct tm_text_span);
    struct tm_text_span *spans = (struct tm_text_span *)(void *)r->out->spans.data;
    if (count > 0 && spans[count - 1].to > r->out->text.bytes) {
        spans[count - 1].to = r->out->text.bytes;
        bool empty = spans[count - 1].from >= spans[count - 1].to;
        r->out->spans.bytes -= empty ? sizeof *spans : 0;
    }
    return mark(r, " [/INST]");
}

static tm_status render_llama2(struct renderer *r)
{
    size_t first = has_role(r, 0, "system") ? 1 : 0;
    TM_TRY(check_turns(r, first));
    for (size_t i = first; i < r->options->count; i++) {
        if (has_role(r, i, "user")) {
            TM_TRY(put_question(r, i, first == 1 && i == 1));
            continue;
        }
        TM_TRY(mark(r, " "));
        TM_TRY(say(r, trim(content_of(r, i))));
        TM_TRY(mark(r, " "));
        TM_TRY(mark_view(r, r->options->eos));
    }
    return TM_OK; /* the answer begins behind [/INST] */
}

static tm_status put_llama3(struct renderer *r, struct tm_view role, const char *preface,
                            struct tm_view content)
{
    TM_TRY(mark(r, "<|start_header_id|>"));
    TM_TRY(mark_view(r, role));
    TM_TRY(mark(r, "<|end_header_id|>\n\n"));
    TM_TRY(mark(r, preface));
    TM_TRY(say(r, trim(content)));
    return mark(r, "<|eot_id|>");
}

static tm_status render_llama3(struct renderer *r)
{
    static const char dates[] =
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
    size_t first = 0;
    TM_TRY(mark_view(r, r->options->bos));
    if (r->chat->dated) {
        first = has_role(r, 0, "system") ? 1 : 0;
        struct tm_view system = first == 1 ? content_of(r, 0) : tm_view_of(NULL, 0);
        TM_TRY(put_llama3(r, tm_view_str("system"), dates, system));
    }
    for (size_t i = first; i < r->options->count; i++) {
        TM_TRY(put_llama3(r, r->options->messages[i].role, "", content_of(r, i)));
    }
    return r->options->reply ? mark(r, "<|start_header_id|>assistant<|end_header_id|>\n\n") : TM_OK;
}

/* ---- Gemma ---- */

static tm_status render_gemma(struct renderer *r)
{
    size_t first = has_role(r, 0, "system") ? 1 : 0;
    if (first == 1 && !r->chat->system_text) {
        return refuse(r, "put it into the first user's message",
                      "this model's template has no system messages");
    }
    TM_TRY(check_turns(r, first));
    if (r->chat->bos) {
        TM_TRY(mark_view(r, r->options->bos));
    }
    for (size_t i = first; i < r->options->count; i++) {
        TM_TRY(
            mark(r, has_role(r, i, "user") ? "<start_of_turn>user\n" : "<start_of_turn>model\n"));
        if (first == 1 && i == 1) {
            TM_TRY(say(r, content_of(r, 0)));
            TM_TRY(mark(r, "\n\n"));
        }
        TM_TRY(say(r, trim(content_of(r, i))));
        TM_TRY(mark(r, "<end_of_turn>\n"));
    }
    return r->options->reply ? mark(r, "<start_of_turn>model\n") : TM_OK;
}

/* ---- the whole ---- */

static tm_status collect(struct renderer *r)
{
    for (size_t i = 0; i < r->options->count; i++) {
        if (!has_role(r, i, "system") && !has_role(r, i, "user") && !has_role(r, i, "assistant")) {
            const struct tm_view *role = &r->options->messages[i].role;
            char shown[64];
            return tm_err_set(
                r->err, TM_E_USAGE, NULL, what_failed, "roles are system, user and assistant",
                "message %zu has the role '%s'", i,
                tm_escape((const char *)role->data, role->bytes, shown, sizeof shown));
        }
        TM_TRY(tm_repair_utf8(r->options->messages[i].content, &r->contents));
        TM_TRY(tm_buf_put(&r->message_ends, &r->contents.bytes, sizeof r->contents.bytes));
    }
    return TM_OK;
}

static tm_status render(struct renderer *r)
{
    static tm_status (*const families[])(struct renderer *) = {
        render_chatml, render_qwen3, render_llama2, render_llama3, render_gemma};
    if (r->options->count == 0) {
        return refuse(r, "give at least one", "there is no message");
    }
    TM_TRY(collect(r));
    return families[r->chat->family](r);
}

tm_status tm_chat_render(const struct tm_chat *chat, const struct tm_chat_options *options,
                         struct tm_chat_text *out, struct tm_err *err)
{
    struct renderer r = {.chat = chat, .options = options, .out = out, .err = err};
    tm_buf_clear(&out->text);
    tm_buf_clear(&out->spans);
    tm_buf_init(&r.contents, TM_PIECES_TEXT_MAX);
    tm_buf_init(&r.message_ends, TM_CHAT_MESSAGES_MAX * sizeof(size_t));
    tm_status status = render(&r);
    tm_buf_deinit(&r.contents);
    tm_buf_deinit(&r.message_ends);
    if (status == TM_E_NOMEM || status == TM_E_LIMIT) {
        return tm_err_set(err, status, NULL, what_failed, NULL, "%s",
                          status == TM_E_NOMEM ? "out of memory" : "it is too long");
    }
    return status;
}

static struct tm_view text_of(const struct tm_tokenizer *tokenizer, uint32_t id)
{
    struct tm_view text = {NULL, 0};
    return id != TM_NO_TOKEN && tm_tokenizer_text(tokenizer, id, &text) ? text
                                                                        : tm_view_of(NULL, 0);
}

tm_status tm_chat_encode(const struct tm_chat *chat, struct tm_tokenizer *tokenizer,
                         const struct tm_chat_options *options, struct tm_buf *ids,
                         struct tm_err *err)
{
    struct tm_chat_options full = *options;
    struct tm_chat_text text;
    full.bos = text_of(tokenizer, tm_tokenizer_bos(tokenizer));
    full.eos = text_of(tokenizer, tm_tokenizer_eos(tokenizer));
    tm_chat_text_init(&text);
    tm_status status = tm_chat_render(chat, &full, &text, err);
    if (status == TM_OK) {
        struct tm_text_spans plain = {(const struct tm_text_span *)(const void *)text.spans.data,
                                      text.spans.bytes / sizeof(struct tm_text_span)};
        status = tm_tokenizer_encode_mixed(tokenizer, tm_buf_view(&text.text), TM_TOKENIZE_SPECIALS,
                                           &plain, ids, err);
    }
    tm_chat_text_deinit(&text);
    return status;
}

uint32_t tm_chat_end(const struct tm_chat *chat, const struct tm_tokenizer *tokenizer)
{
    static const char *const ends[] = {"<|im_end|>", "<|im_end|>", NULL, "<|eot_id|>",
                                       "<end_of_turn>"};
    return ends[chat->family] == NULL
               ? tm_tokenizer_eos(tokenizer)
               : tm_tokenizer_find(tokenizer, tm_view_str(ends[chat->family]));
}
