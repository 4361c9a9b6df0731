/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "model/tokenizer/chat.h"
#include "tests/support/suite.h"

#define PUT "'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'"
#define REPLY "{{ '<|im_start|>assistant\\n' }}"

static const struct {
    const char *text;
    const char *name;   /* NULL: refused */
    const char *system; /* of ChatML */
} templates[] = {
    {"{{" PUT "}}" REPLY, "ChatML", ""},
    {"{# <think> #}\n{%- for m in x -%}\n{{-  \"<|im_start|>\" + message.role + \"\n\" + "
     "message.content + '<|im_end|>\\n' -}}" REPLY,
     "ChatML", ""},
    {"{{ '<|im_start|>system\\nIt\\'s \\\\ me.\\n<|im_end|>\\n' }}{{" PUT "}}" REPLY, "ChatML",
     "It's \\ me.\n"},
    {"{{ \"<|im_start|>system\\nSay \\\"it's\\\".<|im_end|>\\n\" }}{{" PUT "}}" REPLY, "ChatML",
     "Say \"it's\"."},
    {"{{ '<|im_start|>system\\n' + x }}{{" PUT "}}" REPLY, "ChatML", ""},
    {"", NULL, NULL},
    {"{{" PUT "}}", NULL, NULL}, /* nothing to begin an answer with */
    {REPLY, NULL, NULL},
    {"{{" PUT " | trim }}" REPLY, NULL, NULL},
    {"{{" PUT "}}{{ '<think>' }}" REPLY, NULL, NULL},
    {"{{ '<|im_start|>system\\na<|im_end|>\\n' }}{{ '<|im_start|>system\\nb<|im_end|>\\n' }}{{" PUT
     "}}" REPLY,
     NULL, NULL}, /* which of the two? */
    {"{{ '<|im_start|>system\\n\\x41<|im_end|>\\n' }}{{" PUT "}}" REPLY, NULL, NULL},
    {"{{ '<|im_start|>system\\nno end' }}{{" PUT "}}" REPLY, NULL, NULL},
    {"{{ '<|im_start|>system\\nno end", NULL, NULL},
    {"{# no end", NULL, NULL},
    {"{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}", NULL, NULL},
    {"{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}",
     NULL, NULL},
};

START_TEST(forms_are_told_apart)
{
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        struct tm_chat chat;
        struct tm_err err;
        tm_status status = tm_chat_recognise(tm_view_str(templates[i].text), &chat, &err);
        if (templates[i].name == NULL) {
            ck_assert_msg(status == TM_E_INCOMPATIBLE, "template %zu", i);
            ck_assert_ptr_nonnull(strstr(err.why, "none of the known forms"));
            ck_assert_ptr_nonnull(strstr(err.hint, "plain text"));
            continue;
        }
        ck_assert_msg(status == TM_OK, "template %zu", i);
        ck_assert_str_eq(tm_chat_name(&chat), templates[i].name);
        ck_assert_str_eq(chat.system, templates[i].system);
    }
}
END_TEST

START_TEST(what_is_no_text)
{
    struct tm_chat chat;
    struct tm_err err;
    ck_assert_int_eq(
        tm_chat_recognise(tm_view_of("{{" PUT "}}\0" REPLY, sizeof PUT + 8), &chat, &err),
        TM_E_INCOMPATIBLE);
    ck_assert_int_eq(tm_chat_recognise(tm_view_of(NULL, 0), &chat, &err), TM_E_INCOMPATIBLE);
    size_t bytes = (1u << 20) + 1;
    char *large = tm_alloc(bytes);
    memset(large, '\'', bytes);
    ck_assert_int_eq(tm_chat_recognise(tm_view_of(large, bytes), &chat, &err), TM_E_INCOMPATIBLE);
    tm_free(large);
}
END_TEST

START_TEST(no_memory_is_an_error)
{
    for (uint64_t n = 1, failed = 1; failed; n++) {
        struct tm_chat chat;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_chat_recognise(tm_view_str(templates[2].text), &chat, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("chat_template");
    TCase *tc = tcase_create("chat_template");
    tcase_add_test(tc, forms_are_told_apart);
    tcase_add_test(tc, what_is_no_text);
    tcase_add_test(tc, no_memory_is_an_error);
    suite_add_tcase(suite, tc);
    return suite;
}
