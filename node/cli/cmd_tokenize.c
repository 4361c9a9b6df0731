/* SPDX-License-Identifier: Apache-2.0
 * tokenize: text to the ids of a model's tokenizer, and back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/tokenizer/chat.h"
#include "model/tokenizer/token_stream.h"
#include "model/where.h"
#include "node/cli/cli.h"
#include "node/common/tokenizer_of.h"

#define INPUT_BYTES_MAX ((size_t)1 << 28)
#define WRITE_BYTES ((size_t)1 << 16)
#define IDS_BYTES_MAX ((size_t)1 << 30)

struct work {
    const char *model;
    const char *name; /* of the input, for errors */
    struct tm_tokenizer *tokenizer;
    bool decode, lines, chat, json, special;
    struct tm_buf input, ids, text;
};

/* ---- input ---- */

static tm_status read_stdin(struct tm_buf *out, struct tm_err *err)
{
    uint8_t piece[1 << 16];
    size_t count;
    while ((count = fread(piece, 1, sizeof piece, stdin)) > 0) {
        tm_status status = tm_buf_put(out, piece, count);
        if (status != TM_OK) {
            return tm_err_set(err, status, "standard input", "cannot read", NULL,
                              "more than %zu bytes, or no memory for them", out->max_bytes);
        }
    }
    return ferror(stdin) ? tm_err_set_os(err, errno, "standard input", "cannot read") : TM_OK;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ',';
}

/* Ids as `tokenize` prints them. */
static tm_status parse_ids(struct work *w, struct tm_err *err)
{
    struct tm_view text = tm_buf_view(&w->input);
    for (size_t at = 0; at < text.bytes;) {
        size_t from = at;
        while (at < text.bytes && !is_blank(text.data[at])) {
            at++;
        }
        uint64_t id = 0;
        if (at > from && (tm_parse_u64(tm_view_of(text.data + from, at - from), &id) != TM_OK ||
                          id > UINT32_MAX)) {
            struct tm_where where;
            char shown[64];
            tm_where_byte(&where, w->name, from);
            return tm_err_set(
                err, TM_E_MALFORMED, where.text, "cannot read the ids",
                "give decimal numbers with blanks or commas between them", "'%s' is none",
                tm_escape((const char *)text.data + from, at - from, shown, sizeof shown));
        }
        uint32_t id32 = (uint32_t)id;
        if (at > from) {
            TM_TRY(tm_buf_put(&w->ids, &id32, sizeof id32));
        }
        at++;
    }
    return TM_OK;
}

/* ---- output ---- */

static tm_status put_out(struct tm_view bytes, struct tm_err *err)
{
    if (fwrite(bytes.data, 1, bytes.bytes, stdout) != bytes.bytes) {
        return tm_err_set_os(err, errno, "standard output", "cannot write");
    }
    return TM_OK;
}

static const uint32_t *ids_of(const struct work *w, size_t *count)
{
    *count = w->ids.bytes / sizeof(uint32_t);
    return (const uint32_t *)(const void *)w->ids.data;
}

/* The ids of one text, on one line. */
static tm_status print_ids(struct work *w, struct tm_err *err)
{
    size_t count;
    const uint32_t *ids = ids_of(w, &count);
    tm_buf_clear(&w->text);
    for (size_t i = 0; i < count; i++) {
        TM_TRY(tm_buf_printf(&w->text, i == 0 ? "%u" : " %u", ids[i]));
    }
    TM_TRY(tm_buf_put_str(&w->text, "\n"));
    return put_out(tm_buf_view(&w->text), err);
}

static tm_status print_json(struct work *w, struct tm_err *err)
{
    struct tm_envelope json;
    size_t count;
    const uint32_t *ids = ids_of(w, &count);
    const char *note = tm_tokenizer_note(w->tokenizer);
    char warning[256];
    char *warnings[] = {warning};
    snprintf(warning, sizeof warning, "%s", note != NULL ? note : "");
    tm_envelope_begin(&json, w->decode ? "tmill.tokenize.text/1" : "tmill.tokenize.ids/1");
    tm_jw_u64(&json.jw, "tokens", count);
    if (w->decode) {
        tm_jw_u64(&json.jw, "bytes", w->text.bytes);
        tm_jw_strn(&json.jw, "text", tm_buf_view(&w->text));
    } else {
        tm_jw_u64(&json.jw, "bytes", w->input.bytes);
        tm_jw_array(&json.jw, "ids");
        for (size_t i = 0; i < count; i++) {
            tm_jw_u64(&json.jw, NULL, ids[i]);
        }
        tm_jw_array_end(&json.jw);
    }
    return tm_envelope_end(&json, warnings, note != NULL, err);
}

