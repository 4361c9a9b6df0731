/* SPDX-License-Identifier: Apache-2.0
 * Input: a chat template. One that is recognised renders a conversation. */
#include "model/tokenizer/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_chat chat;
    struct tm_chat_text text;
    struct tm_err err;
    tm_status status = tm_chat_recognise(tm_view_of(data, size), &chat, &err);
    TM_ASSERT(status == TM_OK || status == TM_E_INCOMPATIBLE || status == TM_E_NOMEM);
    if (status != TM_OK) {
        return 0;
    }
    /* the template's bytes are also what somebody says */
    struct tm_view said = tm_view_of(data, size < 4096 ? size : 4096);
    struct tm_chat_message list[] = {{tm_view_str("user"), said},
                                     {tm_view_str("assistant"), said},
                                     {tm_view_str("user"), tm_view_str("")}};
    struct tm_chat_options options = {.messages = list, .count = 3, .reply = true};
    tm_chat_text_init(&text);
    status = tm_chat_render(&chat, &options, &text, &err);
    TM_ASSERT(status == TM_OK || status == TM_E_NOMEM);
    const struct tm_text_span *spans = (const struct tm_text_span *)(const void *)text.spans.data;
    size_t at = 0;
    for (size_t i = 0; i < text.spans.bytes / sizeof *spans; i++) {
        TM_ASSERT(spans[i].from >= at && spans[i].to > spans[i].from);
        TM_ASSERT(spans[i].to <= text.text.bytes);
        at = spans[i].to;
    }
    tm_chat_text_deinit(&text);
    return 0;
}
