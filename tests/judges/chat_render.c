/* SPDX-License-Identifier: Apache-2.0
 * chat_render TEMPLATE: reads [{"reply": true, "messages": [{"role", "content"}...]}...] from
 * stdin; writes ["text" or null where the conversation is refused...]. Exit 8: the template is. BOS
 * is
 * "<s>", EOS "</s>". */
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "model/tokenizer/chat.h"

#define MESSAGES_MAX 64

static int fail(const struct tm_err *err)
{
    char line[2048];
    fprintf(stderr, "%s\n", tm_err_line(err, line, sizeof line));
    return tm_status_exit_code(err->status);
}

static void one(const struct tm_chat *chat, const struct tm_json *node, struct tm_jw *jw)
{
    struct tm_chat_message list[MESSAGES_MAX];
    struct tm_chat_text text;
    struct tm_err err;
    struct tm_chat_options options = {
        .messages = list, .bos = tm_view_str("<s>"), .eos = tm_view_str("</s>")};
    const struct tm_json *messages = tm_json_get(node, "messages");
    (void)tm_json_bool(tm_json_get(node, "reply"), &options.reply);
    for (size_t i = 0; i < tm_json_count(messages) && i < MESSAGES_MAX; i++) {
        const struct tm_json *message = tm_json_at(messages, i);
        (void)tm_json_str(tm_json_get(message, "role"), &list[i].role);
        (void)tm_json_str(tm_json_get(message, "content"), &list[i].content);
        options.count = i + 1;
    }
    tm_chat_text_init(&text);
    if (tm_chat_render(chat, &options, &text, &err) == TM_OK) {
        tm_jw_strn(jw, NULL, tm_buf_view(&text.text));
    } else {
        tm_jw_null(jw, NULL);
    }
    tm_chat_text_deinit(&text);
}

static tm_status all(const struct tm_chat *chat, struct tm_view text, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    struct tm_buf out;
    struct tm_jw jw;
    TM_TRY(tm_json_parse(text, "stdin", &doc, err));
    tm_buf_init(&out, 64u << 20);
    tm_jw_begin(&jw, &out, false);
    tm_jw_array(&jw, NULL);
    for (size_t i = 0; i < tm_json_count(tm_json_root(doc)); i++) {
        one(chat, tm_json_at(tm_json_root(doc), i), &jw);
    }
    tm_jw_array_end(&jw);
    tm_status status = tm_jw_end(&jw);
    if (status == TM_OK && fwrite(out.data, 1, out.bytes, stdout) != out.bytes) {
        status = TM_E_IO;
    }
    tm_buf_deinit(&out);
    tm_json_free(&doc);
    return status;
}

int main(int argc, char **argv)
{
    struct tm_buf template, input;
    struct tm_chat chat;
    struct tm_err err = {.status = TM_OK};
    static uint8_t piece[1 << 16];
    tm_buf_init(&template, 4u << 20);
    tm_buf_init(&input, 64u << 20);
    tm_status status = argc == 2 ? tm_file_read(argv[1], &template, &err) : TM_E_USAGE;
    if (status == TM_OK) {
        status = tm_chat_recognise(tm_buf_view(&template), &chat, &err);
    }
    for (size_t count; status == TM_OK && (count = fread(piece, 1, sizeof piece, stdin)) > 0;) {
        status = tm_buf_put(&input, piece, count);
    }
    if (status == TM_OK) {
        status = all(&chat, tm_buf_view(&input), &err);
    }
    tm_buf_deinit(&template);
    tm_buf_deinit(&input);
    return status == TM_OK ? 0 : fail(&err);
}