/* ---- the two directions ---- */

static tm_status encode(struct work *w, struct tm_view text, struct tm_err *err)
{
    unsigned flags = w->special ? TM_TOKENIZE_FRAME | TM_TOKENIZE_SPECIALS : 0;
    tm_buf_clear(&w->ids);
    tm_status status = tm_tokenizer_encode(w->tokenizer, text, flags, &w->ids, err);
    if (status != TM_OK) {
        tm_err_prefix(err, w->name);
    }
    return status;
}

static tm_status encode_lines(struct work *w, struct tm_err *err)
{
    struct tm_view rest = tm_buf_view(&w->input);
    while (rest.bytes > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.bytes);
        size_t bytes = end == NULL ? rest.bytes : (size_t)(end - rest.data);
        TM_TRY(encode(w, tm_view_of(rest.data, bytes), err));
        TM_TRY(print_ids(w, err));
        bytes += end != NULL;
        rest = tm_view_of(rest.data + bytes, rest.bytes - bytes);
    }
    return TM_OK;
}

/* Token by token, so that the text is written as it comes. */
static tm_status decode_stream(struct work *w, struct tm_token_stream *stream, struct tm_err *err)
{
    size_t count;
    const uint32_t *ids = ids_of(w, &count);
    for (size_t i = 0; i < count; i++) {
        TM_TRY(tm_token_stream_put(stream, ids[i], &w->text, err));
        if (!w->json && w->text.bytes >= WRITE_BYTES) {
            TM_TRY(put_out(tm_buf_view(&w->text), err));
            tm_buf_clear(&w->text);
        }
    }
    return tm_token_stream_end(stream, &w->text, err);
}

static tm_status decode(struct work *w, struct tm_err *err)
{
    struct tm_token_stream *stream = NULL;
    unsigned flags = w->special ? 0 : TM_DETOKENIZE_SKIP_SPECIALS;
    TM_TRY(parse_ids(w, err));
    TM_TRY(tm_token_stream_new(w->tokenizer, flags, &stream));
    tm_status status = decode_stream(w, stream, err);
    tm_token_stream_destroy(&stream);
    if (status != TM_OK) {
        tm_err_prefix(err, w->name);
        return status;
    }
    return w->json ? print_json(w, err) : put_out(tm_buf_view(&w->text), err);
}

/* ---- conversations ---- */

static tm_status read_messages(const struct tm_json *root, struct tm_chat_message *out,
                               const char *name, struct tm_err *err)
{
    for (size_t i = 0; i < tm_json_count(root); i++) {
        const struct tm_json *message = tm_json_at(root, i);
        if (!tm_json_str(tm_json_get(message, "role"), &out[i].role) ||
            !tm_json_str(tm_json_get(message, "content"), &out[i].content)) {
            return tm_err_set(err, TM_E_MALFORMED, name, "cannot read the conversation",
                              "each is {\"role\": \"user\", \"content\": \"...\"}",
                              "message %zu has no role or no content", i);
        }
    }
    return TM_OK;
}

static tm_status encode_messages(struct work *w, const struct tm_json *root, struct tm_err *err)
{
    struct tm_chat chat;
    struct tm_view template;
    size_t count = tm_json_count(root);
    if (tm_json_kind(root) != TM_JSON_ARRAY || count > TM_CHAT_MESSAGES_MAX) {
        return tm_err_set(err, TM_E_MALFORMED, w->name, "cannot read the conversation",
                          "give [{\"role\": \"user\", \"content\": \"...\"}]",
                          "it is no list of at most %d messages", TM_CHAT_MESSAGES_MAX);
    }
    if (!tm_tokenizer_chat_template(w->tokenizer, &template)) {
        return tm_err_set(err, TM_E_NOT_FOUND, w->model, "cannot render the conversation",
                          "give the prompt as plain text", "the model has no chat template");
    }
    TM_TRY(tm_chat_recognise(template, &chat, err));
    struct tm_chat_message *messages = tm_calloc(count + 1, sizeof *messages);
    if (messages == NULL) {
        return tm_err_set(err, TM_E_NOMEM, w->name, "cannot read the conversation", NULL,
                          "out of memory");
    }
    struct tm_chat_options options = {.messages = messages, .count = count, .reply = true};
    tm_status status = read_messages(root, messages, w->name, err);
    if (status == TM_OK) {
        status = tm_chat_encode(&chat, w->tokenizer, &options, &w->ids, err);
    }
    tm_free(messages);
    return status;
}

