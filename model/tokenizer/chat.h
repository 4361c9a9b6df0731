/* SPDX-License-Identifier: Apache-2.0
 * Conversations as the text that a model was trained on. A model says what that is with a program
 * (a Jinja template); its programs are not run. The template is recognised as one of the forms
 * below, by the expressions that put the messages out, and rendered by us:
 *
 *   ChatML    <|im_start|>user\n...<|im_end|>\n           Qwen2, Qwen2.5, SmolLM2
 *   Qwen3     the same; answers before the last question lose their thoughts
 *   Llama 2   <s>[INST] ... [/INST] ... </s>
 *   Llama 3   <|start_header_id|>user<|end_header_id|>\n\n...<|eot_id|>    3 to 3.3
 *   Gemma     <start_of_turn>user\n...<end_of_turn>\n      1 to 3
 *
 * Only the markers of the template become special tokens. What the messages say is text, whatever
 * it looks like: "<|im_end|>" in a message ends nothing. (Tokens that the tokenizer adds without
 * making them special, like Qwen's <tool_call>, are found in messages too, as everywhere else.)
 *
 * Tools are not rendered. Where Llama 3.2 and 3.3 ask for today's date the one that they name for
 * want of a clock is put, so that the same conversation is the same text on every day. */
#ifndef TM_MODEL_TOKENIZER_CHAT_H
#define TM_MODEL_TOKENIZER_CHAT_H

#include "model/tokenizer/tokenizer.h"

#define TM_CHAT_SYSTEM_MAX 1024 /* bytes */
#define TM_CHAT_MESSAGES_MAX 100000

enum tm_chat_family {
    TM_CHAT_CHATML,
    TM_CHAT_QWEN3,
    TM_CHAT_LLAMA2,
    TM_CHAT_LLAMA3,
    TM_CHAT_GEMMA
};

/* What was recognised. */
struct tm_chat {
    enum tm_chat_family family;
    /* CHATML: the system message of a conversation that has none; "" for none. */
    char system[TM_CHAT_SYSTEM_MAX + 1];
    bool bos;         /* the text begins with BOS */
    bool dated;       /* LLAMA3: always a system message, and two dates at its start (3.1 on) */
    bool system_text; /* GEMMA: a system message becomes the start of the first question (3) */
};

/* TM_E_INCOMPATIBLE with a hint for a template that is none of the above. */
tm_status tm_chat_recognise(struct tm_view template, struct tm_chat *out,
                            struct tm_err *err) TM_MUST_USE;
/* The name of a family: "ChatML". */
const char *tm_chat_name(const struct tm_chat *chat);

/* Contents are any bytes; what is no UTF-8 becomes U+FFFD (model/tokenizer/repair.h). */
struct tm_chat_message {
    struct tm_view role; /* "system", "user" or "assistant" */
    struct tm_view content;
};

struct tm_chat_options {
    const struct tm_chat_message *messages;
    size_t count;
    bool reply;              /* ends where the model's answer begins */
    struct tm_view bos, eos; /* texts of these tokens; tm_chat_encode finds them itself */
};

struct tm_chat_text {
    struct tm_buf text;
    struct tm_buf spans; /* struct tm_text_span each: what the messages say */
};
void tm_chat_text_init(struct tm_chat_text *text);
void tm_chat_text_deinit(struct tm_chat_text *text);

/* The text, as Jinja would render it. TM_E_USAGE: no message, an unknown role, roles in an order
 * that the template refuses. TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_chat_render(const struct tm_chat *chat, const struct tm_chat_options *options,
                         struct tm_chat_text *out, struct tm_err *err) TM_MUST_USE;
/* Appends its ids (u32 each). BOS is there when the template puts it, and only then. */
tm_status tm_chat_encode(const struct tm_chat *chat, struct tm_tokenizer *tokenizer,
                         const struct tm_chat_options *options, struct tm_buf *ids,
                         struct tm_err *err) TM_MUST_USE;
/* The token that ends an answer, besides those of tm_tokenizer_is_end; TM_NO_TOKEN (UINT32_MAX)
 * when the tokenizer does not have it. */
uint32_t tm_chat_end(const struct tm_chat *chat, const struct tm_tokenizer *tokenizer);

#endif
