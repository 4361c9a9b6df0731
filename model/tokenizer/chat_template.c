/* SPDX-License-Identifier: Apache-2.0
 * Which form a chat template has. It is brought into one spelling first: tags without blanks and
 * trimming marks, strings in single quotes, message.role as message['role'], and no comments. Then
 * the expressions that put messages out are looked for, and things that would change their text.
 * Sources: the templates that the models are published with (tokenizer_config.json). */
#include "model/tokenizer/chat.h"

#include <string.h>

#include "model/tokenizer/normalize.h"

#define TEMPLATE_MAX (1u << 20) /* bytes */

/* ---- one spelling ---- */

struct speller {
    struct tm_view in;
    size_t at;
    struct tm_buf *out;
};

static bool sees(const struct speller *s, const char *word)
{
    size_t bytes = strlen(word);
    return s->in.bytes - s->at >= bytes && memcmp(s->in.data + s->at, word, bytes) == 0;
}

/* A string with the quote at s->at. */
static tm_status spell_string(struct speller *s)
{
    uint8_t quote = s->in.data[s->at++];
    TM_TRY(tm_buf_put_u8(s->out, '\''));
    while (s->at < s->in.bytes && s->in.data[s->at] != quote) {
        uint8_t c = s->in.data[s->at++];
        if (c == '\\' && s->at < s->in.bytes) {
            uint8_t next = s->in.data[s->at++];
            if (next != '"') {
                TM_TRY(tm_buf_put_u8(s->out, c));
            }
            TM_TRY(tm_buf_put_u8(s->out, next));
        } else if (c == '\n') {
            TM_TRY(tm_buf_put_str(s->out, "\\n"));
        } else if (c == '\'') {
            TM_TRY(tm_buf_put_str(s->out, "\\'"));
        } else {
            TM_TRY(tm_buf_put_u8(s->out, c));
        }
    }
    s->at++;
    return tm_buf_put_u8(s->out, '\'');
}

/* Inside of a tag, up to `close` and with it. */
static tm_status spell_tag(struct speller *s, const char *close)
{
    while (s->at < s->in.bytes) {
        uint8_t c = s->in.data[s->at];
        if (sees(s, close)) {
            s->at += 2;
            return tm_buf_put_str(s->out, close);
        }
        if (c == '\'' || c == '"') {
            TM_TRY(spell_string(s));
        } else if (sees(s, ".role") || sees(s, ".content")) {
            bool role = sees(s, ".role");
            s->at += role ? 5 : 8;
            TM_TRY(tm_buf_put_str(s->out, role ? "['role']" : "['content']"));
        } else {
            bool trims = c == '-' && s->at + 1 < s->in.bytes &&
                         (s->in.data[s->at + 1] == '%' || s->in.data[s->at + 1] == '}');
            s->at++;
            if (!tm_is_space(c) && !trims) {
                TM_TRY(tm_buf_put_u8(s->out, c));
            }
        }
    }
    return TM_OK;
}

static tm_status spell(struct tm_view template, struct tm_buf *out)
{
    struct speller s = {template, 0, out};
    while (s.at < template.bytes) {
        bool expression = sees(&s, "{{");
        if (expression || sees(&s, "{%")) {
            TM_TRY(tm_buf_put(out, template.data + s.at, 2));
            s.at += 2;
            s.at += s.at < template.bytes && template.data[s.at] == '-';
            TM_TRY(spell_tag(&s, expression ? "}}" : "%}"));
        } else if (sees(&s, "{#")) {
            const uint8_t *rest = template.data + s.at;
            const uint8_t *end = memmem(rest, template.bytes - s.at, "#}", 2);
            s.at = end == NULL ? template.bytes : (size_t)(end - template.data) + 2;
        } else {
            uint8_t c = template.data[s.at++];
            if (!tm_is_space(c)) {
                TM_TRY(tm_buf_put_u8(out, c));
            }
        }
    }
    return tm_buf_terminate(out);
}

/* ---- recognising ---- */