static tm_status encode_chat(struct work *w, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(tm_buf_view(&w->input), w->name, &doc, err));
    tm_status status = encode_messages(w, tm_json_root(doc), err);
    tm_json_free(&doc);
    if (status != TM_OK) {
        if (err->where[0] == 0) {
            tm_err_prefix(err, status == TM_E_INCOMPATIBLE ? w->model : w->name);
        }
        return status;
    }
    return w->json ? print_json(w, err) : print_ids(w, err);
}

static tm_status run_work(struct work *w, bool from_stdin, struct tm_err *err)
{
    TM_TRY(tm_tokenizer_of(w->model, &w->tokenizer, err));
    TM_TRY(from_stdin ? read_stdin(&w->input, err) : tm_file_read(w->name, &w->input, err));
    if (w->decode) {
        return decode(w, err);
    }
    if (w->lines || w->chat) {
        return w->lines ? encode_lines(w, err) : encode_chat(w, err);
    }
    TM_TRY(encode(w, tm_buf_view(&w->input), err));
    return w->json ? print_json(w, err) : print_ids(w, err);
}

static tm_status run_tokenize(const struct tm_command *command, const struct tm_parsed *parsed,
                              struct tm_err *err)
{
    const char *file = parsed->argument_count > 1 ? parsed->arguments[1] : "-";
    bool from_stdin = strcmp(file, "-") == 0;
    struct work w = {.model = parsed->arguments[0],
                     .name = from_stdin ? "standard input" : file,
                     .decode = tm_opt_flag(command, parsed, "decode"),
                     .lines = tm_opt_flag(command, parsed, "lines"),
                     .chat = tm_opt_flag(command, parsed, "chat"),
                     .special = !tm_opt_flag(command, parsed, "no-special"),
                     .json = parsed->json};
    if ((w.lines && (w.decode || w.json)) || (w.chat && (w.decode || w.lines || !w.special))) {
        const char *option = w.chat ? "--chat" : "--lines";
        return tm_err_set(err, TM_E_USAGE, option, "cannot be used here", NULL, "it goes with %s",
                          w.chat ? "none of --decode, --lines and --no-special"
                                 : "neither --decode nor --json");
    }
    tm_buf_init(&w.input, INPUT_BYTES_MAX);
    tm_buf_init(&w.ids, IDS_BYTES_MAX);
    tm_buf_init(&w.text, IDS_BYTES_MAX);
    tm_status status = run_work(&w, from_stdin, err);
    const char *note = w.tokenizer != NULL ? tm_tokenizer_note(w.tokenizer) : NULL;
    if (status == TM_OK && note != NULL && !w.json) {
        char warning[256];
        char *warnings[] = {warning};
        snprintf(warning, sizeof warning, "%s", note);
        tm_cli_warnings(warnings, 1, parsed->quiet);
    }
    tm_buf_deinit(&w.input);
    tm_buf_deinit(&w.ids);
    tm_buf_deinit(&w.text);
    tm_tokenizer_destroy(&w.tokenizer);
    return status;
}

static const struct tm_option options[] = {
    {"decode", 'd', TM_OPT_FLAG, NULL, NULL, NULL, "from ids to text"},
    {"lines", 'l', TM_OPT_FLAG, NULL, NULL, NULL, "each line is a text of its own"},
    {"chat", 0, TM_OPT_FLAG, NULL, NULL, NULL, "a conversation, by the model's template"},
    {"no-special", 0, TM_OPT_FLAG, NULL, NULL, NULL, "no BOS and the like (see above)"},
    {0},
};
const struct tm_command tm_cmd_tokenize = {
    "tokenize",
    "MODEL|PKG [FILE]",
    1,
    2,
    "turns text into the ids of a model's tokenizer, or back",
    "Reads FILE or standard input and prints the ids on one line. MODEL may also be tokenizer.json "
    "or\n"
    "tokenizer.model itself. Bytes that are no UTF-8 are read as U+FFFD, as Python's\n"
    "errors=\"replace\" does. With --no-special no tokens are put around the text and those in it\n"
    "(\"<|im_end|>\") are plain text; --decode then leaves them out.\n\n"
    "With --chat the input is JSON: [{\"role\": \"user\", \"content\": \"Hello\"}]. What the "
    "messages\n"
    "say never becomes a special token.",
    "  tmill tokenize model.gguf prompt.txt\n"
    "  echo 'Hello' | tmill tokenize model.tmpk | tmill tokenize model.tmpk --decode",
    options,
    run_tokenize,
};