static bool has(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

/* Any word of a list with '|' between them; the words have none themselves. */
static bool has_any(const char *text, const char *words)
{
    char word[64];
    while (*words != 0) {
        size_t bytes = strcspn(words, "|");
        memcpy(word, words, bytes);
        word[bytes] = 0;
        if (has(text, word)) {
            return true;
        }
        words += bytes + (words[bytes] == '|');
    }
    return false;
}

/* The text of a string up to `end`, with its escapes resolved; false when it has others, does not
 * fit or does not end so. */
static bool unescape(const char *text, const char *end, char *out)
{
    size_t bytes = 0;
    for (; strncmp(text, end, strlen(end)) != 0; text++) {
        char c = *text;
        if (c == '\\') {
            text++;
            c = *text == 'n' ? '\n' : *text == '\'' || *text == '\\' ? *text : (char)0;
        } else if (c == '\'') {
            return false;
        }
        if (c == 0 || bytes == TM_CHAT_SYSTEM_MAX) {
            return false;
        }
        out[bytes++] = c;
    }
    out[bytes] = 0;
    return true;
}

/* '<|im_start|>system\nYou are ...<|im_end|>\n' with something between the markers. */
static bool read_system(const char *text, struct tm_chat *out)
{
    static const char begin[] = "'<|im_start|>system\\n";
    const char *found = text;
    bool read = false;
    while ((found = strstr(found, begin)) != NULL) {
        found += sizeof begin - 1;
        if (*found == '\'') {
            continue; /* the message's own text comes behind it */
        }
        if (read || !unescape(found, "<|im_end|>\\n'", out->system)) {
            return false;
        }
        read = true;
    }
    return true;
}

/* Where a marker was seen, everything must be as expected. */
static bool is_chatml(const char *text, struct tm_chat *out)
{
    static const char thinks[] =
        "{{'<|im_start|>'+message['role']+'\\n<think>\\n'+reasoning_content.strip('\\n')+"
        "'\\n</think>\\n\\n'+content.lstrip('\\n')}}";
    if (!has(text, "{{'<|im_start|>assistant\\n'}}") ||
        !(has(text,
              "'<|im_start|>'+message['role']+'\\n'+message['content']+'<|im_end|>'+'\\n'}}") ||
          has(text, "'<|im_start|>'+message['role']+'\\n'+message['content']+'<|im_end|>\\n'}}"))) {
        return false;
    }
    if (has(text, thinks)) {
        out->family = TM_CHAT_QWEN3;
        return has(text, "{%ifloop.lastor(notloop.lastandreasoning_content)%}") &&
               has(text, "{%ifenable_thinkingisdefinedandenable_thinkingisfalse%}") &&
               has(text, "message['content'].split('</think>')[-1].lstrip('\\n')") &&
               !has_any(text, "bos_token|trim|strftime");
    }
    out->family = TM_CHAT_CHATML;
    return !has_any(text,
                    "think|strip(|trim|bos_token|strftime|namespace(|upper|raise_exception") &&
           read_system(text, out);
}

static bool is_llama2(const char *text, struct tm_chat *out)
{
    out->family = TM_CHAT_LLAMA2;
    return has(text, "{{bos_token+'[INST] '+content.strip()+' [/INST]'}}") &&
           has(text, "{{' '+content.strip()+' '+eos_token}}") &&
           has(text, "'<<SYS>>\\n'+system_message+'\\n<</SYS>>\\n\\n'+message['content']") &&
           has(text, "{%setsystem_message=false%}") && !has(text, "{%elif'<<SYS>>'in");
}

static bool is_llama3(const char *text, struct tm_chat *out)
{
    out->family = TM_CHAT_LLAMA3;
    out->bos = true;
    out->dated = has(text, "'Today Date: '+date_string+'\\n\\n'");
    bool message = has(text, "'<|start_header_id|>'+message['role']+'<|end_header_id|>\\n\\n'+"
                             "message['content']|trim+'<|eot_id|>'");
    bool begin = out->dated ? has(text, "{{bos_token}}") &&
                                  has(text, "{{'Cutting Knowledge Date: December 2023\\n'}}") &&
                                  has(text, "date_string='26 Jul 2024'")
                            : has(text, "{%ifloop.index0==0%}{%setcontent=bos_token+content%}");
    return message && begin &&
           has(text, "<|start_header_id|>assistant<|end_header_id|>\\n\\n'}}") &&
           !has_any(text, "think|datetime|functools");
}

static bool is_gemma(const char *text, struct tm_chat *out)
{
    out->family = TM_CHAT_GEMMA;
    out->bos = has(text, "{{bos_token}}");
    out->system_text = has(text, "first_user_prefix");
    bool message =
        out->system_text
            ? has(text, "{{'<start_of_turn>'+role+'\\n'+(first_user_prefixifloop.firstelse'')}}") &&
                  has(text, "{{message['content']|trim}}") &&
                  has(text, "{%setfirst_user_prefix=messages[0]['content']+'\\n\\n'%}") &&
                  has(text, "{{'<end_of_turn>\\n'}}")
            : has(text, "{{'<start_of_turn>'+role+'\\n'+message['content']|trim+"
                        "'<end_of_turn>\\n'}}") &&
                  has(text, "raise_exception('System role not supported')");
    return message && has(text, "{{'<start_of_turn>model\\n'}}") &&
           has(text, "'Conversation roles must alternate user/assistant/user/assistant/...'") &&
           !has_any(text, "think|tool");
}

tm_status tm_chat_recognise(struct tm_view template, struct tm_chat *out, struct tm_err *err)
{
    static const char what[] = "cannot read the chat template";
    static bool (*const kinds[])(const char *, struct tm_chat *) = {is_chatml, is_llama2, is_llama3,
                                                                    is_gemma};
    struct tm_buf text;
    tm_buf_init(&text, (size_t)TEMPLATE_MAX * 2);
    tm_status status =
        template.bytes > TEMPLATE_MAX ||
                (template.bytes > 0 && memchr(template.data, 0, template.bytes) != NULL)
            ? TM_E_LIMIT
            : spell(template, &text);
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && status == TM_OK && !known; i++) {
        memset(out, 0, sizeof *out);
        known = kinds[i]((const char *)text.data, out);
    }
    tm_buf_deinit(&text);
    if (status == TM_E_NOMEM) {
        return tm_err_set(err, status, NULL, what, NULL, "out of memory");
    }
    return known ? TM_OK
                 : tm_err_set(err, TM_E_INCOMPATIBLE, NULL, what,
                              "give the prompt as plain text, with the model's markers in it",
                              "it has none of the known forms (ChatML, Qwen3, Llama 2, Llama 3, "
                              "Gemma)");
}
